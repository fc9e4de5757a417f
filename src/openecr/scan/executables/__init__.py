"""Sections and segments of executables: ELF, PE, Mach-O.

A reader of our own, for three tables of fixed layout. Libraries for them parse all of a file (relocations, debugging
data, imports), several megabytes of Python of each format, and trust what headers say of sizes and offsets; here every
offset is clamped to the file, every count has a bound, and nothing but what is asked for is read.
"""

from openecr.scan.executables.elf import elf_symbol, read_elf
from openecr.scan.executables.image import Executable, NotExecutable, Section, Segment, SourceFile
from openecr.scan.executables.mach_o import FAT_MAGICS, MAGICS, read_mach_o
from openecr.scan.executables.pe import read_pe

EXECUTABLE_MAGICS = (b"\x7fELF", b"MZ", *MAGICS, *FAT_MAGICS)
"""First bytes of every file that ``read_executable`` may read."""

__all__ = [
    "EXECUTABLE_MAGICS",
    "Executable",
    "NotExecutable",
    "Section",
    "Segment",
    "SourceFile",
    "elf_symbol",
    "read_executable",
]


def read_executable(source: SourceFile) -> Executable | None:
    """The executable; None where the file only begins like one: a script, a core dump, a truncated download.

    That is no reason for a warning: what does not run holds nothing that could be attacked.
    """
    magic = source.read(0, 4)
    try:
        if magic == b"\x7fELF":
            return read_elf(source)
        if magic[:2] == b"MZ":
            return read_pe(source)
        return read_mach_o(source)
    except NotExecutable:
        return None
