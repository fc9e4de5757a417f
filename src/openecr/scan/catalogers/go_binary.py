"""Go programs: the modules that are linked into one, Go's own standard library, and the program's own module."""

import re
import shlex
from itertools import pairwise

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.go_build_info import GoBuildInfo, read_build_info
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.executables import EXECUTABLE_MAGICS, Executable, SourceFile, elf_symbol, read_executable
from openecr.scan.packages import FileFacts, Package

_MOST_FLAGS = 65_536
"""Characters of ``-ldflags``."""
_TOOLCHAIN = re.compile(r"go([0-9]+(?:\.[0-9]+){0,2}(?:(?:rc|beta)[0-9]+)?)(?:[ -].*)?", re.DOTALL)
_SEMANTIC = re.compile(r"v?[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(?:-[0-9A-Za-z.-]{1,100})?(?:\+[0-9A-Za-z.-]{1,100})?")
_PSEUDO = re.compile(r"[.-](?:0\.)?[0-9]{14}-[0-9a-f]{12}(?:\+[0-9A-Za-z.-]+)?$")
_VARIABLE = re.compile(r"(?:^|/)(main|version|versions|common|cmd)\.(?:[A-Za-z]*version|ver)$", re.IGNORECASE)


def _read(file: WantedFile) -> FileFacts:
    executable = read_executable(SourceFile(file.content, file.size_bytes))
    info = read_build_info(executable) if executable is not None else None
    if executable is None or info is None:
        return FileFacts()
    modules = [*_own(executable, info), *((each.path, each.version) for each in info.dependencies)]
    return testimony((Package("Go", name, version, "go-binary") for name, version in modules), file.limits)


def _own(executable: Executable, info: GoBuildInfo) -> list[tuple[str, str]]:
    packages = []
    # A build of an unreleased state says "devel": nobody can say what it holds of the library.
    if toolchain := _TOOLCHAIN.fullmatch(info.toolchain):
        packages.append(("stdlib", toolchain.group(1)))
        if info.program == "cmd/go":
            packages.append(("toolchain", toolchain.group(1)))
    if info.main is not None:
        packages.append((info.main.path, _main_version(executable, info)))
    return packages


def _main_version(executable: Executable, info: GoBuildInfo) -> str:
    """The program's own version, by the best witness; empty where there is none.

    A release that ``go install`` built says so itself. A build from a checkout has a pseudo-version or none, and often
    a version that was set by the linker: in the flags, or, where ``-trimpath`` left these out, in a symbol.
    """
    recorded = info.main.version if info.main is not None else ""
    if recorded and not _PSEUDO.search(recorded):
        return recorded
    return _flagged_version(dict(info.settings).get("-ldflags", "")) or _symbol_version(executable) or recorded


def _flagged_version(flags: str) -> str:
    try:
        words = shlex.split(_unquoted(flags)[:_MOST_FLAGS])
    except ValueError:
        return ""
    assignments = [
        word.removeprefix("-X=") if word.startswith("-X=") else following
        for word, following in pairwise([*words, ""])
        if word == "-X" or word.startswith("-X=")
    ]
    main: set[str] = set()
    others: set[str] = set()
    for assignment in assignments:
        variable, _, value = assignment.partition("=")
        if (match := _VARIABLE.search(variable)) and (version := _version(value)):
            (main if match.group(1).lower() == "main" else others).add(version)
    # The program's own variable counts first; two that contradict each other say nothing.
    candidates = main or others
    return candidates.pop() if len(candidates) == 1 else ""


def _unquoted(flags: str) -> str:
    if len(flags) >= 2 and flags[0] == flags[-1] == "`":
        return flags[1:-1]
    if len(flags) >= 2 and flags[0] == flags[-1] == '"':
        return flags[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return flags


def _symbol_version(executable: Executable) -> str:
    for name in ("main.version.str", "main.Version.str"):
        if (content := elf_symbol(executable, name)) is not None:
            return _version(content.rstrip(b"\0").decode("utf-8", "replace"))
    return ""


def _version(text: str) -> str:
    return text if _SEMANTIC.fullmatch(text) else ""


GO_BINARY = Cataloger("go-binary", 1, _read, magic=EXECUTABLE_MAGICS)

CATALOGERS = (GO_BINARY,)
