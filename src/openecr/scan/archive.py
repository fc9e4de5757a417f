"""The entries of a tar archive, from its uncompressed bytes, once, in order, bounded.

Python's ``tarfile`` spends more on 20,000 small files than decompressing them does. This reader knows ustar, GNU's
long names, pax and base-256 numbers, and skips what it need not understand. Where readers of tar differ it does as Go's
archive/tar, by which container runtimes unpack: what is scanned has to be what runs. So GNU's long name wins over
pax's, and pax's global headers name no file.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from openecr.scan.decompression import UnreadableLayer
from openecr.scan.limits import LimitExceeded, Limits

_BLOCK_BYTES = 512
_ZEROS = bytes(_BLOCK_BYTES)
_ADLER_BASE = 65521


class Kind(Enum):
    """What an entry is."""

    FILE = auto()
    DIRECTORY = auto()
    HARD_LINK = auto()
    SYMBOLIC_LINK = auto()
    SPARSE = auto()
    """A file whose holes are left out; its content is not offered."""
    OTHER = auto()
    """Devices, FIFOs, and what is unknown."""
    REFUSED = auto()
    """Its path leads out of the image; it must not be taken for the file that it ends in."""


_FILES = frozenset(b"0\x007")
_PAX = frozenset(b"xX")
_HEADER_ONLY = {
    ord("1"): Kind.HARD_LINK,
    ord("2"): Kind.SYMBOLIC_LINK,
    ord("3"): Kind.OTHER,
    ord("4"): Kind.OTHER,
    ord("5"): Kind.DIRECTORY,
    ord("6"): Kind.OTHER,
}
"""No content follows these, whatever size they state."""


@dataclass(slots=True)
class Entry:
    """One member of the archive."""

    path: str
    """Normalised, without ``/`` at either end; empty for the root."""
    kind: Kind
    size_bytes: int
    link: str
    """Of a hard link, the normalised path of its file."""
    header: bytes

    @property
    def executable(self) -> bool:
        """Whether anybody may execute it."""
        try:
            return bool(_number(self.header[100:108]) & 0o111)
        except ValueError:
            return True


class Archive:
    """A tar archive's entries. The content of an entry can be read until the next one is asked for."""

    def __init__(self, pieces: Iterable[bytes], limits: Limits) -> None:
        self._pieces = iter(pieces)
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._content_bytes = 0
        self._padding_bytes = 0
        self._headers = 0
        self.size_bytes = 0
        """Read so far; of the whole archive at the end."""

    def entries(self) -> Iterator[Entry]:
        """Every entry; at the end the rest of the stream is read, so that its size and check sums are known.

        Raises:
            UnreadableLayer: no archive, or one that is damaged.
            LimitExceeded: more entries, longer or deeper paths than are read.
        """
        path = link = pax = None
        while (block := self._header()) is not None:
            kind = block[156]
            if kind in _PAX:
                pax = _pax_records(self._meta(block))
            elif kind == ord("g"):
                _pax_records(self._meta(block))
            elif kind == ord("L"):
                path = self._meta(block).partition(b"\0")[0]
            elif kind == ord("K"):
                link = self._meta(block).partition(b"\0")[0]
            else:
                yield self._entry(block, path, link, pax)
                path = link = pax = None
                self._skip_content()
        while self._more():
            pass

    def head(self, size_bytes: int) -> bytes:
        """The first bytes of this entry's content, which stay to be read."""
        size_bytes = min(size_bytes, self._content_bytes)
        while len(self._buffer) - self._at < size_bytes:
            rest = self._buffer[self._at :]
            if not self._more():
                raise UnreadableLayer("the archive ends within a file")
            self._buffer, self._at = rest + self._buffer, 0
        return self._buffer[self._at : self._at + size_bytes]

    def content(self) -> Iterator[bytes]:
        """This entry's content, in pieces."""
        while self._content_bytes:
            if self._at >= len(self._buffer) and not self._more():
                raise UnreadableLayer("the archive ends within a file")
            piece = self._buffer[self._at : self._at + self._content_bytes]
            self._at += len(piece)
            self._content_bytes -= len(piece)
            yield piece

    def _entry(self, block: bytes, path: bytes | None, link: bytes | None, pax: dict[bytes, bytes] | None) -> Entry:
        kind, size_bytes = block[156], self._size(block)
        if path is None:
            path = _name(block)
            if pax:
                path = pax.get(b"GNU.sparse.name") or pax.get(b"path") or path
        if pax and (stated := pax.get(b"size")):
            size_bytes = self._bounded_size(_decimal(stated))
        found = _HEADER_ONLY.get(kind)
        if found is None:
            self._content_bytes, self._padding_bytes = size_bytes, -size_bytes % _BLOCK_BYTES
            if kind not in _FILES:
                found = Kind.SPARSE if kind == ord("S") else Kind.OTHER
                if found is Kind.SPARSE:
                    self._sparse_map(block)
            elif pax and (b"GNU.sparse.major" in pax or b"GNU.sparse.map" in pax or b"GNU.sparse.size" in pax):
                found = Kind.SPARSE
            elif kind == 0 and path.endswith(b"/"):
                found = Kind.DIRECTORY
            else:
                found = Kind.FILE
        normal = self._normal(path)
        if normal is None:
            return Entry(path[: self._limits.path_bytes].decode(errors="backslashreplace"), Kind.REFUSED, 0, "", block)
        target: str | None = ""
        if found is Kind.HARD_LINK:
            target = self._normal(link or (pax and pax.get(b"linkpath")) or block[157:257].partition(b"\0")[0])
        return Entry(normal, found, size_bytes, target or "", block)

    def _normal(self, path: bytes) -> str | None:
        """The path as it is known by; None where it leads out of the image."""
        if len(path) > self._limits.path_bytes:
            raise LimitExceeded(f"a path is longer than {self._limits.path_bytes} bytes")
        text = path.decode(errors="backslashreplace").rstrip("/")
        if text.startswith((".", "/")) or "//" in text or "/." in text or "\0" in text:
            parts = [part for part in text.split("/") if part not in ("", ".")]
            if ".." in parts or "\0" in text:
                return None
            text = "/".join(parts)
        if text.count("/") >= self._limits.depth:
            raise LimitExceeded(f"a path is more than {self._limits.depth} directories deep")
        return text

    def _size(self, block: bytes) -> int:
        try:
            return self._bounded_size(_number(block[124:136]))
        except ValueError as error:
            raise UnreadableLayer("a header of the archive states a size that is no number") from error

    def _bounded_size(self, size_bytes: int) -> int:
        if size_bytes < 0:
            raise UnreadableLayer("a header of the archive states a negative size")
        if size_bytes > self._limits.layer_bytes:
            raise LimitExceeded(f"a file is larger than {self._limits.layer_bytes} bytes, as its header has it")
        return size_bytes

    def _header(self) -> bytes | None:
        """The next header block, its check sum verified; None at the end."""
        at = self._at
        block = self._buffer[at : at + _BLOCK_BYTES]
        self._at = at + len(block)
        if len(block) < _BLOCK_BYTES:
            block = self._rest_of(block, _BLOCK_BYTES)
            if not block and self._headers:
                return None
            if len(block) < _BLOCK_BYTES:
                raise UnreadableLayer("the archive ends within a header" if self._headers else "not a tar archive")
        if block[0] == 0 and block == _ZEROS:
            return None
        if not _checks(block):
            raise UnreadableLayer(
                "a header of the archive has a wrong check sum" if self._headers else "not a tar archive"
            )
        self._headers += 1
        if self._headers > self._limits.entries:
            raise LimitExceeded(f"the archive has more than {self._limits.entries} entries")
        return block

    def _meta(self, block: bytes) -> bytes:
        """The content of a header that is about the next entry."""
        size_bytes = self._size(block)
        if size_bytes > self._limits.header_bytes:
            raise LimitExceeded(f"a header of the archive is larger than {self._limits.header_bytes} bytes")
        padded_bytes = size_bytes + -size_bytes % _BLOCK_BYTES
        data = self._buffer[self._at : self._at + padded_bytes]
        self._at += len(data)
        if len(data) < padded_bytes:
            data = self._rest_of(data, padded_bytes)
        if len(data) < padded_bytes:
            raise UnreadableLayer("the archive ends within a header")
        return data[:size_bytes]

    def _sparse_map(self, block: bytes) -> None:
        """Skip the blocks that continue an old GNU sparse header (``isextended``)."""
        more, where = block[482], 504
        while more:
            self._headers += 1
            if self._headers > self._limits.entries:
                raise LimitExceeded(f"the archive has more than {self._limits.entries} entries")
            extension = self._rest_of(b"", _BLOCK_BYTES)
            if len(extension) < _BLOCK_BYTES:
                raise UnreadableLayer("the archive ends within a header")
            more = extension[where]

    def _rest_of(self, begun: bytes, size_bytes: int) -> bytes:
        """As much as there is of so many bytes, the first of which are there."""
        while len(begun) < size_bytes:
            piece = self._buffer[self._at : self._at + size_bytes - len(begun)]
            self._at += len(piece)
            begun += piece
            if not piece and not self._more():
                break
        return begun

    def _skip_content(self) -> None:
        left = self._content_bytes + self._padding_bytes
        self._content_bytes = self._padding_bytes = 0
        self._at += left
        while self._at > len(self._buffer):
            beyond = self._at - len(self._buffer)
            if not self._more():
                raise UnreadableLayer("the archive ends within a file")
            self._at = beyond

    def _more(self) -> bool:
        """Replace the buffer by the next piece; False at the end."""
        piece = next(self._pieces, b"")
        self.size_bytes += len(piece)
        self._buffer, self._at = piece, 0
        return bool(piece)


def _checks(block: bytes) -> bool:
    """Whether the sum of a header's bytes is the one it states, its own field taken as spaces.

    The low half of Adler-32 is that sum modulo 65521, and one, thirty times as fast as ``sum``.
    """
    try:
        stated = _number(block[148:156])
    except ValueError:
        return False
    found = (zlib.adler32(block) & 0xFFFF) - 1 - sum(block[148:156]) + 8 * 32
    if (found - stated) % _ADLER_BASE == 0:
        return True
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 8 * 32
    return signed == stated


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[345] and block[257:263] == b"ustar\0":
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _number(field: bytes) -> int:
    """A header's number: octal digits, or base 256 where the first bit is set.

    Raises:
        ValueError: it is neither.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return -1 if field[0] & 0x40 else value
    digits = field.partition(b"\0")[0].strip()
    if digits and not digits.isdigit():
        raise ValueError("not octal")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise UnreadableLayer("a pax header of the archive states a size that is no number")
    return int(digits)


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax extended header, ``length key=value\\n`` (POSIX.1-2017, pax, 'pax Extended Header').

    Raises:
        UnreadableLayer: a length that does not fit its record.
    """
    records = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 12)
        digits = data[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        if not space + 2 < end <= len(data) or data[end - 1] != ord("\n"):
            raise UnreadableLayer("a pax header of the archive is malformed")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise UnreadableLayer("a pax header of the archive is malformed")
        records[key] = value
        at = end
    return records
