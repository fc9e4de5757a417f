"""Go's build info written byte by byte, in both of its layouts."""

import struct
from collections.abc import Callable

MAGIC = b"\xff Go buildinf:"
MARK = bytes(range(16))
"""In the place of the two marks that frame the text of modules."""


def varint(number: int) -> bytes:
    """An unsigned integer, seven bits to a byte."""
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def framed(lines: str) -> bytes:
    """The modules' text as the linker stores it."""
    return MARK + lines.encode() + MARK if lines else b""


def inline(version: str, lines: str = "") -> bytes:
    """Of Go 1.18 and later."""
    text, modules = version.encode(), framed(lines)
    head = (MAGIC + bytes([8, 2])).ljust(32, b"\0")
    return head + varint(len(text)) + text + varint(len(modules)) + modules


def pointed(version: str, lines: str = "", *, wide: bool = True, big_endian: bool = False) -> Callable[[int], bytes]:
    """Of Go before 1.18: addresses of string headers, which are put behind it here."""
    number = (">" if big_endian else "<") + ("Q" if wide else "I")
    size = 8 if wide else 4
    text, modules = version.encode(), framed(lines)

    def made(address: int) -> bytes:
        head = MAGIC + bytes([size, 1 if big_endian else 0])
        head += struct.pack(number, address + 32) + struct.pack(number, address + 32 + 2 * size)
        strings_at = address + 32 + 4 * size
        headers = struct.pack(number, strings_at) + struct.pack(number, len(text))
        headers += struct.pack(number, strings_at + len(text)) + struct.pack(number, len(modules))
        return head.ljust(32, b"\0") + headers + text + modules

    return made
