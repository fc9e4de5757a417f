"""PE's headers: Windows executables and libraries.

Source: Microsoft, "PE Format" (COFF file header, optional header, section table).
"""

import struct

from openecr.scan.executables.image import Executable, NotExecutable, Section, Segment, SourceFile

_WRITABLE = 0x8000_0000
_SECTION = struct.Struct("<8sIIIIIIHHI")


def read_pe(source: SourceFile) -> Executable:
    """The sections of a PE file, at the addresses that they have where the image is loaded as it prefers.

    Raises:
        NotExecutable
    """
    header_at = struct.unpack("<I", source.require(0x3C, 4))[0]
    header = source.require(header_at, 24)
    if header[:4] != b"PE\0\0":
        raise NotExecutable("no PE header")
    _, section_count, _, _, _, optional_bytes, _ = struct.unpack("<HHIIIHH", header[4:])
    optional = source.read(header_at + 24, min(optional_bytes, 32))
    wide = optional[:2] == b"\x0b\x02"
    base = 0
    if len(optional) == 32:
        base = struct.unpack_from("<Q", optional, 24)[0] if wide else struct.unpack_from("<I", optional, 28)[0]
    content = source.read(header_at + 24 + optional_bytes, _SECTION.size * section_count)
    sections, segments = [], []
    for start in range(0, len(content) - _SECTION.size + 1, _SECTION.size):
        name, memory_bytes, address, file_bytes, offset, *_, flags = _SECTION.unpack_from(content, start)
        # The file's part is padded to a multiple; what is mapped may be shorter, and is what there is.
        size_bytes = source.within(offset, min(memory_bytes, file_bytes) if memory_bytes else file_bytes)
        sections.append(Section(name.rstrip(b"\0").decode("latin-1"), base + address, offset, size_bytes))
        segments.append(Segment(base + address, offset, size_bytes, bool(flags & _WRITABLE)))
    return Executable(source, "pe", False, wide, tuple(sections), tuple(segments))
