"""Zip archives of images: jars, wars, eggs; read through their central directory, bounded in entries and bytes.

Python's own reader makes an object of every entry before anything can be bounded, and refuses archives that a JVM
opens (entries that overlap, wrong checksums), which would hide what is in them. Here an entry is found where the
central directory says, its sizes are claims, and inflating stops at a budget that all archives in one file share.

Format: PKWARE's APPNOTE, 4.3 and 4.4.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from openecr.scan.limits import LimitExceeded, Limits

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_MOST_DIRECTORY_BYTES = 128 << 20
_CHUNK_BYTES = 1 << 16
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1
_UTF8 = 0x800


class ZipRefused(ValueError):
    """It is no zip archive, or the entry cannot be read."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry, as the central directory claims it."""

    name: str
    method: int
    flags: int
    compressed_bytes: int
    offset: int
    """Of its local header, from the beginning of the file."""


@dataclass(slots=True)
class Budget:
    """What may still be read from one file of a layer, with all archives in it."""

    bytes_left: int
    entries_left: int

    @classmethod
    def of(cls, limits: Limits) -> "Budget":
        """A full one."""
        return cls(bytes_left=limits.archive_bytes, entries_left=limits.archive_entries)

    def take(self, *, taken_bytes: int = 0, entries: int = 0) -> None:
        """Use some of it up.

        Raises:
            LimitExceeded
        """
        self.bytes_left -= taken_bytes
        self.entries_left -= entries
        if self.bytes_left < 0:
            raise LimitExceeded("the archive inflates to more bytes than are read")
        if self.entries_left < 0:
            raise LimitExceeded("the archive holds more entries than are read")


def zip_entries(content: BinaryIO, budget: Budget) -> Iterator[ZipEntry]:
    """The entries in the central directory's order, doubles too; directories are left out.

    Raises:
        ZipRefused, LimitExceeded
    """
    size, start, shift = _central_directory(content)
    content.seek(start)
    directory = content.read(size)
    position = 0
    while position < len(directory):
        if directory[position : position + 4] != b"PK\x01\x02" or position + _CENTRAL.size > len(directory):
            raise ZipRefused("has a broken directory")
        budget.take(entries=1)
        fields = _CENTRAL.unpack_from(directory, position)
        name_length, extra_length, comment_length = fields[10:13]
        position += _CENTRAL.size
        raw_name = directory[position : position + name_length]
        extra = directory[position + name_length : position + name_length + extra_length]
        position += name_length + extra_length + comment_length
        name = raw_name.decode("utf-8" if fields[3] & _UTF8 else "cp437", "replace")
        compressed, offset = _wide(extra, fields[8], fields[9], fields[16])
        if not name.endswith("/"):
            yield ZipEntry(name, fields[4], fields[3], compressed, offset + shift)


def inflated(content: BinaryIO, entry: ZipEntry, budget: Budget) -> Iterator[bytes]:
    """The entry's content in pieces; what it claims of its sizes and checksum is not asked.

    Raises:
        ZipRefused, LimitExceeded
    """
    if entry.flags & _ENCRYPTED:
        raise ZipRefused("is encrypted")
    if entry.method not in (_STORED, _DEFLATED):
        raise ZipRefused(f"is compressed by method {entry.method}")
    content.seek(entry.offset)
    header = content.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        raise ZipRefused("is not where the directory says")
    name_length, extra_length = _LOCAL.unpack(header)[9:11]
    position = entry.offset + _LOCAL.size + name_length + extra_length
    inflating = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else None
    left = entry.compressed_bytes
    while left > 0 and not (inflating and inflating.eof):
        content.seek(position)
        chunk = content.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise ZipRefused("is cut off")
        position += len(chunk)
        left -= len(chunk)
        yield from _pieces(inflating, chunk, budget)


def entry_bytes(content: BinaryIO, entry: ZipEntry, budget: Budget, most_bytes: int) -> bytes:
    """The entry's whole content.

    Raises:
        ZipRefused: also when it is more than ``most_bytes``.
        LimitExceeded
    """
    whole = bytearray()
    for piece in inflated(content, entry, budget):
        whole += piece
        if len(whole) > most_bytes:
            raise ZipRefused(f"is larger than {most_bytes} bytes")
    return bytes(whole)


def _pieces(inflating: "zlib._Decompress | None", chunk: bytes, budget: Budget) -> Iterator[bytes]:
    if inflating is None:
        budget.take(taken_bytes=len(chunk))
        yield chunk
        return
    while chunk and not inflating.eof:
        try:
            piece = inflating.decompress(chunk, _CHUNK_BYTES)
        except zlib.error:
            raise ZipRefused("is damaged") from None
        chunk = inflating.unconsumed_tail
        budget.take(taken_bytes=len(piece))
        yield piece


def _central_directory(content: BinaryIO) -> tuple[int, int, int]:
    """Size and start of the directory, and by how much offsets are off, where something stands before the archive."""
    file_bytes = content.seek(0, 2)
    tail_start = max(0, file_bytes - _LONGEST_COMMENT - _END.size)
    content.seek(tail_start)
    tail = content.read()
    found = _end_record(tail)
    size, offset = _END.unpack_from(tail, found)[5:7]
    end = tail_start + found
    if offset == 0xFFFFFFFF or size == 0xFFFFFFFF:
        size, offset, end = _wide_directory(content, end)
    start = end - size
    if start < 0 or start < offset:
        raise ZipRefused("has a directory that is not in it")
    if size > _MOST_DIRECTORY_BYTES:
        raise LimitExceeded(f"the archive's directory is larger than {_MOST_DIRECTORY_BYTES} bytes")
    return size, start, start - offset


def _end_record(tail: bytes) -> int:
    """Where the end record is: as for a JVM the last whose comment ends the file, so that none in a comment counts."""
    last = found = tail.rfind(b"PK\x05\x06", 0, max(0, len(tail) - _END.size + 4))
    while found >= 0:
        if found + _END.size + _END.unpack_from(tail, found)[7] == len(tail):
            return found
        found = tail.rfind(b"PK\x05\x06", 0, found)
    if last < 0:
        raise ZipRefused("is no zip archive")
    return last


def _wide_directory(content: BinaryIO, end: int) -> tuple[int, int, int]:
    content.seek(max(0, end - _END64_LOCATOR.size))
    locator = content.read(_END64_LOCATOR.size)
    if len(locator) < _END64_LOCATOR.size or locator[:4] != b"PK\x06\x07":
        raise ZipRefused("has a directory that is not in it")
    record_start = end - _END64_LOCATOR.size - _END64.size
    content.seek(max(0, record_start))
    record = content.read(_END64.size)
    if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
        raise ZipRefused("has a directory that is not in it")
    size, offset = _END64.unpack(record)[8:10]
    return size, offset, record_start


def _wide(extra: bytes, compressed: int, uncompressed: int, offset: int) -> tuple[int, int]:
    """Compressed size and offset; from the extra field where 32 bits do not hold them."""
    if 0xFFFFFFFF not in (compressed, offset, uncompressed):
        return compressed, offset
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1:
            values = iter(struct.iter_unpack("<Q", extra[position : position + min(length, 24) // 8 * 8]))
            found = [
                next(values, (field,))[0] if field == 0xFFFFFFFF else field
                for field in (uncompressed, compressed, offset)
            ]
            return found[1], found[2]
        position += length
    return compressed, offset
