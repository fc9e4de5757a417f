"""rpm databases, written byte by byte: headers, and the three forms that hold them."""

import contextlib
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

_STRING, _STRINGS, _INT32 = 6, 8, 4


def header(tags: dict[int, str | list[str] | list[int]]) -> bytes:
    """A package's header."""
    index, data = b"", b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, str):
            kind, count, stored = _STRING, 1, value.encode() + b"\0"
        elif value and isinstance(value[0], int):
            kind, count, stored = _INT32, len(value), struct.pack(f">{len(value)}I", *value)
            data += bytes(-len(data) % 4)
        else:
            kind, count, stored = _STRINGS, len(value), b"".join(f"{text}\0".encode() for text in value)
        index += struct.pack(">IIiI", tag, kind, len(data), count)
        data += stored
    return struct.pack(">II", len(index) // 16, len(data)) + index + data


def package(
    name: str,
    version: str = "1.0",
    release: str = "1.el9",
    *,
    epoch: int | None = None,
    source: str | None = None,
    module: str = "",
    paths: Sequence[str] = (),
) -> bytes:
    """The header of a package with what the scanner reads."""
    tags: dict[int, str | list[str] | list[int]] = {
        1000: name,
        1001: version,
        1002: release,
        1011: "AlmaLinux",
        1014: "MIT",
        1022: "x86_64",
        1044: source or f"{name}-{version}-{release}.src.rpm",
    }
    if epoch is not None:
        tags[1003] = [epoch]
    if module:
        tags[5096] = module
    if paths:
        directories = sorted({path.rpartition("/")[0] + "/" for path in paths})
        tags[1116] = [directories.index(path.rpartition("/")[0] + "/") for path in paths]
        tags[1117] = [path.rpartition("/")[2] for path in paths]
        tags[1118] = directories
    return header(tags)


def ndb(headers: Sequence[bytes]) -> bytes:
    """``Packages.db``: one page of slots, blobs behind it."""
    slots, blobs = b"", b""
    for number, blob in enumerate(headers, 1):
        stored = struct.pack("<4sIII", b"BlbS", number, 0, len(blob)) + blob
        stored += bytes(-(len(stored) + 12) % 16) + struct.pack("<4sII", b"BlbE", len(blob), number)[:12]
        slots += struct.pack("<4sIII", b"Slot", number, (4096 + len(blobs)) // 16, len(stored) // 16)
        blobs += stored
    head = struct.pack("<4sIII", b"RpmP", 0, 1, 1) + bytes(16)
    free = struct.pack("<4sIII", b"Slot", 0, 0, 0)
    slots += free * (254 - len(headers))
    return head + slots + blobs


def bdb(headers: Sequence[bytes], *, order: str = "<", page_bytes: int = 4096) -> bytes:
    """``Packages`` as a hash: one page of keys and values, values in chains of overflow pages."""
    overflow: list[bytes] = []
    items = [b"\1" + bytes(4), b"\1" + struct.pack(f"{order}I", len(headers))]
    room = page_bytes - 26
    for number, blob in enumerate(headers, 1):
        first = 2 + len(overflow)
        items += [b"\1" + struct.pack(f"{order}I", number), b"\3\0\0\0" + struct.pack(f"{order}II", first, len(blob))]
        for at in range(0, len(blob), room):
            piece = blob[at : at + room]
            following = 2 + len(overflow) + 1 if at + room < len(blob) else 0
            overflow.append(_page(order, page_bytes, 2 + len(overflow), 7, piece, following=following))
    offsets, end, body = [], page_bytes, b""
    for item in items:
        end -= len(item)
        offsets.append(end)
        body = item + body
    index = struct.pack(f"{order}{len(offsets)}H", *offsets)
    hash_page = bytearray(_page(order, page_bytes, 1, 13, index, items=len(items)))
    hash_page[end:] = body
    pages = [bytes(hash_page), *overflow]
    meta = bytearray(page_bytes)
    struct.pack_into(f"{order}IIIBBBBII", meta, 8, 0, 0x061561, 9, 0, 0, 0, 0, 0, 0)
    struct.pack_into(f"{order}I", meta, 20, page_bytes)
    meta[25] = 8
    struct.pack_into(f"{order}I", meta, 32, len(pages))
    return bytes(meta) + b"".join(pages)


def _page(
    order: str, page_bytes: int, number: int, kind: int, content: bytes, *, following: int = 0, items: int = 0
) -> bytes:
    head = bytes(8) + struct.pack(f"{order}IIIHHBB", number, 0, following, items, len(content), 0, kind)
    return (head + content).ljust(page_bytes, b"\0")


def sqlite(
    directory: Path, headers: Sequence[bytes], *, page_bytes: int = 4096, statements: Sequence[str] = ()
) -> bytes:
    """``rpmdb.sqlite`` as rpm makes it."""
    path = directory / "rpmdb.sqlite"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        connection.execute("CREATE TABLE IF NOT EXISTS Name (key TEXT NOT NULL, hnum INTEGER NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in headers])
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()
