"""What a policy says of every image of a repository, and what it would free: ``openecr lifecycle``."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from openecr.db import lifecycle
from openecr.db.connection import Connection, Database
from openecr.services.ecr.lifecycle.evaluation import DAY_US, Outcome, Verdict, evaluate
from openecr.services.ecr.lifecycle.lint import Hint, lint
from openecr.services.ecr.lifecycle.loading import START, load
from openecr.services.ecr.lifecycle.policy import Rule

_STEP = 1000
_RECENT_US = 30 * DAY_US


@dataclass(frozen=True, slots=True)
class Report:
    """A policy's verdicts at an instant."""

    now_us: int
    verdicts: list[Verdict]
    freed_bytes: int
    """Bytes that only images which expire name: what is free again once they have left the trash."""
    total: int
    """All images of the repository."""
    hints: list[Hint]

    @property
    def expiring(self) -> list[Verdict]:
        """Those that expire."""
        return [verdict for verdict in self.verdicts if verdict.outcome == Outcome.EXPIRE]

    @property
    def archiving(self) -> list[Verdict]:
        """Those that are archived."""
        return [verdict for verdict in self.verdicts if verdict.outcome == Outcome.ARCHIVE]

    def pulled_lately(self, since_us: int) -> list[Verdict]:
        """Of the images that go, those that were pulled in the 30 days before an instant."""
        return [
            verdict
            for verdict in self.verdicts
            if verdict.outcome != Outcome.KEEP and (verdict.image.pulled_us or 0) > since_us - _RECENT_US
        ]


async def report(database: Database, repository_key: int, rules: Sequence[Rule], now_us: int) -> Report:
    """Judge the images that are there now, as if it were that instant."""
    loaded = await load(database, repository_key)
    verdicts = await asyncio.to_thread(evaluate, rules, loaded.images, now_us)
    doomed = {verdict.image.key for verdict in verdicts if verdict.outcome == Outcome.EXPIRE}
    freed_bytes = await _freed_bytes(database, repository_key, doomed) if doomed else 0
    return Report(now_us, verdicts, freed_bytes, loaded.total, lint(rules, verdicts))


async def _freed_bytes(database: Database, repository_key: int, doomed: set[int]) -> int:
    """The bytes of the blobs that doomed images alone name, here and in every other repository."""
    going: set[int] = set()
    staying: set[int] = set()
    async for image_key, blob_key in named_blobs(database, repository_key):
        (going if image_key in doomed else staying).add(blob_key)
    return sum(await own_bytes(database, repository_key, sorted(going - staying)))


async def named_blobs(database: Database, repository_key: int) -> AsyncIterator[tuple[int, int]]:
    """(image key, blob key) of everything that the images of a repository name."""
    after = START
    while (step := await database.read(partial(_blobs, repository_key=repository_key, after=after))) is not None:
        for named in step.named:
            yield named
        after = step.end


async def own_bytes(database: Database, repository_key: int, blob_keys: Sequence[int]) -> list[int]:
    """The size of each blob, 0 where another repository names it too."""
    sizes: list[int] = []
    for start in range(0, len(blob_keys), _STEP):
        batch = blob_keys[start : start + _STEP]
        sizes += await database.read(partial(_own_bytes, repository_key=repository_key, blob_keys=batch))
    return sizes


@dataclass(frozen=True, slots=True)
class _Step:
    named: list[tuple[int, int]]
    end: tuple[int, bytes]


def _blobs(db: Connection, repository_key: int, after: tuple[int, bytes]) -> _Step | None:
    facts = lifecycle.facts_after(db, repository_key, after, _STEP)
    if not facts:
        return None
    end = (facts[-1].pushed_us, facts[-1].digest)
    return _Step(lifecycle.blobs_between(db, repository_key, after, end), end)


def _own_bytes(db: Connection, repository_key: int, blob_keys: Sequence[int]) -> list[int]:
    return [lifecycle.bytes_of_own(db, repository_key, blob_key) for blob_key in blob_keys]
