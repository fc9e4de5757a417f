"""Records out of zips and folders, and what hostile ones cost."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vulnerability_records import bulk, mirror, record, zipped

from openecr.scan.vulndb.archives import ArchiveLimits, RawRecord, SourceRefused, records_of, size_bytes
from openecr.scan.vulndb.zip_reading import ZipLimits, ZipReader, ZipRefused

ONE, TWO = record("GHSA-1"), record("GHSA-2")
_ENTRY_AT, _SIZE_AT, _NAME_AT = 42, 24, 46
"""In an entry of the directory: the offset of its file, its size, its name."""


def found(place: Path, tmp_path: Path, limits: ArchiveLimits | None = None) -> list[RawRecord]:
    return list(records_of(place, scratch=tmp_path, limits=limits or ArchiveLimits()))


def ids(place: Path, tmp_path: Path) -> list[str]:
    return [json.loads(one.content or b"{}")["id"] for one in found(place, tmp_path)]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "given.zip"
    path.write_bytes(content)
    return path


def why(tmp_path: Path, content: bytes, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(SourceRefused) as refused:
        found(written(tmp_path, content), tmp_path, limits)
    return str(refused.value)


def test_every_layout_is_read(tmp_path: Path) -> None:
    exports = mirror(tmp_path / "exports", PyPI=[ONE], npm=[TWO])
    assert ids(exports, tmp_path) == ["GHSA-1", "GHSA-2"]
    assert ids(exports / "PyPI" / "all.zip", tmp_path) == ["GHSA-1"]
    assert size_bytes(exports) == sum(path.stat().st_size for path in exports.glob("*/all.zip"))

    whole = zipped({"PyPI/all.zip": bulk([ONE]), "npm/all.zip": bulk([TWO])}, compression=zipfile.ZIP_STORED)
    assert ids(written(tmp_path, whole), tmp_path) == ["GHSA-1", "GHSA-2"]

    plain = tmp_path / "plain" / "a" / "b"
    plain.mkdir(parents=True)
    (plain / "GHSA-1.json").write_text(json.dumps(ONE))
    (plain / "README.md").write_text("no record")
    assert ids(tmp_path / "plain", tmp_path) == ["GHSA-1"]


def test_nothing_outside_of_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(TWO))
    (tmp_path / "folder" / ".git").mkdir(parents=True)
    (tmp_path / "folder" / ".git" / "GHSA-2.json").write_text(json.dumps(TWO))
    (tmp_path / "folder" / "GHSA-1.json").write_text(json.dumps(ONE))
    (tmp_path / "folder" / "link.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "folder" / "pipe.json")

    assert ids(tmp_path / "folder", tmp_path) == ["GHSA-1"]


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    names = ["../../GHSA-1.json", "/etc/GHSA-2.json", "a\\..\\b.json", "x" * 60_000 + ".json"]
    read = found(written(tmp_path, zipped(dict.fromkeys(names, ONE))), tmp_path)

    assert len(read) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["given.zip"]


def test_a_zip_of_zips_is_opened_once(tmp_path: Path) -> None:
    inner = zipped({"deeper.zip": bulk([ONE]), "GHSA-2.json": TWO})
    assert ids(written(tmp_path, zipped({"all.zip": inner})), tmp_path) == ["GHSA-2"]


def test_a_giant_record_is_not_held(tmp_path: Path) -> None:
    giant = zipped({"GHSA-1.json": b" " * 40_000_000, "GHSA-2.json": TWO})
    limits = ArchiveLimits(record_bytes=1_000_000)

    tracemalloc.start()
    read = found(written(tmp_path, giant), tmp_path, limits)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [one.content is None for one in read] == [True, False]
    assert peak_bytes < 8_000_000


def test_a_bomb_is_left_once_it_is_known_for_one(tmp_path: Path) -> None:
    bomb = zipped({f"{number}.json": b" " * 30_000_000 for number in range(10)})
    assert why(tmp_path, bomb).endswith("inflates to more than 200 times its size")
    assert why(tmp_path, zipped({"all.zip": bomb})).endswith("inflates to more than 200 times its size")


def test_entries_that_share_their_bytes_are_a_bomb_too(tmp_path: Path) -> None:
    """A directory may name the same bytes any number of times."""
    one = zipped({"GHSA-1.json": b" " * 20_000_000})
    start = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    entry, times = one[start:end], 500
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, times, times, len(entry) * times, start, 0)

    assert why(tmp_path, one[:start] + entry * times + tail).endswith("inflates to more than 200 times its size")


def test_entries_are_not_held(tmp_path: Path) -> None:
    """``zipfile`` makes an object of each before the first is read: a million are a GB."""
    one = zipped({"a": b""}, compression=zipfile.ZIP_STORED)
    start, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    entry, times = one[start:end], 100_000
    at = start + len(entry) * times
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, times, times, len(entry) * times, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path = written(tmp_path, one[:start] + entry * times + wide + locator + tail)

    tracemalloc.start()
    with path.open("rb") as file:
        assert sum(1 for _ in ZipReader(file)) == times
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4_000_000

    told = why(tmp_path, path.read_bytes(), ArchiveLimits(zips=ZipLimits(entries=99_999)))
    assert told.endswith("holds 100000 files, more than the 99999 that are read")


def test_damage_is_told(tmp_path: Path) -> None:
    sound = bulk([ONE, TWO])
    start = sound.index(b"PK\x01\x02")
    assert why(tmp_path, sound[:-40]).endswith("is no zip, or is cut")
    assert why(tmp_path, b"").endswith("is no zip, or is cut")
    assert why(tmp_path, b"PK\x03\x04" + b"\x00" * 100).endswith("is no zip, or is cut")
    assert "is damaged" in why(tmp_path, sound[100:])
    assert "is damaged" in why(tmp_path, patched(sound, 60, b"\xff\xff\xff"))
    assert "is damaged" in why(tmp_path, patched(sound, start + _ENTRY_AT, struct.pack("<L", 7)))
    assert "is damaged" in why(tmp_path, patched(sound, start + _SIZE_AT, struct.pack("<L", 7)))
    assert "encrypted" in why(tmp_path, patched(sound, start + 8, b"\x01\x00"))
    assert "method 99" in why(tmp_path, patched(sound, start + 10, struct.pack("<H", 99)))
    assert "fewer files" in why(tmp_path, patched(sound, len(sound) - 12, struct.pack("<H", 3)))


def patched(content: bytes, at: int, with_these: bytes) -> bytes:
    return content[:at] + with_these + content[at + len(with_these) :]


def test_a_checksum_that_is_wrong_is_no_record(tmp_path: Path) -> None:
    stored = zipped({"GHSA-1.json": ONE}, compression=zipfile.ZIP_STORED)
    assert why(tmp_path, stored.replace(b'"fixed": "2.0"', b'"fixed": "3.0"')).endswith("not what its checksum says")


@given(st.dictionaries(st.text("abc/.", min_size=1), st.binary(max_size=2000), max_size=8), st.booleans())
def test_what_a_zip_holds_is_read_as_zipfile_reads_it(files: dict[str, bytes], packed: bool) -> None:
    content = zipped(files, compression=zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    reader = ZipReader(io.BytesIO(content))

    assert {entry.name: reader.content(entry, 10_000) for entry in reader} == files


@given(st.data())
def test_any_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    content = bytearray(bulk([ONE, TWO]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        reader = ZipReader(io.BytesIO(bytes(content)))
        for entry in reader:
            read = reader.content(entry, 10_000)
            assert read is None or zlib.crc32(read) == entry.crc32
    except ZipRefused:
        pass
