"""Sections and segments of executables, whatever their headers say."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.written_executables import BASE, elf, fat, mach_o, pe

from openecr.scan.executables import Executable, SourceFile, read_executable

CONTENT = b"what the section holds"


def opened(content: bytes) -> Executable | None:
    return read_executable(SourceFile(io.BytesIO(content), len(content)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".a", elf({".a": CONTENT})),
        (".a", elf({".a": CONTENT}, big_endian=True)),
        (".a", elf({".a": CONTENT}, wide=False)),
        (".a", elf({".a": CONTENT}, wide=False, big_endian=True)),
        (".b", elf({".a": b"other", ".b": CONTENT})),
        (".a", pe({".a": CONTENT})),
        (".a", pe({".data": b"other", ".a": CONTENT}, wide=False)),
        ("__DATA,a", mach_o({"__DATA,a": CONTENT})),
        ("__DATA,a", mach_o({"__DATA,a": CONTENT}, wide=False)),
        ("__DATA,a", mach_o({"__DATA,b": b"other", "__DATA,a": CONTENT}, big_endian=True)),
        ("__DATA,a", fat(mach_o({"__DATA,a": CONTENT}), mach_o({"__DATA,a": b"of another processor"}))),
    ],
)
def test_a_section_is_found_by_its_name_and_its_address(name: str, content: bytes) -> None:
    executable = opened(content)
    assert executable is not None
    section = executable.section(name)
    assert section is not None
    assert executable.section_bytes(section, 1000) == CONTENT
    assert executable.section_bytes(section, 4) == CONTENT[:4]
    assert executable.at_address(section.address + 5, 3) == CONTENT[5:8]
    assert executable.at_address(0xFFFF_0000, 3) == b""


def test_without_section_headers_there_are_segments() -> None:
    executable = opened(elf({".a": CONTENT}, headers=False))
    assert executable is not None
    assert executable.sections == ()
    assert [(segment.address, segment.writable) for segment in executable.segments] == [(BASE, True)]


@pytest.mark.parametrize(
    "content",
    [b"", b"MZ", b"MZ is how this text begins" * 10, b"\x7fELF", b"\x7fELF\x09\x09" + bytes(100), b"\xca\xfe\xba\xbe"],
)
def test_what_only_begins_like_an_executable_is_none(content: bytes) -> None:
    assert opened(content) is None


def test_a_java_class_is_no_executable_of_many_processors() -> None:
    assert opened(b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(100)) is None


def test_a_section_never_reaches_beyond_the_file() -> None:
    content = bytearray(elf({".a": CONTENT}))
    table_at = struct.unpack_from("<Q", content, 40)[0]
    struct.pack_into("<Q", content, table_at + 64 + 32, 1 << 62)
    executable = opened(bytes(content))
    assert executable is not None
    section = executable.section(".a")
    assert section is not None
    assert section.offset + section.size_bytes == len(content)
    struct.pack_into("<Q", content, table_at + 64 + 24, (1 << 64) - 8)
    executable = opened(bytes(content))
    assert executable is not None
    section = executable.section(".a")
    assert section is not None
    assert section.size_bytes == 0
    assert executable.section_bytes(section, 100) == b""


def test_a_count_of_sections_in_the_first_of_them_is_not_believed_without_bound() -> None:
    content = bytearray(elf({".a": CONTENT}))
    table_at = struct.unpack_from("<Q", content, 40)[0]
    struct.pack_into("<H", content, 60, 0)
    struct.pack_into("<Q", content, table_at + 32, 1 << 40)
    assert opened(bytes(content)) is None


def test_a_load_command_without_length_does_not_hold_the_reader() -> None:
    content = bytearray(mach_o({"__DATA,a": CONTENT}))
    struct.pack_into("<I", content, 16, 0xFFFF_FFFF)
    struct.pack_into("<I", content, 36, 0)
    assert opened(bytes(content)) is None


def test_an_executable_of_several_that_begins_beyond_the_file_is_none() -> None:
    content = bytearray(fat(mach_o({"__DATA,a": CONTENT})))
    struct.pack_into(">I", content, 16, 0xFFFF_FFF0)
    assert opened(bytes(content)) is None


WHOLE = (
    elf({".a": CONTENT}),
    elf({".a": CONTENT}, wide=False, big_endian=True),
    pe({".a": CONTENT}),
    mach_o({"__DATA,a": CONTENT}),
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8),
    st.integers(0, 2000),
)
def test_headers_of_any_bytes_are_read_or_refused(content: bytes, changes: list[tuple[int, int]], length: int) -> None:
    changed = bytearray(content)
    for position, byte in changes:
        if position < len(changed):
            changed[position] = byte
    executable = opened(bytes(changed[:length]) if length < len(changed) else bytes(changed))
    if executable is not None:
        for section in executable.sections:
            assert len(executable.section_bytes(section, 1 << 40)) <= len(changed)
        for segment in executable.segments:
            assert len(executable.at_address(segment.address, 1 << 40)) <= len(changed)
