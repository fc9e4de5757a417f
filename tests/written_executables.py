"""Executables written byte by byte: just headers and sections, in every format, width and byte order."""

import struct
from collections.abc import Callable, Mapping

Content = bytes | Callable[[int], bytes]
"""A section's bytes, or what makes them once their address is known."""
BASE = 0x40_0000
_ALIGNMENT = 16
_CODE, _DATA = 0x6000_0020, 0xC000_0040


def elf(sections: Mapping[str, Content], *, wide: bool = True, big_endian: bool = False, headers: bool = True) -> bytes:
    """An ELF file whose whole is mapped, writable, at ``BASE``; without section headers if it is to look stripped."""
    order = ">" if big_endian else "<"
    body, placed = _laid_out(sections, 64 + 56, BASE)
    names = b"\0" + b"".join(name.encode() + b"\0" for name in placed) + b".shstrtab\0"
    names_at = 64 + 56 + len(body)
    body += names
    rows = [(0, 0, 0, 0, 0)]
    for name, (offset, size) in placed.items():
        rows.append((names.index(b"\0" + name.encode() + b"\0") + 1, 1, BASE + offset, offset, size))
    rows.append((names.index(b"\0.shstrtab\0") + 1, 3, 0, names_at, len(names)))
    body += bytes(-len(body) % 8)
    table_at = 64 + 56 + len(body)
    layout = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
    table = b"".join(struct.pack(layout, n, kind, 0, at, off, size, 0, 0, 1, 0) for n, kind, at, off, size in rows)
    total = table_at + len(table)
    if not headers:
        table_at, rows, table = 0, [], b""
    ident = b"\x7fELF" + bytes([2 if wide else 1, 2 if big_endian else 1, 1]) + bytes(9)
    if wide:
        head = ident + struct.pack(
            order + "HHIQQQIHHHHHH",
            2,
            62,
            1,
            0,
            64,
            table_at,
            0,
            64,
            56,
            1,
            64,
            len(rows),
            len(rows) - 1 if rows else 0,
        )
        segment = struct.pack(order + "IIQQQQQQ", 1, 6, 0, BASE, BASE, total, total, 4096)
    else:
        head = ident + struct.pack(
            order + "HHIIIIIHHHHHH", 2, 3, 1, 0, 64, table_at, 0, 52, 32, 1, 40, len(rows), len(rows) - 1 if rows else 0
        )
        segment = struct.pack(order + "IIIIIIII", 1, 0, BASE, BASE, total, total, 6, 4096)
    return head.ljust(64, b"\0") + segment.ljust(56, b"\0") + body + table


def pe(sections: Mapping[str, Content], *, wide: bool = True) -> bytes:
    """A PE file, every section but ``.text`` writable."""
    optional = struct.pack("<H22xQ", 0x20B, BASE) if wide else struct.pack("<H26xI", 0x10B, BASE)
    optional = optional.ljust(240 if wide else 224, b"\0")
    start = 0x40 + 24 + len(optional) + 40 * len(sections)
    body, placed = _laid_out(sections, start, BASE)
    rows = b"".join(
        struct.pack(
            "<8sIIIIIIHHI", name.encode(), size, offset, size, offset, 0, 0, 0, 0, _CODE if name == ".text" else _DATA
        )
        for name, (offset, size) in placed.items()
    )
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, len(optional), 2)
    return head + coff + optional + rows + body


def mach_o(sections: Mapping[str, Content], *, wide: bool = True, big_endian: bool = False) -> bytes:
    """A Mach-O file with one writable segment; names are ``__DATA,__name``."""
    order = ">" if big_endian else "<"
    command_bytes = (72 + 80 * len(sections)) if wide else (56 + 68 * len(sections))
    start = (32 if wide else 28) + command_bytes
    body, placed = _laid_out(sections, start, BASE)
    rows = b""
    for label, (offset, size) in placed.items():
        segment, _, name = label.partition(",")
        layout = order + ("16s16sQQI28x" if wide else "16s16sIII24x")
        rows += struct.pack(layout, name.encode(), segment.encode(), BASE + offset, size, offset)
    total = start + len(body)
    head = struct.pack(order + "7I", 0xFEEDFACF if wide else 0xFEEDFACE, 7, 3, 2, 1, command_bytes, 0)
    layout = order + ("II16sQQQQIIII" if wide else "II16sIIIIIIII")
    command = struct.pack(
        layout, 0x19 if wide else 1, command_bytes, b"__DATA", BASE, total, 0, total, 7, 3, len(sections), 0
    )
    return head + (bytes(4) if wide else b"") + command + rows + body


def fat(*executables: bytes) -> bytes:
    """A file of several Mach-O executables."""
    at = 4096
    rows, body = b"", b""
    for executable in executables:
        rows += struct.pack(">IIIII", 7, 3, at + len(body), len(executable), 12)
        body += executable + bytes(-len(executable) % 4096)
    return (struct.pack(">II", 0xCAFEBABE, len(executables)) + rows).ljust(at, b"\0") + body


def _laid_out(sections: Mapping[str, Content], start: int, base: int) -> tuple[bytes, dict[str, tuple[int, int]]]:
    body, placed = b"", {}
    for name, content in sections.items():
        body += bytes(-(start + len(body)) % _ALIGNMENT)
        offset = start + len(body)
        made = content if isinstance(content, bytes) else content(base + offset)
        placed[name] = (offset, len(made))
        body += made
    return body, placed
