"""Rust: what cargo-auditable writes into programs, and Cargo.lock."""

import json
import zlib
from pathlib import Path

import pytest
from tests.scanned_files import read, versions
from tests.written_executables import elf, mach_o, pe

from openecr.scan.catalogers.cargo import CARGO_AUDITABLE, CARGO_LOCK

FIXTURE = Path(__file__).parent / "fixtures" / "rust-program" / "dep-v0.bin"


def written(*packages: dict[str, object]) -> bytes:
    return zlib.compress(json.dumps({"packages": packages}).encode())


def test_the_section_that_cargo_auditable_wrote() -> None:
    packages = read(CARGO_AUDITABLE, "usr/bin/planted", elf({".dep-v0": FIXTURE.read_bytes()}))
    # cfg-if only ran when the program was built; planted itself is no crate of the registry.
    assert versions(packages) == {"fnv": "1.0.7", "itoa": "1.0.9"}
    assert {(package.ecosystem, package.kind, package.declared) for package in packages} == {
        ("crates.io", "cargo-auditable", False)
    }


@pytest.mark.parametrize("wrapped", [elf, pe])
def test_the_section_in_other_formats(wrapped: object) -> None:
    content = wrapped({".dep-v0": FIXTURE.read_bytes()})  # type: ignore[operator]
    assert versions(read(CARGO_AUDITABLE, "a.exe", content)) == {"fnv": "1.0.7", "itoa": "1.0.9"}


def test_the_section_in_mach_o() -> None:
    content = mach_o({"__DATA,.dep-v0": FIXTURE.read_bytes()}, big_endian=True)
    assert versions(read(CARGO_AUDITABLE, "a", content)) == {"fnv": "1.0.7", "itoa": "1.0.9"}


def test_a_program_that_was_installed_from_the_registry_is_a_crate_itself() -> None:
    section = written(
        {"name": "ripgrep", "version": "14.0.0", "source": "crates.io", "root": True},
        {"name": "forked", "version": "1.0.0", "source": "git"},
        {"name": "ours", "version": "1.0.0", "source": "registry"},
        {"name": "two", "version": "1.0.0", "source": "crates.io"},
        {"name": "two", "version": "2.0.0", "source": "crates.io"},
    )
    packages = read(CARGO_AUDITABLE, "bin/rg", elf({".dep-v0": section}))
    assert [(package.name, package.version) for package in packages] == [
        ("ripgrep", "14.0.0"),
        ("two", "1.0.0"),
        ("two", "2.0.0"),
    ]


@pytest.mark.parametrize(
    "section",
    [
        zlib.compress(b" " * (64 << 20)),
        zlib.compress(b"{}" * 100)[:20],
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"packages": '),
        b"not zlib",
    ],
    ids=["bomb", "cut off", "deep", "no JSON", "no zlib"],
)
def test_a_section_that_is_no_list_of_crates_is_refused(section: bytes) -> None:
    with pytest.raises((ValueError, zlib.error)):
        read(CARGO_AUDITABLE, "bin/a", elf({".dep-v0": section}))


@pytest.mark.parametrize(
    "document", [b"{}", b"[]", b'{"packages": 1}', b'{"packages": [1, {"name": 1, "version": []}]}']
)
def test_shapes_that_nobody_writes_testify_to_nothing(document: bytes) -> None:
    assert read(CARGO_AUDITABLE, "bin/a", elf({".dep-v0": zlib.compress(document)})) == ()


def test_other_programs_testify_to_nothing() -> None:
    assert read(CARGO_AUDITABLE, "bin/a", elf({".text": b"code"})) == ()
    assert read(CARGO_AUDITABLE, "bin/a", elf({".dep-v0": b""})) == ()


LOCK = """
version = 4

[[package]]
name = "time"
version = "0.1.43"
source = "registry+https://git.example.com/index/crates.io-index"
checksum = "00"
dependencies = ["libc"]

[[package]]
name = "ours"
version = "1.0.0"

[[package]]
name = "forked"
version = "0.2.0"
source = "git+https://git.example.com/forked#abc"

[[package]]
name = "private"
version = "0.3.0"
source = "registry+https://git.example.com/private-index"
"""


def test_crates_of_the_public_registry_in_a_lock_file() -> None:
    (package,) = read(CARGO_LOCK, "src/Cargo.lock", LOCK)
    assert (package.ecosystem, package.name, package.version) == ("crates.io", "time", "0.1.43")
    assert (package.kind, package.declared) == ("cargo-lock", True)


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + b"[" * 100_000,
        b"package = [" + b"{a=" * 5000,
        b"a" + b".a" * 100_000 + b" = 1",
        b"\xff",
        b"[[package]]\nname =",
    ],
)
def test_a_lock_file_that_is_no_toml_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read(CARGO_LOCK, "Cargo.lock", content)


def test_a_lock_file_without_packages() -> None:
    assert read(CARGO_LOCK, "Cargo.lock", "package = 1") == ()
    assert read(CARGO_LOCK, "Cargo.lock", "version = 3") == ()
