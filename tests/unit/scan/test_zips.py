"""Zip archives: what a JVM would open is read, and no claim of theirs costs more than the budget."""

import io
import struct
import zipfile
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.zip_archives import archive, ended, entry

from openecr.scan.limits import LIMITS, LimitExceeded
from openecr.scan.zips import Budget, ZipRefused, entry_bytes, zip_entries

FILES = {"a.txt": b"first" * 1000, "b/c.txt": b"", "é.txt": b"x"}


def contents(raw: bytes, budget: Budget | None = None) -> list[tuple[str, bytes]]:
    content = io.BytesIO(raw)
    budget = budget or Budget.of(LIMITS)
    return [(found.name, entry_bytes(content, found, budget, 1 << 20)) for found in list(zip_entries(content, budget))]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\nexec java -jar $0\n"], ids=["plain", "after a script"])
@pytest.mark.parametrize("comment", [b"", b"a comment", b"PK\x05\x06" + bytes(30)], ids=["", "comment", "false end"])
def test_entries_are_read(compression: int, before: bytes, comment: bytes) -> None:
    written = io.BytesIO(archive(FILES, compression))
    with zipfile.ZipFile(written, "a") as writing:
        writing.comment = comment
    assert contents(before + written.getvalue()) == list(FILES.items())


def test_an_archive_of_64_bit_offsets_is_read() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as writing, writing.open("a", "w", force_zip64=True) as file:
        file.write(b"content")
    raw = written.getvalue()
    directory = raw[raw.index(b"PK\x01\x02") : raw.index(b"PK\x05\x06")]
    start = len(raw) - len(directory) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert contents(raw[:-22] + record + locator + end) == [("a", b"content")]


def test_sizes_and_offsets_of_64_bits_are_in_the_extra_field() -> None:
    extra = struct.pack("<2H3Q", 1, 24, 7, 7, 0)
    local, line = entry(b"a", b"content", method=0, claimed_bytes=0xFFFFFFFF, compressed_bytes=0xFFFFFFFF, extra=extra)
    assert contents(ended(local, line)) == [("a", b"content")]
    wrong = struct.pack("<2H", 1, 60_000)
    local, line = entry(b"a", b"content", method=0, claimed_bytes=0xFFFFFFFF, compressed_bytes=0xFFFFFFFF, extra=wrong)
    with pytest.raises(ZipRefused, match="is cut off"):
        contents(ended(local, line))


class TestTricks:
    def test_a_checksum_and_a_size_that_lie_hide_nothing(self) -> None:
        local, line = entry(b"a", b"content", claimed_bytes=1)
        assert contents(ended(local, line)) == [("a", b"content")]

    def test_entries_of_one_name_are_all_read(self) -> None:
        first, first_line = entry(b"a", b"1")
        second, second_line = entry(b"a", b"2", offset=len(first))
        assert contents(ended(first + second, first_line + second_line)) == [("a", b"1"), ("a", b"2")]

    def test_entries_that_overlap_use_up_the_budget(self) -> None:
        local, line = entry(b"a", bytes(1 << 20))
        raw = ended(local, line * 2000, entries=2000)
        with pytest.raises(LimitExceeded, match="more bytes than are read"):
            contents(raw, Budget(bytes_left=10 << 20, entries_left=10_000))

    def test_more_entries_than_are_read(self) -> None:
        local, line = entry(b"a", b"")
        with pytest.raises(LimitExceeded, match="more entries than are read"):
            contents(ended(local, line * 2000), Budget(bytes_left=1 << 20, entries_left=1999))

    def test_a_bomb_is_inflated_no_further_than_is_allowed(self) -> None:
        local, line = entry(b"a", bytes(64 << 20))
        content = io.BytesIO(ended(local, line))
        budget = Budget.of(LIMITS)
        (bomb,) = zip_entries(content, budget)
        with pytest.raises(ZipRefused, match="is larger than 1048576 bytes"):
            entry_bytes(content, bomb, budget, 1 << 20)
        assert budget.bytes_left > LIMITS.archive_bytes - (2 << 20)

    def test_an_end_of_central_directory_in_the_comment_is_none(self) -> None:
        local, line = entry(b"a", b"content")
        fake = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 7)
        assert contents(ended(local, line, comment=fake)) == [("a", b"content")]

    @pytest.mark.parametrize(
        ("lie", "message"),
        [
            ({"flags": 1}, "is encrypted"),
            ({"method": 99}, "compressed by method 99"),
            ({"offset": 5}, "is not where the directory says"),
            ({"offset": 1 << 31}, "is not where the directory says"),
            ({"compressed_bytes": 1 << 30, "method": 0}, "is cut off"),
        ],
    )
    def test_an_entry_that_cannot_be_read_is_refused(self, lie: dict[str, int], message: str) -> None:
        local, line = entry(b"a", b"content", **lie)  # type: ignore[arg-type]
        with pytest.raises(ZipRefused, match=message):
            contents(ended(local, line))

    def test_damaged_data_is_refused(self) -> None:
        local, line = entry(b"a", b"content")
        with pytest.raises(ZipRefused, match="is damaged"):
            contents(ended(local[:31] + b"\xff\xff\xff" + local[34:], line))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"PK\x05\x06",
            b"no archive" * 100,
            b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 1000, 0, 0),
            b"x" * 10 + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 0, 1000, 0),
            bytes(100) + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 100, 0, 0),
            bytes(100) + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0),
        ],
    )
    def test_what_is_no_archive_is_refused(self, raw: bytes) -> None:
        with pytest.raises(ZipRefused):
            contents(raw)

    @given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 300))
    def test_damage_anywhere_is_refused_or_harmless(self, position: int, byte: int, cut: int) -> None:
        raw = bytearray(archive({"META-INF/MANIFEST.MF": b"a: b\n", "x": b"y" * 100}))
        raw[position % len(raw)] = byte
        raw = raw[: len(raw) - cut]
        budget = Budget.of(replace(LIMITS, archive_bytes=1 << 16))
        with suppress(ZipRefused, LimitExceeded):
            contents(bytes(raw), budget)
