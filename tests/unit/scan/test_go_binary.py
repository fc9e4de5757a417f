"""Go programs: what they say of themselves, in every format and layout, and what they cannot make the reader do."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.go_build_infos import MAGIC, MARK, inline, pointed, varint
from tests.scanned_files import read, versions, wanted
from tests.written_executables import elf, fat, mach_o, pe

from openecr.scan.catalogers.go_binary import GO_BINARY

_SYMBOL = struct.Struct("<IBBHQQ")
FIXTURE = Path(__file__).parent / "fixtures" / "go-program" / "buildinfo.bin"
LINES = (
    "path\texample.com/serve/cmd/serve\n"
    "mod\texample.com/serve\tv1.4.0\th1:aaaa=\n"
    "dep\tgolang.org/x/text\tv0.3.5\th1:bbbb=\n"
    "dep\tgopkg.in/yaml.v2\tv2.2.3\n"
    "=>\tgopkg.in/yaml.v2\tv2.2.2\th1:cccc=\n"
    "dep\texample.com/forked\tv1.0.0\n"
    "=>\t./forked\n"
    "build\t-compiler=gc\n"
)
HELD = {
    "stdlib": "1.22.5",
    "example.com/serve": "v1.4.0",
    "golang.org/x/text": "v0.3.5",
    "gopkg.in/yaml.v2": "v2.2.2",
}


@pytest.mark.parametrize(
    "content",
    [
        elf({".go.buildinfo": inline("go1.22.5", LINES)}),
        elf({".go.buildinfo": inline("go1.22.5", LINES)}, wide=False),
        elf({".go.buildinfo": inline("go1.22.5", LINES)}, headers=False),
        elf({".go.buildinfo": pointed("go1.22.5", LINES)}),
        elf({".go.buildinfo": pointed("go1.22.5", LINES, big_endian=True)}, big_endian=True),
        elf({".go.buildinfo": pointed("go1.22.5", LINES, wide=False)}, wide=False),
        elf({".go.buildinfo": pointed("go1.22.5", LINES, wide=False, big_endian=True)}, wide=False, big_endian=True),
        pe({".text": b"code", ".data": inline("go1.22.5", LINES)}),
        pe({".data": pointed("go1.22.5", LINES)}),
        pe({".data": pointed("go1.22.5", LINES, wide=False)}, wide=False),
        mach_o({"__DATA,__go_buildinfo": inline("go1.22.5", LINES)}),
        mach_o({"__DATA,__go_buildinfo": pointed("go1.22.5", LINES)}),
        fat(mach_o({"__DATA,__go_buildinfo": pointed("go1.22.5", LINES)})),
    ],
)
def test_modules_of_a_program_with_replacements_in_place_of_what_they_replace(content: bytes) -> None:
    packages = read(GO_BINARY, "usr/bin/serve", content)
    assert versions(packages) == HELD
    assert {(package.ecosystem, package.kind, package.declared) for package in packages} == {("Go", "go-binary", False)}


def test_the_section_that_gos_linker_wrote() -> None:
    packages = read(GO_BINARY, "usr/bin/planted", elf({".go.buildinfo": FIXTURE.read_bytes()}))
    assert versions(packages) == {
        "stdlib": "1.26.8",
        "example.com/planted": "1.2.3",
        "golang.org/x/text": "v0.3.5",
        "gopkg.in/yaml.v2": "v2.2.2",
    }


@pytest.mark.parametrize(
    ("toolchain", "version"),
    [
        ("go1.22.5", "1.22.5"),
        ("go1.22.5 X:boringcrypto", "1.22.5"),
        ("go1.21rc2", "1.21rc2"),
        ("go1.20", "1.20"),
        ("go1.23-20240626-RC01 cl/646990413 +5a18e79687 X:fieldtrack,boringcrypto", "1.23"),
        ("devel go1.24-abcdef123 Mon Jan 1 00:00:00 2024", None),
        ("unknown", None),
        ("go٢.3", None),
    ],
)
def test_the_standard_library_is_of_the_toolchain(toolchain: str, version: str | None) -> None:
    found = versions(
        read(GO_BINARY, "bin/a", elf({".go.buildinfo": inline(toolchain, "path\tcommand-line-arguments\n")}))
    )
    assert found.get("stdlib") == version


def test_gos_own_command_is_the_toolchain_too() -> None:
    found = versions(
        read(GO_BINARY, "usr/local/go/bin/go", elf({".go.buildinfo": inline("go1.22.5", "path\tcmd/go\n")}))
    )
    assert found == {"stdlib": "1.22.5", "toolchain": "1.22.5"}


@pytest.mark.parametrize(
    ("recorded", "flags", "version"),
    [
        ("v1.2.3", "-X main.version=9.9.9", "v1.2.3"),
        ("v1.2.3+incompatible", "", "v1.2.3+incompatible"),
        ("(devel)", "", None),
        ("(devel)", "-s -w -X main.version=1.2.3", "1.2.3"),
        ("(devel)", '"-s -w -X \'main.version=v1.2.3\' -X \\"main.date=a b\\""', "v1.2.3"),
        ("(devel)", "`-X=main.Version=1.2.3-rc.1`", "1.2.3-rc.1"),
        ("(devel)", "-X example.com/serve/pkg/version.gitVersion=v1.30.1", "v1.30.1"),
        ("(devel)", "-X a/version.Version=1.0.0 -X b/version.Version=2.0.0", None),
        ("(devel)", "-X a/version.Version=1.0.0 -X main.version=2.0.0", "2.0.0"),
        ("(devel)", "-X main.version=dev", None),
        ("(devel)", "-X main.goVersion=1.21.0 -X", "1.21.0"),
        ("(devel)", "-X example.com/dependency.version=1.0.0", None),
        ("(devel)", "-X 'unbalanced", None),
        ("v0.0.0-20240102030405-abcdefabcdef", "-X main.version=1.2.3", "1.2.3"),
        ("v0.0.0-20240102030405-abcdefabcdef", "", "v0.0.0-20240102030405-abcdefabcdef"),
        ("v1.2.4-0.20240102030405-abcdefabcdef+dirty", "-X main.version=v1.2.3", "v1.2.3"),
    ],
)
def test_the_programs_own_version_is_that_of_the_best_witness(recorded: str, flags: str, version: str | None) -> None:
    lines = f"path\ta/b\nmod\ta/b\t{recorded}\t\nbuild\t-ldflags={flags}\n"
    found = versions(read(GO_BINARY, "bin/b", elf({".go.buildinfo": inline("go1.22.5", lines)})))
    assert found.get("a/b") == version


def test_what_the_linker_set_is_found_by_its_symbol_where_flags_are_not_recorded() -> None:
    lines = "path\ta/b\nmod\ta/b\t(devel)\t\nbuild\t-trimpath=true\n"
    names = b"\0runtime.main\0main.version.str\0"

    def symbols(name_at: int) -> bytes:
        text_address = 0x40_0000 + 128  # the first section of the written file
        rows = [(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, name_at, 5), (name_at, 1, 0, 0, text_address, 6)]
        return b"".join(_SYMBOL.pack(*row) for row in rows)

    sections = {
        ".rodata": b"1.2.5\0",
        ".go.buildinfo": inline("go1.22.5", lines),
        ".symtab": symbols(names.index(b"main.version.str")),
        ".strtab": names,
    }
    assert versions(read(GO_BINARY, "bin/b", elf(sections)))["a/b"] == "1.2.5"


@pytest.mark.parametrize(
    "section",
    [
        b"",
        MAGIC,
        MAGIC + bytes([8, 2]),
        (MAGIC + bytes([8, 2])).ljust(32, b"\0"),
        (MAGIC + bytes([8, 2])).ljust(32, b"\0") + b"\xff" * 40,
        (MAGIC + bytes([8, 2])).ljust(32, b"\0") + varint(1 << 34) + b"go1.22.5",
        (MAGIC + bytes([8, 2])).ljust(32, b"\0") + varint(300) + b"g" * 300,
        (MAGIC + bytes([8, 0])).ljust(32, b"\xff"),
        (MAGIC + bytes([3, 0])).ljust(32, b"\0"),
        (MAGIC + bytes([8, 0])).ljust(32, b"\0"),
        b"x" + inline("go1.22.5"),
    ],
)
def test_a_broken_header_testifies_to_nothing(section: bytes) -> None:
    assert read(GO_BINARY, "bin/b", elf({".data": bytes(16), ".go.buildinfo": section})) == ()


def test_a_header_that_points_at_itself_or_beyond_the_file_ends() -> None:
    def itself(address: int) -> bytes:
        return (MAGIC + bytes([8, 0])).ljust(16, b"\0") + address.to_bytes(8, "little") * 2

    assert read(GO_BINARY, "bin/b", elf({".go.buildinfo": itself})) == ()


@pytest.mark.parametrize(
    "modules",
    [varint(1 << 30), varint(33) + b"x" * 33, varint(20) + b"y" * 20, varint(len(MARK)) + MARK],
)
def test_modules_that_are_cut_off_or_not_framed_leave_the_standard_library(modules: bytes) -> None:
    section = (MAGIC + bytes([8, 2])).ljust(32, b"\0") + varint(8) + b"go1.22.5" + modules
    assert versions(read(GO_BINARY, "bin/b", elf({".go.buildinfo": section}))) == {"stdlib": "1.22.5"}


def test_lines_without_columns_are_passed_over() -> None:
    section = inline("go1.22.5", "=>\tx\tv1\ndep\ndep\t\tv1\ndep\ta\nmod\nbuild\n\t\t\n")
    assert versions(read(GO_BINARY, "bin/b", elf({".go.buildinfo": section}))) == {"stdlib": "1.22.5"}


@pytest.mark.parametrize("content", [b"\x7fELF", b"MZ", elf({".text": b"code"}), pe({}), mach_o({})])
def test_other_programs_testify_to_nothing(content: bytes) -> None:
    assert read(GO_BINARY, "bin/b", content) == ()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6), st.booleans())
def test_any_bytes_are_read(changes: list[tuple[int, int]], old: bool) -> None:
    section = pointed("go1.22.5", LINES) if old else inline("go1.22.5", LINES)
    content = bytearray(elf({".go.buildinfo": section}))
    for position, byte in changes:
        content[position] = byte
    GO_BINARY.read(wanted("bin/b", bytes(content)))
