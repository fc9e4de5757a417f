"""Mach-O's load commands, and the files that hold an executable for each of several processors.

Source: Apple, "OS X ABI Mach-O File Format Reference" (mach_header, segment_command, section, fat_header).
"""

import struct

from openecr.scan.executables.image import MOST_SECTIONS, Executable, NotExecutable, Section, Segment, SourceFile

MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
FAT_MAGICS = tuple(b"\xca\xfe\xba\xbe\0\0\0" + bytes([count]) for count in range(1, 9))
"""With the count of processors: a Java class begins with the same four bytes, and with a version above 44."""
_SEGMENT, _SEGMENT_64 = 0x1, 0x19
_WRITABLE = 2
_MOST_COMMANDS_BYTES = 8 << 20


def read_mach_o(source: SourceFile) -> Executable:
    """The sections and segments of a Mach-O file; of the first executable in a file of several.

    Raises:
        NotExecutable
    """
    magic = source.require(0, 8)
    if magic in FAT_MAGICS:
        _, _, offset, _, _ = struct.unpack(">IIIII", source.require(8, 20))
        source = SourceFile(source.content, source.size_bytes, offset)
        magic = source.require(0, 8)
    if magic[:4] not in MAGICS:
        raise NotExecutable("no Mach-O header")
    order = ">" if magic[:1] == b"\xfe" else "<"
    wide = b"\xcf" in magic[:4]
    command_count, commands_bytes = struct.unpack(order + "II", source.require(16, 8))
    content = source.read(32 if wide else 28, min(commands_bytes, _MOST_COMMANDS_BYTES))
    sections: list[Section] = []
    segments: list[Segment] = []
    at = 0
    for _ in range(command_count):
        if at + 8 > len(content):
            break
        command, command_bytes = struct.unpack_from(order + "II", content, at)
        if command_bytes < 8:
            raise NotExecutable("a load command without a length")
        if command == (_SEGMENT_64 if wide else _SEGMENT):
            _read_segment(source, content[at : at + command_bytes], order, wide, sections, segments)
        at += command_bytes
    return Executable(source, "mach-o", order == ">", wide, tuple(sections), tuple(segments))


def _read_segment(
    source: SourceFile, command: bytes, order: str, wide: bool, sections: list[Section], segments: list[Segment]
) -> None:
    head = struct.Struct(order + ("8x16sQQQQIIII" if wide else "8x16sIIIIIIII"))
    row = struct.Struct(order + ("16s16sQQI28x" if wide else "16s16sIII24x"))
    if len(command) < head.size:
        return
    _, address, _, offset, size_bytes, _, protection, _, _ = head.unpack_from(command)
    segments.append(Segment(address, offset, source.within(offset, size_bytes), bool(protection & _WRITABLE)))
    for start in range(head.size, len(command) - row.size + 1, row.size):
        if len(sections) >= MOST_SECTIONS:
            raise NotExecutable(f"holds more than {MOST_SECTIONS} sections")
        name, segment, at, section_bytes, section_offset = row.unpack_from(command, start)
        label = ",".join(part.rstrip(b"\0").decode("latin-1") for part in (segment, name))
        sections.append(Section(label, at, section_offset, source.within(section_offset, section_bytes)))
