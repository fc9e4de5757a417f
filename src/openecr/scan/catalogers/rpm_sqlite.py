"""Headers of packages in a SQLite database, rpm's since 4.16.

Read page by page (sqlite.org, 'Database File Format'), because nothing of the file is then executed: neither its
schema, which may hold views and triggers, nor a C library on a broken tree.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_INTERIOR, _LEAF = 5, 13
_TABLE = b"Packages"
_BLOB_BYTES = 256 << 20
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
"""Of the serial types 0 to 9."""


def headers(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The blobs of the table ``Packages``.

    Raises:
        ValueError: no such database, or a broken one.
    """
    pages = _Pages(file, size_bytes)
    for row in pages.rows(1):
        kind, _, name, root, *_ = row
        if kind == b"table" and name == _TABLE:
            for columns in pages.rows(int.from_bytes(root or b"", "big")):
                if len(columns) > 1 and columns[1]:
                    yield columns[1]
            return
    raise ValueError("the database has no table Packages")


class _Pages:
    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        head = file.read(_HEADER_BYTES)
        if len(head) < _HEADER_BYTES or not head.startswith(_MAGIC):
            raise ValueError("not a SQLite database")
        self._page_bytes = int.from_bytes(head[16:18], "big")
        self._page_bytes = 65536 if self._page_bytes == 1 else self._page_bytes
        if self._page_bytes < 512 or self._page_bytes & (self._page_bytes - 1):
            raise ValueError("the database states an impossible page size")
        self._usable_bytes = self._page_bytes - head[20]
        if self._usable_bytes < 480:
            raise ValueError("the database reserves too much of its pages")
        self._pages = size_bytes // self._page_bytes
        self._seen: set[int] = set()

    def rows(self, root: int) -> Iterator[list[bytes]]:
        """The columns of each row of a table, as bytes."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            page = self._page(number)
            at = _HEADER_BYTES if number == 1 else 0
            kind, cells = page[at], int.from_bytes(page[at + 3 : at + 5], "big")
            if kind not in (_INTERIOR, _LEAF):
                raise ValueError("a page of the database is of the wrong kind")
            pointers_at = at + (12 if kind == _INTERIOR else 8)
            if pointers_at + 2 * cells > self._page_bytes:
                raise ValueError("a page of the database states too many cells")
            pointers = struct.unpack_from(f">{cells}H", page, pointers_at)
            if kind == _LEAF:
                for pointer in pointers:
                    yield _columns(self._payload(page, pointer))
            else:
                children = [int.from_bytes(page[pointer : pointer + 4], "big") for pointer in pointers]
                children.append(int.from_bytes(page[at + 8 : at + 12], "big"))
                waiting += reversed(children)

    def _page(self, number: int) -> bytes:
        """A page, which no other is to lead to again."""
        if not 1 <= number <= self._pages or number in self._seen:
            raise ValueError("the pages of the database lead in circles, or out of it")
        self._seen.add(number)
        self._file.seek((number - 1) * self._page_bytes)
        page = self._file.read(self._page_bytes)
        if len(page) < self._page_bytes:
            raise ValueError("the database is cut short")
        return page

    def _payload(self, page: bytes, at: int) -> bytes:
        length_bytes, at = _varint(page, at)
        _, at = _varint(page, at)
        if length_bytes > _BLOB_BYTES:
            raise ValueError(f"a row of the database is larger than {_BLOB_BYTES} bytes")
        most = self._usable_bytes - 35
        local_bytes = length_bytes
        if length_bytes > most:
            least = (self._usable_bytes - 12) * 32 // 255 - 23
            local_bytes = least + (length_bytes - least) % (self._usable_bytes - 4)
            local_bytes = local_bytes if local_bytes <= most else least
        pieces = [page[at : at + local_bytes]]
        if len(pieces[0]) < local_bytes:
            raise ValueError("a row of the database leads out of its page")
        left = length_bytes - local_bytes
        following = int.from_bytes(page[at + local_bytes : at + local_bytes + 4], "big")
        while left > 0:
            overflow = self._page(following)
            following = int.from_bytes(overflow[:4], "big")
            pieces.append(overflow[4 : min(self._usable_bytes, 4 + left)])
            left -= len(pieces[-1])
        return b"".join(pieces)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, and where it ends."""
    value = 0
    for count in range(9):
        if at >= len(data):
            raise ValueError("a number leads out of its page")
        byte = data[at]
        at += 1
        if count == 8:
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def _columns(record: bytes) -> list[bytes]:
    """The values of a record, as they are stored."""
    header_bytes, at = _varint(record, 0)
    if header_bytes > len(record):
        raise ValueError("a row of the database is malformed")
    value_at = header_bytes
    columns = []
    while at < header_bytes:
        kind, at = _varint(record, at)
        size_bytes = _INTEGER_BYTES[kind] if kind < 10 else (kind - 12) // 2
        if kind in (10, 11) or value_at + size_bytes > len(record):
            raise ValueError("a row of the database is malformed")
        columns.append(b"\x01" if kind == 9 else record[value_at : value_at + size_bytes])
        value_at += size_bytes
    return columns
