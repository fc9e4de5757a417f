"""Sequences that are as if they went on for ever with one and the same item, as keys that order so."""

from collections.abc import Iterable
from typing import Any


def padded(items: Iterable[tuple[Any, ...]], endless: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key of ``items`` followed by ``endless`` again and again.

    Two such sequences that agree up to here differ at the first item that is not ``endless`` in one of them: the sooner
    it comes, the further from the middle it leads. So each such item is preceded by its direction and by how many
    ``endless`` stood before it.
    """
    key: list[tuple[Any, ...]] = []
    skipped = 0
    for item in items:
        if item == endless:
            skipped += 1
            continue
        key += [(1, -skipped) if item > endless else (-1, skipped), item]
        skipped = 0
    key.append((0,))
    return tuple(key)
