"""Where records come from: bulk zips, a zip of them, folders of either, and of plain JSON.

The layout of OSV's exports: ``<ecosystem>/all.zip``, in it one ``ID.json`` for each record
(https://google.github.io/osv.dev/data/#data-dumps). Names decide nothing: a record says itself what it is about.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from openecr.scan.vulndb.zip_reading import ZIP_LIMITS, ZipEntry, ZipLimits, ZipReader, ZipRefused

_INNER_ZIP_BYTES = 16 * 1024 * 1024 * 1024
_FOLDER_DEPTH = 16
_BUFFER_BYTES = 256 * 1024


class SourceRefused(Exception):
    """A file or folder that records should come from cannot be used; one sentence."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What records, and what holds them, are bounded by."""

    record_bytes: int = 32 * 1024 * 1024
    zips: ZipLimits = ZIP_LIMITS


ARCHIVE_LIMITS = ArchiveLimits()


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A file that should be a record."""

    where: str
    """For whoever reads of it: the zip and the name in it."""
    content: bytes | None
    """None where it is larger than records may be."""


def records_of(
    place: Path, *, scratch: Path, limits: ArchiveLimits = ARCHIVE_LIMITS, advance: Callable[[int], None] | None = None
) -> Iterator[RawRecord]:
    """Every record of a zip or folder, those of a folder in the order of their names.

    Args:
        place: a zip, a zip that holds zips, or a folder of any of these and of JSON files.
        scratch: a folder for zips that lie in another zip.
        advance: told how many bytes of what ``size_bytes`` counts were read.
    Raises:
        SourceRefused
    """
    told = advance or (lambda _size_bytes: None)
    if not place.is_dir():
        yield from _of_zip(place, scratch, limits, told)
        return
    for file in _files(place, _FOLDER_DEPTH):
        if file.suffix.lower() == ".zip":
            yield from _of_zip(file, scratch, limits, told)
            continue
        size_bytes = file.stat().st_size
        content = file.read_bytes() if size_bytes <= limits.record_bytes else None
        told(size_bytes)
        yield RawRecord(str(file.relative_to(place)), content)


def size_bytes(place: Path) -> int:
    """How many bytes there are to read."""
    if not place.is_dir():
        return place.stat().st_size
    return sum(file.stat().st_size for file in _files(place, _FOLDER_DEPTH))


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """The zips and JSON files, without following links out of the folder, and without what is hidden."""
    if depth == 0:
        raise SourceRefused(f"{folder} lies deeper than {_FOLDER_DEPTH} folders; import the folder of the records")
    with os.scandir(folder) as listed:
        found = sorted(listed, key=lambda item: item.name)
    for item in found:
        if item.name.startswith("."):
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _files(Path(item.path), depth - 1)
        elif item.is_file(follow_symlinks=False) and item.name.lower().endswith((".zip", ".json")):
            yield Path(item.path)


def _of_zip(place: Path, scratch: Path, limits: ArchiveLimits, told: Callable[[int], None]) -> Iterator[RawRecord]:
    try:
        with place.open("rb", buffering=_BUFFER_BYTES) as file:
            reader = ZipReader(file, limits.zips)
            for entry in reader:
                told(entry.packed_bytes)
                if entry.name.lower().endswith(".zip"):
                    with _unpacked(reader, entry, scratch) as inner:
                        yield from _of_open_zip(inner, f"{place.name}: {_shown(entry)}", limits)
                else:
                    yield from _record(reader, entry, place.name, limits)
    except ZipRefused as refused:
        raise SourceRefused(f"{place} {refused}") from None


def _of_open_zip(file: BinaryIO, where: str, limits: ArchiveLimits) -> Iterator[RawRecord]:
    """The records of a zip that lies in a zip; zips in it are not opened."""
    try:
        reader = ZipReader(file, limits.zips)
        for entry in reader:
            yield from _record(reader, entry, where, limits)
    except ZipRefused as refused:
        raise SourceRefused(f"{where} {refused}") from None


def _record(reader: ZipReader, entry: ZipEntry, where: str, limits: ArchiveLimits) -> Iterator[RawRecord]:
    if entry.name.lower().endswith(".json"):
        yield RawRecord(f"{where}: {_shown(entry)}", reader.content(entry, limits.record_bytes))


@contextmanager
def _unpacked(reader: ZipReader, entry: ZipEntry, scratch: Path) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(dir=scratch) as file:
        written = 0
        for piece in reader.pieces(entry):
            written += len(piece)
            if written > _INNER_ZIP_BYTES:
                raise ZipRefused(f"holds {_shown(entry)}, which is larger than {_INNER_ZIP_BYTES} bytes")
            file.write(piece)
        yield file


def _shown(entry: ZipEntry) -> str:
    return ascii(entry.name[:100])[1:-1]
