"""Layers made in memory."""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator

BLOCK = 512


def member(path: str, content: bytes = b"", *, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A regular file."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(content), mode
    return info, content


def special(path: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A link, a directory, a device."""
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, link
    return info, b""


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive of some members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def files(contents: dict[str, bytes | str]) -> bytes:
    """An archive of regular files by path."""
    return tar(*(member(path, text if isinstance(text, bytes) else text.encode()) for path, text in contents.items()))


def header(path: bytes, kind: bytes = b"0", size: bytes = b"00000000000\0", link: bytes = b"") -> bytes:
    """A header block as one likes it, with the right check sum."""
    block = bytearray(BLOCK)
    block[: len(path)] = path
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    """Content as it stands in an archive."""
    return content + bytes(-len(content) % BLOCK)


def octal(size_bytes: int) -> bytes:
    """A header's size."""
    return b"%011o\0" % size_bytes


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    """A pax header with some records."""
    return header(b"PaxHeaders/x", kind, octal(len(records))) + padded(records)


def record(key: str, value: str) -> bytes:
    """One record of a pax header."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


END = bytes(2 * BLOCK)


def in_pieces(data: bytes, piece_bytes: int = 1000) -> Iterator[bytes]:
    """As chunks of a store, which end anywhere."""
    for at in range(0, len(data), piece_bytes):
        yield data[at : at + piece_bytes]


def gzipped(parts: Iterable[bytes]) -> bytes:
    """Gzip with a member for each part."""
    return b"".join(gzip.compress(part, 1) for part in parts)
