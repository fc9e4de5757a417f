#!/usr/bin/env bash
# base-image.sh: base images for tests, made without any registry and loaded into Docker (or Podman).
#
#   base-image.sh tiny [TAG]      busybox on scratch, 2 MB, under a second      (TAG: busybox:latest)
#   base-image.sh python [TAG]    Debian with Python and pip, as the course's Dockerfile wants it, about 130 MB
#                                 (TAG: python:3.12-slim, whatever Python this Debian has)
#
# Does nothing when TAG is there already. The file systems are kept in OPENECR_TEST_CACHE (/tmp/openecr-test-cache).
# Environment: DOCKER is the client (docker), with DOCKER_HOST as set.
# pip in the Python image gets this machine's CA bundle and pip settings, so that it reaches what pip reaches here;
# an index address can hold a password, so do not publish the image.
# Needs root. Installs busybox-static or mmdebstrap from Debian when it is missing.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
kind=${1:-} docker=${DOCKER:-docker} cache=${OPENECR_TEST_CACHE:-/tmp/openecr-test-cache}
bundle=/etc/ssl/certs/ca-certificates.crt
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p "$cache"

tiny_rootfs() {
  if [ ! -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then # the package `busybox` links a C library
    install_packages busybox-static
  fi
  local root
  root=$(mktemp -d "$cache/tiny.XXXX")
  mkdir -p "$root"/{bin,etc,root,tmp,proc,sys,dev}
  chmod 1777 "$root/tmp"
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
  echo 'root:x:0:' > "$root/etc/group"
  tar -C "$root" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -cf "$1" .
  rm -rf "$root"
}

pip_conf() { # this machine's settings, without paths of this machine
  echo '[global]'
  echo "cert = $bundle"
  echo 'disable-pip-version-check = true'
  echo 'root-user-action = ignore'
  python3 -m pip config list 2>/dev/null | python3 -c '
import ast, sys

settings = {}
for line in sys.stdin:
    name, _, value = line.strip().partition("=")
    key = name.rpartition(".")[2].replace("default-timeout", "timeout")
    if key in ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout"):
        settings[key] = " ".join(ast.literal_eval(value).split())
for key, value in settings.items():
    print(f"{key} = {value}")
' || true
}

python_rootfs() {
  need mmdebstrap mmdebstrap
  local work=$cache/python.work
  rm -rf "$work"
  mkdir -p "$work"
  cp -L "$bundle" "$work/ca-certificates.crt"
  pip_conf > "$work/pip.conf"
  cat > "$work/customize" <<'HOOK'
#!/bin/sh
set -eu
root=$1 work=$(dirname "$0")
cp "$work/ca-certificates.crt" "$root/etc/ssl/certs/ca-certificates.crt"
cp "$work/pip.conf" "$root/etc/pip.conf"
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*
find "$root/usr" -name __pycache__ -type d -prune -exec rm -rf {} +
HOOK
  chmod +x "$work/customize"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="$work/customize \"\$1\"" \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1" "$(debian_source)"
  rm -rf "$work"
}

case $kind in
  tiny) tag=${2:-busybox:latest} changes=('CMD ["sh"]') ;;
  python) tag=${2:-python:3.12-slim}
    changes=('CMD ["python3"]' 'ENV LANG=C.UTF-8' "ENV SSL_CERT_FILE=$bundle") ;;
  *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
exec 9>"$cache/$kind.lock"
flock 9
if $docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag is there"
  exit
fi
if [ ! -s "$cache/$kind.tar" ]; then
  rm -f "$cache/$kind.part.tar"
  "${kind}_rootfs" "$cache/$kind.part.tar"
  mv "$cache/$kind.part.tar" "$cache/$kind.tar"
fi
flags=(--change "ENV PATH=$path")
for c in "${changes[@]}"; do flags+=(--change "$c"); done
$docker import "${flags[@]}" "$cache/$kind.tar" "$tag" >/dev/null
echo "$tag loaded"
