"""The layers of an image, applied in order: which packages it has, and which layer brought each."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from openecr.scan.catalogers.go_modules import DIRECT_ONLY, SUMS
from openecr.scan.distribution import rank
from openecr.scan.packages import (
    DISTRIBUTION_KINDS,
    Distribution,
    FileFacts,
    ImageInventory,
    InstalledPackage,
    LayerInventory,
    Package,
    Unread,
)

_MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})
"""Directories of the root that are links to those below ``usr`` in merged roots; databases list either spelling."""
_Listed = tuple[str, str, str, str]


@dataclass(slots=True)
class _Seen:
    """A file that is to be seen from the top, and the layer that wrote it."""

    layer: int
    facts: FileFacts
    warnings: list[Unread] = field(default_factory=list)


def squash(layers: Sequence[LayerInventory], *, development: bool = False) -> ImageInventory:
    """Apply layers, the lowest first.

    A package of the distribution is the layer's from which on it stays listed up to the top; any other is the layer's
    that last wrote its file. What lock files declare counts only where nothing of that ecosystem is installed below
    their directory; what is for development only where it is asked for.
    """
    files: dict[str, _Seen] = {}
    since: dict[_Listed, int] = {}
    written: set[int] = set()
    for number, layer in enumerate(layers):
        hidden = _hide(files, layer)
        changed = hidden | _add(files, number, layer)
        if changed:
            written.add(number)
            since = {listed: since.get(listed, number) for listed in _listed(files)}
    owned = _owned(files, written)
    packages = [
        *_of_the_distribution(files, since),
        *_of_languages(files, owned, development=development),
    ]
    warnings = [warning for path in sorted(files) for warning in files[path].warnings]
    return ImageInventory(
        tuple(dict.fromkeys(packages)),
        _distribution(files),
        tuple(warning for layer in layers for warning in layer.warnings if not warning.path) + tuple(warnings),
    )


def _hide(files: dict[str, _Seen], layer: LayerInventory) -> bool:
    """Take away what a layer hides of those below; whether a file of the distribution's databases was among it."""
    gone = {*layer.whiteouts, *layer.replaced, *layer.files}
    opaque = set(layer.opaque)
    if not files or not (gone or opaque):
        return False
    verdicts: dict[str, bool] = {}

    def emptied(directory: str) -> bool:
        """Whether nothing of this directory is left."""
        known = verdicts.get(directory)
        if known is None:
            known = directory in opaque or directory in gone
            if not known and directory:
                known = emptied(directory.rpartition("/")[0])
            verdicts[directory] = known
        return known

    hidden = [path for path in files if path in gone or emptied(path.rpartition("/")[0])]
    taken = [files.pop(path) for path in hidden]
    return any(_is_database(seen.facts) for seen in taken)


def _add(files: dict[str, _Seen], number: int, layer: LayerInventory) -> bool:
    """Put a layer's files there; whether one of the distribution's databases was among them."""
    changed = False
    for path, facts in layer.files.items():
        if facts.packages or facts.owned_paths or facts.distribution:
            files[path] = _Seen(number, facts)
            changed = changed or _is_database(facts)
    for warning in layer.warnings:
        if warning.path:
            files.setdefault(warning.path, _Seen(number, FileFacts())).warnings.append(warning)
    return changed


def _is_database(facts: FileFacts) -> bool:
    return bool(facts.owned_paths) or any(package.kind in DISTRIBUTION_KINDS for package in facts.packages)


def _listed(files: dict[str, _Seen]) -> Iterator[_Listed]:
    for seen in files.values():
        for package in seen.facts.packages:
            if package.kind in DISTRIBUTION_KINDS:
                yield _key(package)


def _key(package: Package) -> _Listed:
    return package.kind, package.name, package.version, package.architecture


def _of_the_distribution(files: dict[str, _Seen], since: dict[_Listed, int]) -> Iterator[InstalledPackage]:
    """Each package once, however many databases list it: images keep one under two spellings of its path."""
    told: set[_Listed] = set()
    for path in sorted(files):
        for package in files[path].facts.packages:
            if package.kind in DISTRIBUTION_KINDS and (key := _key(package)) not in told:
                told.add(key)
                yield InstalledPackage(package, path, since[key])


def _of_languages(files: dict[str, _Seen], owned: set[str], *, development: bool) -> Iterator[InstalledPackage]:
    installed: dict[str, set[str]] = {}
    for path, seen in files.items():
        for package in seen.facts.packages:
            if not package.declared:
                installed.setdefault(package.ecosystem, set()).add(path)
    evidence = {ecosystem: sorted(paths) for ecosystem, paths in installed.items()}
    for path in sorted(files):
        for package in files[path].facts.packages:
            if package.kind in DISTRIBUTION_KINDS or (package.development and not development):
                continue
            if package.kind == SUMS and not _completes(files, path):
                continue
            if not (package.declared and _any_below(path.rpartition("/")[0], evidence.get(package.ecosystem, []))):
                yield InstalledPackage(package, path, files[path].layer, path in owned)


def _completes(files: dict[str, _Seen], path: str) -> bool:
    """Whether a go.sum tells what the go.mod beside it leaves out; since Go 1.17 that leaves nothing out."""
    beside = files.get(path.removesuffix("go.sum") + "go.mod")
    return beside is not None and any(package.kind == DIRECT_ONLY for package in beside.facts.packages)


def _any_below(directory: str, paths: list[str]) -> bool:
    """Whether one of some sorted paths lies below a directory."""
    if not directory:
        return bool(paths)
    beginning = directory + "/"
    at = bisect_left(paths, beginning)
    return at < len(paths) and paths[at].startswith(beginning)


def _owned(files: dict[str, _Seen], written: set[int]) -> set[str]:
    """Files that the distribution's packages put there.

    A file of a layer that left the databases as they were was written over by something else, such as a language's own
    package manager: it is nobody's.
    """
    spellings: dict[str, str] = {}
    for path, seen in files.items():
        if seen.facts.packages and seen.layer in written:
            spellings[path] = path
            spellings[_other_spelling(path)] = path
    found: set[str] = set()
    for seen in files.values():
        found.update(spellings.keys() & set(seen.facts.owned_paths) if seen.facts.owned_paths else ())
    return {spellings[spelling] for spelling in found}


def _other_spelling(path: str) -> str:
    first, _, rest = path.partition("/")
    if first in _MERGED:
        return f"usr/{path}"
    return rest if first == "usr" and rest.partition("/")[0] in _MERGED else path


def _distribution(files: dict[str, _Seen]) -> Distribution | None:
    found = [(rank(path), path) for path, seen in files.items() if seen.facts.distribution]
    return files[min(found)[1]].facts.distribution if found else None
