"""An executable's sections and segments: where the bytes of a name or an address are in its file, and those bytes."""

from dataclasses import dataclass, field
from typing import BinaryIO

MOST_SECTIONS = 65_536
"""Of a file; a header that tells of more is not believed."""


class NotExecutable(ValueError):
    """The headers do not make an executable of this format; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Section:
    """A named part of the file."""

    name: str
    """Mach-O's with its segment: ``__DATA,__go_buildinfo``."""
    address: int
    offset: int
    """From the beginning of the file; with ``size_bytes`` it never points beyond the file's end."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that is mapped at an address."""

    address: int
    offset: int
    size_bytes: int
    writable: bool


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file, every read of which is clamped to what it holds, whatever headers say."""

    content: BinaryIO
    size_bytes: int
    base: int = 0
    """Where this executable begins, in a file of several."""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """What the file holds of these bytes: fewer, or none, where it ends before."""
        offset += self.base
        if offset < 0 or offset >= self.size_bytes or size_bytes <= 0:
            return b""
        self.content.seek(offset)
        return self.content.read(min(size_bytes, self.size_bytes - offset))

    def require(self, offset: int, size_bytes: int) -> bytes:
        """Exactly these bytes.

        Raises:
            NotExecutable: the file ends before.
        """
        found = self.read(offset, size_bytes)
        if len(found) != size_bytes:
            raise NotExecutable(f"a header at {offset} lies beyond the end of the file")
        return found

    def within(self, offset: int, size_bytes: int) -> int:
        """How many of these bytes the file holds."""
        return max(0, min(size_bytes, self.size_bytes - self.base - offset)) if offset >= 0 else 0


@dataclass(frozen=True, slots=True)
class Executable:
    """One executable: what its headers say, checked against what the file holds."""

    source: SourceFile
    format: str
    """``elf``, ``pe``, ``mach-o``."""
    big_endian: bool = False
    wide: bool = True
    """Addresses have 64 bits."""
    sections: tuple[Section, ...] = ()
    segments: tuple[Segment, ...] = field(default=())

    def section(self, *names: str) -> Section | None:
        """The first section that has one of these names."""
        return next((section for section in self.sections if section.name in names), None)

    def section_bytes(self, section: Section, most_bytes: int) -> bytes:
        """The section's beginning, of at most so many bytes."""
        return self.source.read(section.offset, min(section.size_bytes, most_bytes))

    def at_address(self, address: int, size_bytes: int) -> bytes:
        """What is mapped at an address, to the end of its segment at most; nothing where nothing is."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size_bytes:
                inner = address - segment.address
                return self.source.read(segment.offset + inner, min(size_bytes, segment.size_bytes - inner))
        return b""
