"""Go's module files: go.mod, go.sum and vendor/modules.txt.

Source: the Go Modules Reference ("go.mod files", "go.sum files", "Vendoring").
"""

import re
from collections.abc import Iterator

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.plain_text import plain_text
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.packages import FileFacts, Package

DIRECT_ONLY = "go-mod-direct"
"""Kind of a go.mod that names only what the module itself imports."""
SUMS = "go-sum"
"""Kind of a go.sum, which names more than is built: it counts only beside a go.mod that names less."""
_GO_DIRECTIVE = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_TOOLCHAINS_OWN = ("std", "cmd")
"""Modules of Go's own tree: what these vendor is the standard library's, and told with its advisories."""
_NOT_BUILT = ("pkg/mod/", "testdata/")
"""Go's cache holds the go.mod of every version that was weighed; its tool passes over testdata."""


def _is_built(path: str) -> bool:
    return not any(f"/{part}" in f"/{path}" for part in _NOT_BUILT)


def _facts(file: WantedFile, modules: dict[str, str], kind: str) -> FileFacts:
    packages = (Package("Go", name, version, kind, declared=True) for name, version in modules.items())
    return testimony(packages, file.limits)


def _read_mod(file: WantedFile) -> FileFacts:
    """Modules that are required, replaced ones as their replacement; kind ``go-mod``.

    Before Go 1.17 the file names only what the module imports itself: kind ``go-mod-direct``, to be read with the
    go.sum beside it.
    """
    required: dict[str, str] = {}
    replaced: list[tuple[str, str, str, str]] = []
    module, release = "", (0, 0)
    if not _is_built(file.path):
        return FileFacts()
    for words in _directives(plain_text(file).split("\n")):
        match words:
            case ["module", name, *_]:
                module = name
            case ["go", version, *_] if numbers := _GO_DIRECTIVE.match(version):
                release = (int(numbers[1]), int(numbers[2]))
            case ["require", name, version, *_]:
                required[name] = version
            case ["replace", name, "=>", new, *rest]:
                replaced.append((name, "", new, rest[0] if rest else ""))
            case ["replace", name, version, "=>", new, *rest]:
                replaced.append((name, version, new, rest[0] if rest else ""))
    if module in _TOOLCHAINS_OWN:
        return FileFacts()
    # A replacement of one version comes before that of all; one by a directory has no version, and is left out.
    for name, version, new, new_version in sorted(replaced, key=lambda row: row[1] == ""):
        if name in required and version in ("", required[name]):
            del required[name]
            required[new] = new_version
    return _facts(file, required, "go-mod" if release >= (1, 17) else DIRECT_ONLY)


def _directives(lines: list[str]) -> Iterator[list[str]]:
    """Each directive's words, those in brackets with the bracket's verb."""
    block = ""
    for line in lines:
        words = [word.strip('"`') for word in line.split("//", 1)[0].split()]
        if not words:
            continue
        if block:
            if words == [")"]:
                block = ""
            else:
                yield [block, *words]
        elif words[-1] == "(" and len(words) == 2:
            block = words[0]
        else:
            yield words


def _read_sum(file: WantedFile) -> FileFacts:
    """Modules whose content was downloaded; of several versions the last, as the file sorts them."""
    modules: dict[str, str] = {}
    if not _is_built(file.path):
        return FileFacts()
    for line in plain_text(file).split("\n"):
        match line.split():
            case [name, version, hashed] if hashed.startswith("h1:") and not version.endswith("/go.mod"):
                modules[name] = version
    return _facts(file, modules, SUMS)


def _read_vendored(file: WantedFile) -> FileFacts:
    """``# path version [=> path [version]]`` of each module that packages were copied of."""
    modules: dict[str, str] = {}
    if not _is_built(file.path) or f"/{file.path}".endswith(
        ("/go/src/vendor/modules.txt", "/src/cmd/vendor/modules.txt")
    ):
        return FileFacts()
    pending: tuple[str, str] | None = None
    for line in plain_text(file).split("\n"):
        if line.startswith("# "):
            match line[2:].split():
                case [_, _, "=>", new, version] | [_, "=>", new, version]:
                    pending = (new, version)
                case [name, version]:
                    pending = (name, version)
                case _:
                    pending = None
        elif line and not line.startswith("#") and pending is not None:
            # A module without a package below it was only weighed.
            modules[pending[0]] = pending[1]
            pending = None
    return _facts(file, modules, "go-vendored")


GO_MOD = Cataloger("go-mod", 1, _read_mod, names=("go.mod",))
GO_SUM = Cataloger("go-sum", 1, _read_sum, names=("go.sum",))
GO_VENDORED = Cataloger("go-vendored", 1, _read_vendored, suffixes=("vendor/modules.txt",))

CATALOGERS = (GO_MOD, GO_SUM, GO_VENDORED)
