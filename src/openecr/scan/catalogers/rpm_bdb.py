"""Headers of packages in a Berkeley DB hash, ``Packages`` of rpm before 4.16.

The layout is that of Berkeley DB's dbinc/db_page.h: metadata on page 0, entries on hash pages, large values in chains
of overflow pages.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_HASH_MAGIC = 0x061561
_HASH_PAGES = (2, 13)
_OVERFLOW_PAGE = 7
_KEY_DATA, _OFF_PAGE = 1, 3
_PAGE_HEADER_BYTES = 26
_BLOB_BYTES = 256 << 20
_CHECKSUMMED = 1


def headers(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The values of all keys but 0, which counts.

    Raises:
        ValueError: no such database, or a broken one.
    """
    hash_file = _Hash(file, size_bytes)
    for number in range(1, hash_file.last_page + 1):
        page = hash_file.page(number)
        if page[25] in _HASH_PAGES:
            yield from hash_file.values(page)


class _Hash:
    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        head = file.read(512)
        if len(head) < 512:
            raise ValueError("not a Berkeley DB hash")
        self._order = next((order for order in "<>" if struct.unpack_from(f"{order}I", head, 12)[0] == _HASH_MAGIC), "")
        if not self._order:
            raise ValueError("not a Berkeley DB hash")
        self._page_bytes, encrypted = struct.unpack_from(f"{self._order}IB", head, 20)
        if not 512 <= self._page_bytes <= 65536 or self._page_bytes & (self._page_bytes - 1):
            raise ValueError("the database states an impossible page size")
        if encrypted or head[26] & _CHECKSUMMED:
            raise ValueError("the database is encrypted or has check sums")
        self.last_page: int = struct.unpack_from(f"{self._order}I", head, 32)[0]
        if (self.last_page + 1) * self._page_bytes > size_bytes:
            raise ValueError("the database is cut short")
        self._seen: set[int] = set()

    def page(self, number: int) -> bytes:
        """A page."""
        if not 0 < number <= self.last_page:
            raise ValueError("a page of the database leads out of it")
        self._file.seek(number * self._page_bytes)
        page = self._file.read(self._page_bytes)
        if len(page) < self._page_bytes:
            raise ValueError("the database is cut short")
        return page

    def values(self, page: bytes) -> Iterator[bytes]:
        """The values on a hash page: its items are keys and values in turn, from its end to its beginning."""
        items = struct.unpack_from(f"{self._order}H", page, 20)[0]
        if _PAGE_HEADER_BYTES + 2 * items > len(page):
            raise ValueError("a page of the database states too many items")
        offsets = struct.unpack_from(f"{self._order}{items}H", page, _PAGE_HEADER_BYTES)
        ends = (len(page), *offsets)
        for number in range(1, items, 2):
            key = page[offsets[number - 1] : ends[number - 1]]
            item = page[offsets[number] : ends[number]]
            if not item or not any(key[1:]):
                continue
            if item[0] == _KEY_DATA:
                yield item[1:]
            elif item[0] == _OFF_PAGE and len(item) >= 12:
                first, length_bytes = struct.unpack_from(f"{self._order}II", item, 4)
                yield self._chain(first, length_bytes)
            else:
                raise ValueError("an item of the database is of an unknown kind")

    def _chain(self, number: int, length_bytes: int) -> bytes:
        """The value of a chain of overflow pages, each of which is in no other chain."""
        if length_bytes > _BLOB_BYTES:
            raise ValueError(f"a value of the database is larger than {_BLOB_BYTES} bytes")
        pieces, left = [], length_bytes
        while left > 0:
            if number in self._seen:
                raise ValueError("the pages of the database lead in circles")
            self._seen.add(number)
            page = self.page(number)
            here_bytes = struct.unpack_from(f"{self._order}H", page, 22)[0]
            piece = page[_PAGE_HEADER_BYTES : _PAGE_HEADER_BYTES + min(here_bytes, left)]
            if page[25] != _OVERFLOW_PAGE or not piece:
                raise ValueError("a value of the database leads to a page of another kind")
            pieces.append(piece)
            left -= len(piece)
            number = struct.unpack_from(f"{self._order}I", page, 16)[0]
        return b"".join(pieces)
