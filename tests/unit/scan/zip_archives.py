"""Zip archives for tests: honest ones, and lies that Python's own writer does not tell."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

Content = bytes | str | Mapping[str, "Content"]
"""A file's; a mapping is an archive in the archive."""


def archive(files: Mapping[str, Content], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as writing:
        for name, content in files.items():
            writing.writestr(name, archive(content) if isinstance(content, Mapping) else content)
    return written.getvalue()


def entry(
    name: bytes,
    content: bytes,
    *,
    offset: int = 0,
    flags: int = 0,
    method: int = 8,
    claimed_bytes: int | None = None,
    compressed_bytes: int | None = None,
    extra: bytes = b"",
) -> tuple[bytes, bytes]:
    """A local entry, and its line of the directory, for where the entry will stand."""
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    stored = deflating.compress(content) + deflating.flush() if method == 8 else content
    claimed = len(content) if claimed_bytes is None else claimed_bytes
    compressed = len(stored) if compressed_bytes is None else compressed_bytes
    sizes = struct.pack("<3L", 0, compressed, claimed)
    head = struct.pack("<5H", 20, flags, method, 0, 0)
    local = b"PK\x03\x04" + head + sizes + struct.pack("<2H", len(name), 0) + name + stored
    line = b"PK\x01\x02" + struct.pack("<H", 20) + head + sizes
    line += struct.pack("<5H2L", len(name), len(extra), 0, 0, 0, 0, offset) + name + extra
    return local, line


def ended(locals_: bytes, directory: bytes, *, comment: bytes = b"", entries: int = 1) -> bytes:
    """The archive of these entries and this directory."""
    end = struct.pack("<4H2LH", 0, 0, entries & 0xFFFF, entries & 0xFFFF, len(directory), len(locals_), len(comment))
    return locals_ + directory + b"PK\x05\x06" + end + comment
