"""What Go's linker writes into every program: the toolchain's version, and the modules that it is made of.

Source: Go's package debug/buildinfo and the format that its documentation of ``runtime/debug.BuildInfo`` describes. The
block begins with 14 bytes of magic on a 16-byte boundary; programs since Go 1.18 carry both texts inline behind 32
bytes, older ones the addresses of two string headers.
"""

from dataclasses import dataclass
from typing import Literal

from openecr.scan.executables import Executable, Section

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_INLINE = 2
_BIG_ENDIAN = 1
_MOST_VERSION_BYTES = 256
_MOST_MODULES_BYTES = 4 << 20
_MOST_SEARCHED_BYTES = 16 << 20
_FRAME_BYTES = 16
"""Of the marks before and behind the modules' text."""
_MOST_LINES = 20_000


@dataclass(frozen=True, slots=True)
class GoModule:
    """A module that was linked."""

    path: str
    version: str
    """Empty where it has none: a local replacement, a member of a workspace."""


@dataclass(frozen=True, slots=True)
class GoBuildInfo:
    """What a program says of its own making."""

    toolchain: str
    """``go1.22.5``, ``go1.23-20240626-RC01 cl/646990413``, ``devel go1.24-abcdef``."""
    program: str = ""
    """Package path of the program: ``cmd/go``, ``example.com/server/cmd/serve``."""
    main: GoModule | None = None
    dependencies: tuple[GoModule, ...] = ()
    """Replacements in the place of what they replace."""
    settings: tuple[tuple[str, str], ...] = ()
    """``-ldflags``, ``CGO_ENABLED``, ``vcs.revision`` …"""


def read_build_info(executable: Executable) -> GoBuildInfo | None:
    """What a Go program says of itself; None if it is none, or hides it (garble, UPX)."""
    section = _section(executable)
    if section is None:
        return None
    content = executable.section_bytes(section, _MOST_SEARCHED_BYTES)
    at = _find(content, section.address)
    if at is None or at + 32 > len(content):
        return None
    header = content[at : at + 32]
    if header[15] & _INLINE:
        version, after = _counted(content, at + 32, _MOST_VERSION_BYTES)
        modules, _ = _counted(content, after, _MOST_MODULES_BYTES)
    else:
        version, modules = _pointed(executable, header)
    if not version:
        return None
    return _parsed(version.decode("utf-8", "replace"), _unframed(modules))


def _section(executable: Executable) -> Section | None:
    named = executable.section(".go.buildinfo", "__DATA,__go_buildinfo")
    if named is not None and named.size_bytes:
        return named
    # PE has no section of that name; an ELF file may have lost its section headers.
    data = next((segment for segment in executable.segments if segment.writable and segment.size_bytes), None)
    return None if data is None else Section("data", data.address, data.offset, data.size_bytes)


def _find(content: bytes, address: int) -> int | None:
    at = content.find(_MAGIC)
    while at >= 0:
        if (address + at) % _ALIGNMENT == 0 or at % _ALIGNMENT == 0:
            return at
        at = content.find(_MAGIC, at + 1)
    return None


def _counted(content: bytes, at: int, most_bytes: int) -> tuple[bytes, int]:
    """A text behind its length, a varint; empty where the length is longer than is believed, or than there is."""
    length = 0
    for shift in range(0, 35, 7):
        if at >= len(content):
            return b"", at
        byte = content[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        return b"", at
    if length > most_bytes or at + length > len(content):
        return b"", at
    return content[at : at + length], at + length


def _pointed(executable: Executable, header: bytes) -> tuple[bytes, bytes]:
    pointer_bytes = header[14]
    if pointer_bytes not in (4, 8):
        return b"", b""
    order: Literal["big", "little"] = "big" if header[15] & _BIG_ENDIAN else "little"

    def text(at: int, most_bytes: int) -> bytes:
        string = executable.at_address(int.from_bytes(header[at : at + pointer_bytes], order), 2 * pointer_bytes)
        length = int.from_bytes(string[pointer_bytes:], order)
        if len(string) < 2 * pointer_bytes or length > most_bytes:
            return b""
        return executable.at_address(int.from_bytes(string[:pointer_bytes], order), length)

    return text(16, _MOST_VERSION_BYTES), text(16 + pointer_bytes, _MOST_MODULES_BYTES)


def _unframed(modules: bytes) -> str:
    """The text between the marks; as Go does, only if the line end that precedes the second mark is there."""
    if len(modules) < 2 * _FRAME_BYTES + 1 or modules[-_FRAME_BYTES - 1 : -_FRAME_BYTES] != b"\n":
        return ""
    return modules[_FRAME_BYTES:-_FRAME_BYTES].decode("utf-8", "replace")


def _parsed(toolchain: str, modules: str) -> GoBuildInfo:
    program, main = "", None
    dependencies: list[GoModule] = []
    settings: list[tuple[str, str]] = []
    for line in modules.split("\n")[:_MOST_LINES]:
        kind, _, rest = line.partition("\t")
        if kind == "path":
            program = rest
        elif kind == "mod":
            main = _module(rest)
        elif kind == "dep":
            dependencies.append(_module(rest))
        elif kind == "=>" and dependencies:
            dependencies[-1] = _module(rest)
        elif kind == "build":
            key, _, value = rest.partition("=")
            settings.append((key, value))
    return GoBuildInfo(toolchain, program, main, tuple(dependencies), tuple(settings))


def _module(rest: str) -> GoModule:
    columns = rest.split("\t")
    version = columns[1] if len(columns) > 1 else ""
    return GoModule(columns[0], "" if version == "(devel)" else version)
