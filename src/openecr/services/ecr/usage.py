"""What a deployment stores, for whom, and what deleting would give back. No operation of the API: ``openecr usage``.

Every line has the same columns, and every column adds up: repositories, what several of them share and what waits make
a registry, registries an account, accounts the deployment. All sums come from the same steps, each in a snapshot of its
own, so that a report of a large deployment blocks nobody; what is pushed or deleted meanwhile is in it or not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import partial

from openecr.db import images, repositories, usage
from openecr.db.connection import Connection, Database
from openecr.names import RegistryName
from openecr.services.ecr.undelete import Wanted

GB_BYTES = 2**30
"""A GB of storage as AWS bills it: S3's FAQ counts TimedStorage-ByteHrs, ECR's usage type too, in 2^30 bytes."""
_STEP = 1000


class NothingSuch(Exception):
    """What was asked about is not there; the text is one sentence with the remedy."""


@dataclass(slots=True)
class Line:
    """One line of the report; every field adds up."""

    images: int = 0
    image_bytes: int = 0
    """Every image with all its layers and its config, as if nothing were shared: what describe-images adds up to."""
    layer_bytes: int = 0
    """Every layer once in each repository: what the repositories would take if they shared nothing."""
    unique_bytes: int = 0
    """Stored bytes that images of this repository alone name; on the line of what is shared, of several."""
    archived_bytes: int = 0
    """Of the unique bytes, what archived images alone name; the others are in the standard class."""
    trash_bytes: int = 0
    """Stored bytes that only the trash still holds."""
    waiting_bytes: int = 0
    """Stored bytes in no image and no trash: promised to a client, or waiting for presigned URLs to end."""
    saved_bytes: int = 0
    """What sharing saves: on a repository's line within it, on the shared line between them."""

    @property
    def stored_bytes(self) -> int:
        """What this line takes in the blob store."""
        return self.unique_bytes + self.trash_bytes + self.waiting_bytes

    def add(self, other: "Line") -> None:
        """Add another line to this one, column by column."""
        for column in fields(Line):
            setattr(self, column.name, getattr(self, column.name) + getattr(other, column.name))

    def monthly_cost(self, gb_month_price: float) -> Decimal:
        """USD for what this line takes, kept for a month."""
        return Decimal(str(gb_month_price)) * self.stored_bytes / GB_BYTES


@dataclass(slots=True)
class RegistryUsage:
    """One region of an account."""

    account_id: str
    region: str
    repositories: dict[str, Line] = field(default_factory=dict)
    """By name; a deleted repository as ``name#key``, as the trash has it."""
    shared: Line = field(default_factory=Line)
    waiting: Line = field(default_factory=Line)

    def total(self) -> Line:
        """The sum of its lines."""
        summed = Line()
        for line in (*self.repositories.values(), self.shared, self.waiting):
            summed.add(line)
        return summed


Told = Callable[[int], None]


async def report(database: Database, on_step: Told = lambda _done: None) -> list[RegistryUsage]:
    """The usage of every registry, by account and region.

    Args:
        on_step: called with the blobs and images looked at since the last call.
    """
    found = []
    for key, account_id, region in await database.read(usage.registries):
        registry = RegistryUsage(account_id, region)
        names = await _count_images(database, key, registry, on_step)
        await _count_blobs(database, key, registry, names, on_step)
        registry.repositories = dict(sorted(registry.repositories.items()))
        found.append(registry)
    return found


async def _count_images(
    database: Database, registry_key: int, registry: RegistryUsage, on_step: Told
) -> dict[int, str]:
    """Add the columns that images decide; the names of the repositories by key."""
    names: dict[int, str] = {}
    after = ""
    while step := await database.read(
        partial(usage.repositories_after, registry_key=registry_key, after=after, most=_STEP)
    ):
        for key, name, is_trashed in step:
            names[key] = name
            if not is_trashed:
                registry.repositories[name] = await _weigh_images(database, key, on_step)
        after = step[-1][1]
    return names


async def _weigh_images(database: Database, repository_key: int, on_step: Told) -> Line:
    line = Line()
    position = (-1, b"")
    while step := await database.read(
        partial(usage.images_after, repository_key=repository_key, after=position, most=_STEP)
    ):
        line.images += len(step)
        line.image_bytes += sum(size_bytes for _, _, size_bytes in step)
        position = (step[-1][0], step[-1][1])
        on_step(len(step))
    line.saved_bytes = line.image_bytes
    return line


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of blobs in one snapshot."""

    until: int
    stored: usage.Stored
    live: list[tuple[int, int, int, int]]
    trashed: list[tuple[str, int]]


def _step(db: Connection, registry_key: int, after: int) -> _Step | None:
    until = usage.step_end(db, registry_key, after, _STEP)
    if until is None:
        return None
    return _Step(
        until,
        usage.stored(db, registry_key, after, until),
        usage.live(db, registry_key, after, until),
        usage.trashed(db, registry_key, after, until),
    )


async def _count_blobs(
    database: Database, registry_key: int, registry: RegistryUsage, names: dict[int, str], on_step: Told
) -> None:
    """Add the columns that blobs decide: each stored byte to exactly one line."""
    after = 0
    while (step := await database.read(partial(_step, registry_key=registry_key, after=after))) is not None:
        for key, layer_bytes, unique_bytes, archived_bytes in step.live:
            name = names.get(key)  # a repository made since counts with what waits
            line = registry.repositories.setdefault(name, Line()) if name is not None else registry.waiting
            line.layer_bytes += layer_bytes
            line.unique_bytes += unique_bytes
            line.archived_bytes += archived_bytes
            line.saved_bytes -= layer_bytes
        registry.shared.unique_bytes += step.stored.shared_bytes
        registry.shared.archived_bytes += step.stored.archived_bytes
        registry.shared.saved_bytes += step.stored.spared_bytes
        for name, trash_bytes in step.trashed:
            line = registry.repositories.setdefault(name, Line()) if name else registry.shared
            line.trash_bytes += trash_bytes
        held_bytes = (
            step.stored.shared_bytes
            + sum(unique_bytes for _, _, unique_bytes, _ in step.live)
            + sum(trash_bytes for _, trash_bytes in step.trashed)
        )
        registry.waiting.waiting_bytes += step.stored.size_bytes - held_bytes
        on_step(step.stored.blobs)
        after = step.until


@dataclass(frozen=True, slots=True)
class Gain:
    """What deleting would give back once trash, promises and presigned URLs are over."""

    size_bytes: int
    remark: str = ""
    """A sentence where less is gained than one would think."""


async def gain(database: Database, registry: RegistryName, wanted: Wanted) -> Gain:
    """What deleting a repository, an image or a tag would give back: the bytes that only images which go with it name.

    Exactly what BatchDeleteImage and DeleteRepository would do: a tag of several goes alone, a member of an index does
    not go, an index leaves its members.

    Raises:
        NothingSuch: the repository or the image is not there.
    """
    repository = await database.read(lambda db: repositories.find(db, registry, wanted.repository_name))
    if repository is None:
        raise NothingSuch(f"there is no repository {wanted.repository_name} in registry {registry}")
    if wanted.tag is not None or wanted.digest is not None:
        return await database.read(lambda db: _gained_by_image(db, repository.key, wanted))
    size_bytes, after = 0, b""
    while step := await database.read(
        partial(usage.gained_by_repository, repository_key=repository.key, after=after, most=_STEP)
    ):
        size_bytes += sum(gained for _, gained in step)
        after = step[-1][0]
    return Gain(size_bytes)


def _gained_by_image(db: Connection, repository_key: int, wanted: Wanted) -> Gain:
    image = (
        images.find_tagged(db, repository_key, wanted.tag)
        if wanted.tag is not None
        else images.find(db, repository_key, wanted.digest.stored if wanted.digest is not None else b"")
    )
    if image is None:
        raise NothingSuch(f"there is no image {wanted}")
    others = images.count_tags(db, image.key) - 1
    if wanted.tag is not None and others > 0:
        return Gain(0, f"the image has {others} more tag{'s' if others > 1 else ''} and would stay; ask by its digest")
    if images.parents_of(db, image.key):
        return Gain(0, "an index names this image, so that it cannot be deleted before the index")
    _, size_bytes = usage.gained_by_image(db, image.key)
    members = usage.count_members(db, image.key)
    remark = f"its {members} member image{'s' if members > 1 else ''} would stay; ask for each" if members else ""
    return Gain(size_bytes, remark)
