"""Two builds → the packages whose advisories differ: what must be matched again, and nothing else."""

from collections.abc import Iterator

from openecr.scan.vulndb.index import Index


def differences(old: Index, new: Index) -> Iterator[tuple[str, str]]:
    """(ecosystem, package) of every row that was added, changed or removed, in order; details do not count.

    A record that was withdrawn leaves its packages' rows, so they are among these, and what it found is closed.

    Raises:
        IndexUnusable: one of them is damaged.
    """
    yield from _merged(old.rows(), new.rows())


_Row = tuple[str, str, bytes]


def _merged(old_rows: Iterator[_Row], new_rows: Iterator[_Row]) -> Iterator[tuple[str, str]]:
    """Both are in SQLite's order of texts: by their bytes in UTF-8, which is that of their code points."""
    old, new = next(old_rows, None), next(new_rows, None)
    while old is not None or new is not None:
        if old is not None and (new is None or old[:2] < new[:2]):
            yield old[:2]
            old = next(old_rows, None)
        elif new is not None and (old is None or new[:2] < old[:2]):
            yield new[:2]
            new = next(new_rows, None)
        elif old is not None and new is not None:
            if old[2] != new[2]:
                yield new[:2]
            old, new = next(old_rows, None), next(new_rows, None)
