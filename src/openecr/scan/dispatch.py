"""Which catalogers want a file: the tests of all of them, compiled into a few look-ups for each path."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from openecr.scan.catalogers import Cataloger

MAGIC_BYTES = 8
"""How much of a file's beginning ``by_magic`` is given at least."""
_TAIL_CHARACTERS = 3
_Test = TypeVar("_Test")
_Wanting = dict[_Test, tuple[Cataloger, ...]]


class Dispatch:
    """The tests of some catalogers."""

    def __init__(self, catalogers: Sequence[Cataloger]) -> None:
        self._paths = _by(catalogers, lambda cataloger: cataloger.paths)
        self._names = _by(catalogers, lambda cataloger: cataloger.names)
        self._directories: dict[str, list[tuple[str, tuple[Cataloger, ...]]]] = {}
        for place, wanting in _by(catalogers, lambda cataloger: cataloger.directories).items():
            directory, _, end = place.partition("/*")
            self._directories.setdefault(directory, []).append((end, wanting))
        self._magic = _by(catalogers, lambda cataloger: cataloger.magic)
        suffixes = _by(catalogers, lambda cataloger: [suffix.lower() for suffix in cataloger.suffixes])
        self._suffixes: dict[str, list[tuple[str, tuple[Cataloger, ...]]]] = {}
        self._tail = min([_TAIL_CHARACTERS, *map(len, suffixes)])
        for suffix, wanting in suffixes.items():
            self._suffixes.setdefault(suffix[-self._tail :], []).append((suffix, wanting))
        self._beginnings = frozenset(magic[:1] for magic in self._magic)
        self.magic_bytes = max([MAGIC_BYTES, *map(len, self._magic)])
        """How much of a file's beginning is to be tested."""

    def by_path(self, path: str) -> tuple[Cataloger, ...]:
        """The catalogers that want a file for its path, in their order, each once."""
        directory, _, name = path.rpartition("/")
        named, placed, whole = self._names.get(name), self._directories.get(directory), self._paths.get(path)
        tailed = self._suffixes.get(path[-self._tail :].lower())
        if named is None and placed is None and whole is None and tailed is None:
            return ()
        found = dict.fromkeys((*(whole or ()), *(named or ())))
        for end, wanting in placed or ():
            if name.endswith(end):
                found.update(dict.fromkeys(wanting))
        if tailed is not None:
            lower = "/" + path.lower()
            for suffix, wanting in tailed:
                if lower.endswith(suffix):
                    found.update(dict.fromkeys(wanting))
        return tuple(found)

    def by_magic(self, head: bytes) -> tuple[Cataloger, ...]:
        """The catalogers that want a file for its first bytes."""
        if head[:1] not in self._beginnings:
            return ()
        return tuple(
            dict.fromkeys(
                cataloger for magic, wanting in self._magic.items() if head.startswith(magic) for cataloger in wanting
            )
        )


def _by(catalogers: Sequence[Cataloger], tests: Callable[[Cataloger], Iterable[_Test]]) -> _Wanting[_Test]:
    found: dict[_Test, tuple[Cataloger, ...]] = {}
    for cataloger in catalogers:
        for test in tests(cataloger):
            found[test] = (*found.get(test, ()), cataloger)
    return found
