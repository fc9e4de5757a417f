"""Which catalogers want a file: the tests of all of them, compiled into a few look-ups for each path."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from openecr.scan.cataloger import Cataloger

_MAGIC_BYTES = 8
_TAIL_CHARACTERS = 3
_Test = TypeVar("_Test")
_Numbers = tuple[int, ...]
"""Of catalogers, in their order."""


class Dispatch:
    """The tests of some catalogers."""

    def __init__(self, catalogers: Sequence[Cataloger]) -> None:
        self._catalogers = tuple(catalogers)
        self._paths = self._by(lambda cataloger: cataloger.paths)
        self._names = self._by(lambda cataloger: cataloger.names)
        self._folders = self._by(lambda cataloger: cataloger.folders)
        self._magic = self._by(lambda cataloger: cataloger.magic)
        self._directories: dict[str, list[tuple[str, _Numbers]]] = {}
        for place, numbers in self._by(lambda cataloger: cataloger.directories).items():
            directory, _, end = place.partition("/*")
            self._directories.setdefault(directory, []).append((end, numbers))
        suffixes = self._by(lambda cataloger: [suffix.lower() for suffix in cataloger.suffixes])
        self._tail = min([_TAIL_CHARACTERS, *map(len, suffixes)])
        self._suffixes: dict[str, list[tuple[str, _Numbers]]] = {}
        for suffix, numbers in suffixes.items():
            self._suffixes.setdefault(suffix[-self._tail :], []).append((suffix, numbers))
        self._ends = {tail: tuple(suffix for suffix, _ in tailed) for tail, tailed in self._suffixes.items()}
        self._beginnings = frozenset(magic[:1] for magic in self._magic)
        self.magic_bytes = max([_MAGIC_BYTES, *map(len, self._magic)])
        """How much of a file's beginning is to be tested."""

    def by_path(self, path: str) -> tuple[Cataloger, ...]:
        """The catalogers that want a file for its path, in their order, each once."""
        directory, _, name = path.rpartition("/")
        named, placed, whole = self._names.get(name), self._directories.get(directory), self._paths.get(path)
        in_folder = self._folders.get(directory.rpartition("/")[2])
        tail = path[-self._tail :].lower()
        lower = "/" + path.lower() if tail in self._ends else ""
        tailed = self._suffixes[tail] if lower and lower.endswith(self._ends[tail]) else None
        if named is None and placed is None and whole is None and in_folder is None and tailed is None:
            return ()
        found = {*(whole or ()), *(named or ()), *(in_folder or ())}
        for end, numbers in placed or ():
            if name.endswith(end):
                found.update(numbers)
        for suffix, numbers in tailed or ():
            if lower.endswith(suffix):
                found.update(numbers)
        return tuple(self._catalogers[number] for number in sorted(found))

    def by_magic(self, head: bytes) -> tuple[Cataloger, ...]:
        """The catalogers that want a file for its first bytes."""
        if head[:1] not in self._beginnings:
            return ()
        found = {number for magic, numbers in self._magic.items() if head.startswith(magic) for number in numbers}
        return tuple(self._catalogers[number] for number in sorted(found))

    def _by(self, tests: Callable[[Cataloger], Iterable[_Test]]) -> dict[_Test, _Numbers]:
        found: dict[_Test, _Numbers] = {}
        for number, cataloger in enumerate(self._catalogers):
            for test in tests(cataloger):
                found[test] = (*found.get(test, ()), number)
        return found
