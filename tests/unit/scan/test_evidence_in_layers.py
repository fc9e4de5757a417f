"""Evidence in a layer, found by path or by its first bytes, and what of it becomes packages of the image."""

import gzip
import io
import tarfile

from tests.go_build_infos import inline
from tests.written_executables import elf, fat, mach_o, pe

from openecr.scan.layers import index_layer
from openecr.scan.squash import squash

INFO = inline("go1.22.5", "path\ta.b/c\ndep\tgolang.org/x/net\tv0.7.0\n")


def layer(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue())


def test_programs_are_known_by_their_first_bytes_and_conda_by_its_folder() -> None:
    content = layer(
        {
            "usr/bin/serve": elf({".go.buildinfo": INFO}),
            "srv/tool.bin": pe({".data": INFO}),
            "srv/mac": mach_o({"__DATA,__go_buildinfo": INFO}),
            "srv/macs": fat(mach_o({"__DATA,__go_buildinfo": INFO})),
            "srv/A.class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(50),
            "opt/conda/envs/a/conda-meta/openssl-3.json": b'{"name": "openssl", "version": "3.0.0"}',
            "app/lib/tesla/ebin/tesla.app": b'{application,tesla,[{vsn,"1.18.2"}]}.',
            "opt/bitnami/nginx/.spdx-nginx.spdx": b"tag: value",
        }
    )
    inventory = squash([index_layer([content])])
    assert inventory.warnings == ()
    found = {(installed.path, installed.package.name) for installed in inventory.packages}
    assert found == {
        *(
            (path, name)
            for path in ("usr/bin/serve", "srv/tool.bin", "srv/mac", "srv/macs")
            for name in ("stdlib", "golang.org/x/net")
        ),
        ("opt/conda/envs/a/conda-meta/openssl-3.json", "openssl"),
        ("app/lib/tesla/ebin/tesla.app", "tesla"),
    }


def test_a_file_that_cannot_be_read_costs_a_warning_and_no_more() -> None:
    content = layer(
        {
            "usr/bin/rusty": elf({".dep-v0": b"no zlib", ".go.buildinfo": INFO}),
            "src/Cargo.lock": b"[[",
            "src/mix.lock": b"%{",
            "src/Package.resolved": b"[" * 10_000,
        }
    )
    inventory = squash([index_layer([content])])
    assert {warning.path for warning in inventory.warnings} == {
        "usr/bin/rusty",
        "src/Cargo.lock",
        "src/mix.lock",
        "src/Package.resolved",
    }
    # What another cataloger finds in the same file is kept.
    assert {installed.package.name for installed in inventory.packages} == {"stdlib", "golang.org/x/net"}
