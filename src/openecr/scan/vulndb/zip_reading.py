"""A zip's files, one after another, at a cost in memory that does not grow with their number.

``zipfile`` keeps an object for every entry before the first is read, as many as a hostile directory lists; a bulk
export of OSV has 250,000. Read here: the directory as a stream, stored and deflated entries, zip64. Source: APPNOTE.TXT
6.3.10 §4.3 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1
_UTF_8 = 0x800
_COMMENT_BYTES = 65_535
_ZIP64_EXTRA = 1
_FULL_32, _FULL_16 = 0xFFFFFFFF, 0xFFFF
_PIECE_BYTES = 256 * 1024
_LARGEST_ENTRY_BYTES = _ENTRY.size + 3 * 65_535
"""Of the directory: name, extra fields and comment as long as they can be; a piece is longer."""


class ZipRefused(Exception):
    """It is no zip, is damaged, or is larger or more crowded than is read; the message goes on from its name."""


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """Bounds of one zip."""

    entries: int = 2_000_000
    directory_bytes: int = 512 * 1024 * 1024
    ratio: int = 200
    """All that is inflated, to the file's size, once ``ratio_from_bytes`` have come out."""
    ratio_from_bytes: int = 64 * 1024 * 1024


ZIP_LIMITS = ZipLimits()


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file of a zip."""

    name: str
    method: int
    encrypted: bool
    crc32: int
    packed_bytes: int
    size_bytes: int
    """As the directory says it; what comes out is measured."""
    offset_bytes: int


class ZipReader:
    """A zip that is open for reading.

    Args:
        file: seekable; the reader moves it.
    """

    def __init__(self, file: BinaryIO, limits: ZipLimits = ZIP_LIMITS) -> None:
        self._file = file
        self._limits = limits
        self._size_bytes = file.seek(0, 2)
        self._inflated_bytes = 0
        self._entries, self._directory_bytes, self._directory_at = self._find_directory()

    def __iter__(self) -> Iterator[ZipEntry]:
        """The entries in the directory's order.

        Raises:
            ZipRefused: the directory is damaged, or has more entries than it says.
        """
        at, end = self._directory_at, self._directory_at + self._directory_bytes
        pending, position = b"", 0
        for _ in range(self._entries):
            if len(pending) - position < _LARGEST_ENTRY_BYTES and at < end:
                self._file.seek(at)
                piece = self._file.read(min(_PIECE_BYTES, end - at))
                at += len(piece) or end
                pending, position = pending[position:] + piece, 0
            entry, position = _entry(pending, position)
            yield entry

    def content(self, entry: ZipEntry, most_bytes: int) -> bytes | None:
        """What an entry holds; None where that is more than ``most_bytes``.

        Raises:
            ZipRefused: the entry is damaged, or the zip inflates to more than it may.
        """
        pieces, total = [], 0
        for piece in self.pieces(entry):
            total += len(piece)
            if total > most_bytes:
                return None
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self, entry: ZipEntry) -> Iterator[bytes]:
        """The same in pieces; whether it is sound is known once the last was taken.

        Raises:
            ZipRefused
        """
        if entry.encrypted:
            raise ZipRefused(f"holds {entry.name[:100]!r} encrypted")
        if entry.method not in (_STORED, _DEFLATED):
            raise ZipRefused(f"holds {entry.name[:100]!r} compressed in a way (method {entry.method}) that is not read")
        checksum = size_bytes = 0
        for piece in self._plain(entry):
            checksum = zlib.crc32(piece, checksum)
            size_bytes += len(piece)
            self._count(len(piece))
            yield piece
        if checksum != entry.crc32 or size_bytes != entry.size_bytes:
            raise ZipRefused(f"is damaged: {entry.name[:100]!r} is not what its checksum says")

    def _plain(self, entry: ZipEntry) -> Iterator[bytes]:
        at = self._data_at(entry)
        end = at + entry.packed_bytes
        if end > self._size_bytes:
            raise ZipRefused("is damaged: an entry reaches beyond its end")
        inflate = zlib.decompressobj(-15) if entry.method == _DEFLATED else None
        while at < end:
            self._file.seek(at)
            piece = self._file.read(min(_PIECE_BYTES, end - at))
            if not piece:
                raise ZipRefused("is cut")
            at += len(piece)
            if inflate is None:
                yield piece
                continue
            while piece:
                try:
                    plain = inflate.decompress(piece, _PIECE_BYTES * 4)
                except zlib.error:
                    raise ZipRefused(f"is damaged: {entry.name[:100]!r} cannot be inflated") from None
                if plain:
                    yield plain
                piece = inflate.unconsumed_tail
        if inflate is not None and not inflate.eof:
            raise ZipRefused(f"is damaged: {entry.name[:100]!r} is cut")

    def _data_at(self, entry: ZipEntry) -> int:
        self._file.seek(entry.offset_bytes)
        head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            raise ZipRefused("is damaged: an entry is not where its directory says")
        *_, name_bytes, extra_bytes = _LOCAL.unpack(head)
        return int(entry.offset_bytes + _LOCAL.size + name_bytes + extra_bytes)

    def _count(self, size_bytes: int) -> None:
        self._inflated_bytes += size_bytes
        most = max(self._limits.ratio_from_bytes, self._size_bytes * self._limits.ratio)
        if self._inflated_bytes > most:
            raise ZipRefused(f"inflates to more than {self._limits.ratio} times its size")

    def _find_directory(self) -> tuple[int, int, int]:
        """(entries, bytes, offset) of the directory."""
        tail_at = max(0, self._size_bytes - _END.size - _COMMENT_BYTES)
        self._file.seek(tail_at)
        tail = self._file.read(_END.size + _COMMENT_BYTES)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise ZipRefused("is no zip, or is cut")
        _, _, _, _, entries, size, offset, _ = _END.unpack_from(tail, at)
        if entries == _FULL_16 or size == _FULL_32 or offset == _FULL_32:
            entries, size, offset = self._find_directory_64(tail_at + at) or (entries, size, offset)
        if entries > self._limits.entries:
            raise ZipRefused(f"holds {entries} files, more than the {self._limits.entries} that are read")
        if size > self._limits.directory_bytes:
            raise ZipRefused(f"has a directory larger than {self._limits.directory_bytes} bytes")
        if offset + size > tail_at + at:
            raise ZipRefused("is damaged: its directory is not where it says")
        return entries, size, offset

    def _find_directory_64(self, end_at: int) -> tuple[int, int, int] | None:
        at = end_at - _END_64_LOCATOR.size
        if at < 0:
            return None
        self._file.seek(at)
        signature, _, record_at, _ = _END_64_LOCATOR.unpack(self._file.read(_END_64_LOCATOR.size))
        if signature != b"PK\x06\x07":
            return None
        if record_at + _END_64.size > at:
            raise ZipRefused("is damaged: its directory is not where it says")
        self._file.seek(record_at)
        signature, *_, entries, size, offset = _END_64.unpack(self._file.read(_END_64.size))
        if signature != b"PK\x06\x06":
            raise ZipRefused("is damaged: its directory is not where it says")
        return entries, size, offset


def _entry(directory: bytes, at: int) -> tuple[ZipEntry, int]:
    """An entry, and where the next one begins."""
    if len(directory) - at < _ENTRY.size or directory[at : at + 4] != b"PK\x01\x02":
        raise ZipRefused("is damaged: its directory has fewer files than it says")
    fields = _ENTRY.unpack_from(directory, at)
    flags, method, crc32, packed, size = fields[5], fields[6], fields[9], fields[10], fields[11]
    name_bytes, extra_bytes, comment_bytes, offset = fields[12], fields[13], fields[14], fields[18]
    name_at = at + _ENTRY.size
    extra_at = name_at + name_bytes
    after = extra_at + extra_bytes + comment_bytes
    if after > len(directory):
        raise ZipRefused("is cut in its directory")
    name = directory[name_at:extra_at].decode("utf-8" if flags & _UTF_8 else "cp437", "replace")
    if _FULL_32 in (packed, size, offset):
        size, packed, offset = _wide(directory[extra_at : extra_at + extra_bytes], size, packed, offset)
    return ZipEntry(name, method, bool(flags & _ENCRYPTED), crc32, packed, size, offset), after


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Size, packed size and offset, those from the zip64 field that do not fit elsewhere (§4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64_EXTRA:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            try:
                return [next(values) if value == _FULL_32 else value for value in narrow]
            except StopIteration:
                break
        at += 4 + length
    raise ZipRefused("is damaged: a size is missing from its directory")
