"""ELF's headers, of 32 and 64 bits in both byte orders.

Source: the System V ABI, "Object Files" (ELF header, section header, program header, symbol table).
"""

import struct

from openecr.scan.executables.image import MOST_SECTIONS, Executable, NotExecutable, Section, Segment, SourceFile

_NO_BITS = 8
_LOADED = 1
_WRITABLE = 2
_MOST_NAMES_BYTES = 4 << 20
_MOST_SYMBOLS_BYTES = 16 << 20


def read_elf(source: SourceFile) -> Executable:
    """The sections and segments of an ELF file; without sections where they were stripped.

    Raises:
        NotExecutable
    """
    ident = source.require(0, 16)
    if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise NotExecutable("no ELF header")
    wide, big_endian = ident[4] == 2, ident[5] == 2
    order = ">" if big_endian else "<"
    if wide:
        header = struct.unpack(order + "QQIHHHHHH", source.require(32, 32))
    else:
        header = struct.unpack(order + "IIIHHHHHH", source.require(28, 24))
    segments_at, sections_at, _, _, segment_bytes, segment_count, section_bytes, section_count, names_index = header
    return Executable(
        source,
        "elf",
        big_endian,
        wide,
        _sections(source, order, wide, (sections_at, section_bytes, section_count, names_index)),
        _segments(source, order, wide, (segments_at, segment_bytes, segment_count)),
    )


def _segments(source: SourceFile, order: str, wide: bool, table: tuple[int, int, int]) -> tuple[Segment, ...]:
    at, entry_bytes, count = table
    layout = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if entry_bytes < layout.size:
        return ()
    content = source.read(at, entry_bytes * count)
    segments = []
    for start in range(0, len(content) - layout.size + 1, entry_bytes):
        if wide:
            kind, flags, offset, address, _, size_bytes, _, _ = layout.unpack_from(content, start)
        else:
            kind, offset, address, _, size_bytes, _, flags, _ = layout.unpack_from(content, start)
        if kind == _LOADED:
            segments.append(Segment(address, offset, source.within(offset, size_bytes), bool(flags & _WRITABLE)))
    return tuple(segments)


def _sections(source: SourceFile, order: str, wide: bool, table: tuple[int, int, int, int]) -> tuple[Section, ...]:
    at, entry_bytes, count, names_index = table
    layout = struct.Struct(order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"))
    if not at or entry_bytes < layout.size:
        return ()
    first = source.read(at, layout.size)
    if len(first) < layout.size:
        return ()
    # Counts that do not fit their fields are in the first, otherwise empty, section.
    _, _, _, _, _, large_count, large_names_index, _, _, _ = layout.unpack(first)
    count = count or large_count
    names_index = large_names_index if names_index == 0xFFFF else names_index
    if count > MOST_SECTIONS:
        raise NotExecutable(f"tells of {count} sections")
    content = source.read(at, entry_bytes * count)
    rows = [layout.unpack_from(content, start) for start in range(0, len(content) - layout.size + 1, entry_bytes)]
    if names_index >= len(rows):
        return ()
    names = source.read(rows[names_index][4], min(rows[names_index][5], _MOST_NAMES_BYTES))
    return tuple(
        Section(_name(names, name_at), address, offset, 0 if kind == _NO_BITS else source.within(offset, size_bytes))
        for name_at, kind, _, address, offset, size_bytes, _, _, _, _ in rows
    )


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at, at + 256)
    return names[at : end if end >= 0 else at + 256].decode("latin-1")


def elf_symbol(executable: Executable, name: str) -> bytes | None:
    """The bytes of the object that a symbol names; None where the table was stripped or has no such name."""
    table, names = executable.section(".symtab"), executable.section(".strtab")
    if executable.format != "elf" or table is None or names is None:
        return None
    text = executable.section_bytes(names, _MOST_SYMBOLS_BYTES)
    name_at = text.find(b"\0" + name.encode() + b"\0") + 1
    if not name_at:
        return None
    order = ">" if executable.big_endian else "<"
    layout = struct.Struct(order + ("IBBHQQ" if executable.wide else "IIIBBH"))
    content = executable.section_bytes(table, _MOST_SYMBOLS_BYTES)
    # The rows are looked through as bytes first: a table has a row for each function, and one of them is wanted.
    wanted = struct.pack(order + "I", name_at)
    at = content.find(wanted)
    while at >= 0:
        if at % layout.size == 0 and at + layout.size <= len(content):
            row = layout.unpack_from(content, at)
            address, size_bytes = (row[4], row[5]) if executable.wide else (row[1], row[2])
            return executable.at_address(address, min(size_bytes, 1024))
        at = content.find(wanted, at + 1)
    return None
