"""Debian's and Alpine's databases."""

from io import BytesIO

import pytest
from tests.unit.scan.archives import files

from openecr.scan.cataloger import WantedFile
from openecr.scan.catalogers.apk import CATALOGERS as APK
from openecr.scan.catalogers.dpkg import CATALOGERS as DPKG
from openecr.scan.layers import index_layer
from openecr.scan.limits import LIMITS, Limits
from openecr.scan.packages import Package

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u4
Description: GNU C Library: Shared libraries
 Contains the standard libraries.
 Package: not-one
 .
 Status: nothing

Package: cpp
Status: hold ok installed
Architecture: amd64
Source: gcc-defaults (1.203)
version: 4:12.2.0-3

Package: gone
Status: deinstall ok config-files
Version: 1

Package: half
Status: install reinstreq half-installed
Version: 1

Package: caf\udce9
Status: install ok installed
Version: 1

Version: 1
Status: install ok installed
"""


def status(text: str) -> dict[str, bytes]:
    return {"var/lib/dpkg/status": text.encode(errors="surrogateescape")}


def packages(contents: dict[str, bytes]) -> list[Package]:
    inventory = index_layer([files(dict(contents))])
    assert inventory.warnings == ()
    return [package for facts in inventory.files.values() for package in facts.packages]


def test_what_is_installed_with_its_source() -> None:
    assert packages(status(STATUS)) == [
        _debian("libc6", "2.36-9+deb12u4", "amd64", "glibc", "2.36-9+deb12u4"),
        _debian("cpp", "4:12.2.0-3", "amd64", "gcc-defaults", "1.203"),
        _debian("caf\\xe9", "1"),
    ]


def _debian(name: str, version: str, architecture: str = "", source: str = "", source_version: str = "") -> Package:
    return Package(
        "dpkg",
        name,
        version,
        "dpkg",
        architecture=architecture,
        source_name=source,
        source_version=source_version,
    )


def test_line_ends_and_blank_lines_of_other_kinds() -> None:
    text = STATUS.replace("\n\n", "\n \n\n").replace("\n", "\r\n")
    assert [package.name for package in packages(status(text))] == ["libc6", "cpp", "caf\\xe9"]


def test_distroless_keeps_a_stanza_a_file_and_no_status() -> None:
    contents = {
        "var/lib/dpkg/status.d/libssl3": b"Package: libssl3\nSource: openssl\nVersion: 3.0.11-1\nArchitecture: amd64\n",
        "var/lib/dpkg/status.d/libssl3.md5sums": b"0123456789  ./usr/lib/libssl.so.3\n0a  usr/share/x y\nrubbish\n",
        "var/lib/dpkg/status.d/removed": b"Package: removed\nStatus: deinstall ok config-files\nVersion: 1\n",
    }
    inventory = index_layer([files(dict(contents))])
    assert [package.name for package in packages(contents)] == ["libssl3"]
    owned_paths = inventory.files["var/lib/dpkg/status.d/libssl3.md5sums"].owned_paths
    assert owned_paths == ("usr/lib/libssl.so.3", "usr/share/x y")


def test_openwrts_opkg() -> None:
    text = b"Package: busybox\nVersion: 1.36.1-1\nStatus: install user installed\nArchitecture: x86_64\n"
    assert [package.name for package in packages({"usr/lib/opkg/status": text})] == ["busybox"]


def test_the_files_of_a_package_without_its_directories() -> None:
    contents = {
        "var/lib/dpkg/info/libc6:amd64.list": b"/.\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/libc.so.6\n"
        b"/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/libc6\n/usr/share/doc/libc6/copyright\n",
        "var/lib/dpkg/info/libc6:amd64.postinst": b"#!/bin/sh\n",
    }
    inventory = index_layer([files(dict(contents))])
    assert inventory.files["var/lib/dpkg/info/libc6:amd64.list"].owned_paths == (
        "lib/x86_64-linux-gnu/libc.so.6",
        "usr/share/doc/libc6/copyright",
    )
    assert "var/lib/dpkg/info/libc6:amd64.postinst" not in inventory.files


INSTALLED = b"""\
C:Q1abc=
P:libcrypto3
V:3.1.4-r5
A:x86_64
S:1
L:Apache-2.0
o:openssl
p:so:libcrypto.so.3=3
F:lib
R:libcrypto.so.3
a:0:0:755
Z:Q1def=
F:
R:README
F:etc/ssl
R:openssl.cnf

P:musl
V:1.2.4-r2
A:x86_64
o:musl
L:MIT

P:.build-deps
V:20240101.000000
A:noarch

V:1
"""


@pytest.mark.parametrize("path", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_alpines_packages_with_origin_and_files(path: str) -> None:
    inventory = index_layer([files({path: INSTALLED})])
    assert inventory.files[path].packages == (
        Package(
            "apk",
            "libcrypto3",
            "3.1.4-r5",
            "apk",
            architecture="x86_64",
            source_name="openssl",
            source_version="3.1.4-r5",
            licenses=("Apache-2.0",),
        ),
        Package("apk", "musl", "1.2.4-r2", "apk", architecture="x86_64", licenses=("MIT",)),
    )
    assert inventory.files[path].owned_paths == ("lib/libcrypto.so.3", "README", "etc/ssl/openssl.cnf")


def test_databases_larger_than_texts_may_be_are_refused() -> None:
    file = WantedFile("var/lib/dpkg/status", 101, BytesIO(bytes(101)), Limits(text_bytes=100))
    for cataloger in (*DPKG, *APK):
        with pytest.raises(ValueError, match="larger than 100 bytes"):
            cataloger.read(file)
    assert LIMITS.text_bytes <= 64 << 20
