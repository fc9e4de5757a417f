"""What the evaluator needs to know of a repository, read in bounded steps."""

from dataclasses import dataclass, field
from functools import partial

from openecr.db import lifecycle
from openecr.db.connection import Connection, Database
from openecr.db.lifecycle import Facts
from openecr.services.ecr.lifecycle.evaluation import Image
from openecr.services.ecr.lifecycle.policy import ARCHIVE, STANDARD

_STEP = 1000
START = (-1, b"")
_CLASSES = {"ACTIVE": STANDARD, "ARCHIVED": ARCHIVE}
"""Images that are being restored are judged once they are back."""


@dataclass(slots=True)
class Loaded:
    """The images of a repository, each as it was at some moment of the load."""

    images: list[Image] = field(default_factory=list)
    moved_us: dict[int, int] = field(default_factory=dict)
    """When the last of an image's tags was pointed at it: a push under a tag that it has tells itself by this alone."""
    total: int = 0
    """All images, those that are not judged too."""


@dataclass(frozen=True, slots=True)
class Step:
    """Some images with their tags, and the images that they name."""

    facts: list[Facts]
    tags: list[tuple[int, str, int]]
    members: list[tuple[int, int]]

    @property
    def end(self) -> tuple[int, bytes]:
        """Where the next step begins."""
        return self.facts[-1].pushed_us, self.facts[-1].digest


async def load(database: Database, repository_key: int) -> Loaded:
    """Every image that is active or archived. What is pushed meanwhile is among them or not."""
    steps: list[Step] = []
    after = START
    while (step := await database.read(partial(_step, repository_key=repository_key, after=after))) is not None:
        steps.append(step)
        after = step.end
    return _assembled(steps)


def _step(db: Connection, repository_key: int, after: tuple[int, bytes]) -> Step | None:
    facts = lifecycle.facts_after(db, repository_key, after, _STEP)
    if not facts:
        return None
    until = (facts[-1].pushed_us, facts[-1].digest)
    return Step(
        facts,
        lifecycle.tags_between(db, repository_key, after, until),
        lifecycle.members_between(db, repository_key, after, until),
    )


def _assembled(steps: list[Step]) -> Loaded:
    """Images of what was read; an index's members may be in any step."""
    tags: dict[int, list[str]] = {}
    parents: dict[int, set[int]] = {}
    keys: dict[bytes, int] = {}
    loaded = Loaded()
    for step in steps:
        keys.update((item.digest, item.key) for item in step.facts)
        for key, tag, moved_us in step.tags:
            tags.setdefault(key, []).append(tag)
            loaded.moved_us[key] = max(moved_us, loaded.moved_us.get(key, 0))
        for index, member in step.members:
            parents.setdefault(member, set()).add(index)
    for step in steps:
        loaded.total += len(step.facts)
        loaded.images += [
            Image(
                key=item.key,
                digest=item.digest,
                tags=tuple(sorted(tags.get(item.key, ()))),
                pushed_us=item.pushed_us,
                pulled_us=item.pulled_us,
                activated_us=item.activated_us,
                archived_us=item.archived_us,
                storage_class=_CLASSES[item.status],
                parents=tuple(sorted(parents.get(item.key, ()))),
                was_tagged=bool(item.ever_tagged),
                subject=keys.get(item.subject_digest) if item.subject_digest is not None else None,
                is_referrer=item.subject_digest is not None,
            )
            for item in step.facts
            if item.status in _CLASSES
        ]
    return loaded
