"""What was read of one image or folder."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from openecr.names import Digest
from openecr.scan.packages import ImageInventory
from openecr.scan.vex import Statements


class TargetRefused(Exception):
    """It is nothing that can be read; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was read of one image, or of a folder."""

    name: str
    """As whoever asked knows it."""
    inventory: ImageInventory
    repository: str = ""
    """What an SBOM calls its repository; the name where it is empty."""
    digest: str = ""
    """Of the manifest; of the config for a saved image, which has none; empty for a folder."""
    layers: tuple[str, ...] = ()
    """Digests, the lowest first."""
    architecture: str = ""
    repositories: frozenset[str] = frozenset()
    """What VEX statements may call its repository."""
    digests: frozenset[str] = frozenset()
    """By which VEX statements may name it: its own, and those of the indexes that it is in."""
    gaps: tuple[str, ...] = ()
    """What of it was not read, beside what its inventory says."""
    ruled: Statements | None = None
    attached: Statements | None = None
    """The deployment's VEX statements that count on it."""
    dated_us: int = 0
    """When it was pushed; 0 where it was not."""


async def verified(pieces: Iterator[bytes], digest: Digest) -> AsyncIterator[bytes]:
    """The bytes of a blob; at their end they are compared with its digest.

    Raises:
        TargetRefused: they are others.
    """
    state = hashlib.new(digest.algorithm)
    for piece in pieces:
        state.update(piece)
        yield piece
    if Digest.from_raw(digest.algorithm, state.digest()) != digest:
        raise TargetRefused(f"the bytes of {digest} are damaged; make the layout again")
