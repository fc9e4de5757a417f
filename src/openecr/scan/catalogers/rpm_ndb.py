"""Headers of packages in rpm's own ``Packages.db`` (ndb, SUSE): slots at the beginning, blobs behind them.

The layout is that of rpm's lib/backend/ndb/rpmpkg.cc.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_PAGE_BYTES = 4096
_UNIT_BYTES = 16
_SLOT_PAGES = 2048
_HEADER = struct.Struct("<4sIII")
_SLOT = struct.Struct("<4sIII")
_BLOB = struct.Struct("<4sIII")
_BLOB_BYTES = 256 << 20


def headers(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The blobs of the slots that are in use.

    Raises:
        ValueError: no such database, or a broken one.
    """
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise ValueError("not an ndb database")
    magic, version, _, slot_pages = _HEADER.unpack(head)
    if magic != b"RpmP" or version != 0:
        raise ValueError("not an ndb database")
    if not 0 < slot_pages <= _SLOT_PAGES:
        raise ValueError("the database states an impossible number of slots")
    file.seek(2 * _SLOT.size)
    slots = file.read(slot_pages * _PAGE_BYTES - 2 * _SLOT.size)
    if len(slots) % _SLOT.size or len(slots) < _PAGE_BYTES - 2 * _SLOT.size:
        raise ValueError("the database is cut short")
    read_bytes = 0
    for slot_magic, package_id, offset, blocks in _SLOT.iter_unpack(slots):
        if slot_magic != b"Slot":
            raise ValueError("a slot of the database is damaged")
        if not package_id:
            continue
        file.seek(offset * _UNIT_BYTES)
        blob_head = file.read(_BLOB.size)
        if len(blob_head) < _BLOB.size:
            raise ValueError("a slot of the database leads out of it")
        blob_magic, blob_id, _, length_bytes = _BLOB.unpack(blob_head)
        if blob_magic != b"BlbS" or blob_id != package_id or length_bytes > blocks * _UNIT_BYTES:
            raise ValueError("a slot of the database leads to no package")
        read_bytes += length_bytes
        if length_bytes > _BLOB_BYTES or read_bytes > size_bytes:
            raise ValueError("the packages of the database are larger than it is")
        yield file.read(length_bytes)
