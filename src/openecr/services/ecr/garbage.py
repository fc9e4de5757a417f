"""Garbage collection, online: space comes back while pushes, pulls and other collectors go on.

    a link ends       when no manifest of its repository and no promise holds it
    trash goes        after ``trash_days``
                      sooner, the oldest first, while the disk has too little room
    a blob goes       when no link and no trash has held it for the life of a presigned URL: its row becomes its
                      object's tombstone, then the object is deleted, then the tombstone

Plan, then apply: what looks dead is found in bounded reads, and judged again in the transaction that removes it. A push
that names a blob meanwhile links it in a transaction of its own, before or after; after, it uploads the bytes again.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial

import orjson
import structlog

from openecr.blobs.disk import Disk
from openecr.blobs.store import BlobStore
from openecr.db import deployment, garbage, lifecycle, repositories, trash, uploads
from openecr.db.connection import Connection, Database
from openecr.db.garbage import Promised
from openecr.services.ecr.upkeep import delete_discarded_objects
from openecr.settings import Settings

_READ_BATCH = 2000
_WRITE_BATCH = 100
_DAY_US = 86_400 * 1_000_000
_NOTES_KEPT_US = 3600 * 1_000_000


EARLY_PURGE = "early_purge"
"""The fact under which the last early purge is told of (EarlyPurge as JSON)."""

log = structlog.get_logger("openecr.garbage")


@dataclass(frozen=True, slots=True)
class EarlyPurge:
    """The last time that the trash was emptied early."""

    at_us: int
    deletions: int
    free_bytes: int
    reserve_bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, or, in a plan, would do now."""

    links: int = 0
    deletions: int = 0
    blobs: int = 0
    size_bytes: int = 0
    early: int = 0
    """Of the deletions, those that left the trash before its days were over, because the disk is full."""


async def collect(database: Database, blobs: BlobStore, settings: Settings, disk: Disk | None = None) -> Collected:
    """Collect once.

    Args:
        disk: where the layers are, if that can fill.
    """
    deletions = await purge(database, settings.trash_days)
    links = await _end_links(database)
    early = 0
    if disk is not None and disk.shortage_bytes() > 0:
        # What is garbage anyway goes first; only what is then still missing comes from the trash.
        condemned = await _condemn(database, settings)
        await delete_discarded_objects(database, blobs)
        early = await _make_room(database, disk)
        links += await _end_links(database) if early else 0
        rest = await _collect_unheld(database, blobs, settings)
        blobs_gone, size_bytes = condemned.blobs + rest.blobs, condemned.size_bytes + rest.size_bytes
        return Collected(links, deletions + early, blobs_gone, size_bytes, early)
    return replace(await _collect_unheld(database, blobs, settings), links=links, deletions=deletions)


async def _collect_unheld(database: Database, blobs: BlobStore, settings: Settings) -> Collected:
    condemned = await _condemn(database, settings)
    await database.write(lambda db: garbage.prune_notes(db, db.clock_us() - _NOTES_KEPT_US))
    await delete_discarded_objects(database, blobs)
    return condemned


def plan(db: Connection, settings: Settings) -> tuple[Collected, garbage.Weight]:
    """What a collection would give back now, and what waits for the last presigned URLs to end."""
    now_us = db.clock_us()
    due = garbage.weigh_unheld(db, now_us - settings.layer_url_seconds * 1_000_000)
    unheld = garbage.weigh_unheld(db, now_us)
    waiting = garbage.Weight(unheld.blobs - due.blobs, unheld.size_bytes - due.size_bytes)
    deletions = trash.count_due(db, now_us - settings.trash_days * _DAY_US)
    return Collected(_count_lapsed(db, now_us), deletions, due.blobs, due.size_bytes), waiting


def _count_lapsed(db: Connection, now_us: int) -> int:
    lapsed = 0
    position = (-1, 0)
    while step := garbage.promises_ended(db, position, now_us, _READ_BATCH):
        lapsed += sum(not item.is_named for item in step)
        position = (step[-1].promised_until_us, step[-1].layer_key)
    return lapsed


async def _end_links(database: Database) -> int:
    """End the links that lapsed, walking those whose promise ended in bounded steps; how many."""
    ended = 0
    position = (-1, 0)
    while step := await database.read(partial(_promises_ended, position=position)):
        lapsed = [item for item in step if not item.is_named]
        for start in range(0, len(lapsed), _WRITE_BATCH):
            ended += await database.write(partial(_end, lapsed=lapsed[start : start + _WRITE_BATCH]))
        position = (step[-1].promised_until_us, step[-1].layer_key)
    return ended


def _promises_ended(db: Connection, position: tuple[int, int]) -> list[Promised]:
    return garbage.promises_ended(db, position, db.clock_us(), _READ_BATCH)


def _end(db: Connection, lapsed: list[Promised]) -> int:
    now_us = db.clock_us()
    return sum(garbage.end_link(db, item.layer_key, item.blob_key, now_us) for item in lapsed)


async def _condemn(database: Database, settings: Settings) -> Collected:
    """Turn the rows of blobs that nothing held for long enough into tombstones."""
    sizes_bytes: list[int] = []
    step = partial(_condemn_some, life_us=settings.layer_url_seconds * 1_000_000)
    while (found := await database.write(step)) is not None:
        sizes_bytes += found
    return Collected(blobs=len(sizes_bytes), size_bytes=sum(sizes_bytes))


def _condemn_some(db: Connection, life_us: int) -> list[int] | None:
    """Sizes of the blobs that went, at most a batch; None where none is due."""
    now_us = db.clock_us()
    until_us = now_us - life_us
    keys = garbage.unheld_blobs(db, until_us, _WRITE_BATCH)
    if not keys:
        return None
    condemned = (garbage.condemn(db, key, until_us, now_us) for key in keys)
    return [size_bytes for size_bytes in condemned if size_bytes is not None]


async def _make_room(database: Database, disk: Disk) -> int:
    """Empty the trash, the oldest deletion first, until what is on its way will do; how many went.

    On its way is what nothing holds any more and waits for presigned URLs to end, so that an hour of collections does
    not empty the whole trash for room that is coming.
    """
    purged = 0
    shortage_bytes = disk.shortage_bytes()
    while await database.read(_on_its_way) < shortage_bytes:
        oldest = await database.read(lambda db: trash.due(db, db.clock_us(), 1))
        if not oldest:
            break
        await _purge_one(database, *oldest[0])
        await _end_links(database)
        purged += 1
    if purged:
        told = EarlyPurge(database.clock_us(), purged, disk.free_bytes(), disk.reserve_bytes())
        await database.write(lambda db: deployment.put(db, EARLY_PURGE, orjson.dumps(told).decode()))
        log.warning("the disk has too little room: the trash was emptied early, the oldest first", **asdict(told))
    return purged


def _on_its_way(db: Connection) -> int:
    return garbage.weigh_unheld(db, db.clock_us()).size_bytes


async def purge(database: Database, older_than_days: int) -> int:
    """Empty the trash of what was deleted longer ago, the oldest first; how many deletions went."""
    purged = 0
    while due := await database.read(partial(_due, older_than_days=older_than_days)):
        for key, kind, repository_key in due:
            await _purge_one(database, key, kind, repository_key)
            purged += 1
    return purged


async def _purge_one(database: Database, key: int, kind: str, repository_key: int | None) -> None:
    if kind in (trash.REPOSITORY, trash.PURGING) and repository_key is not None:
        await database.write(partial(trash.start_purging, trash_key=key))
        while await database.write(partial(_purge_repository_step, repository_key=repository_key)):
            pass
    await database.write(partial(_purge_deletion, trash_key=key))


def _due(db: Connection, older_than_days: int) -> list[tuple[int, str, int | None]]:
    return trash.due(db, db.clock_us() - older_than_days * _DAY_US, _WRITE_BATCH)


def _purge_deletion(db: Connection, trash_key: int) -> None:
    held = [blob_key for _, blob_key, _ in trash.layers_of(db, trash_key)]
    trash.delete(db, trash_key)
    for blob_key in held:
        garbage.note_unheld(db, blob_key, db.clock_us())


def _purge_repository_step(db: Connection, repository_key: int) -> bool:
    """Remove some of what a trashed repository holds; False once it is gone, or was taken back before."""
    if not repositories.is_trashed(db, repository_key):
        return False
    if repositories.purge_images(db, repository_key, _WRITE_BATCH):
        return True
    if held := repositories.purge_links(db, repository_key, _WRITE_BATCH):
        for blob_key in held:
            garbage.note_unheld(db, blob_key, db.clock_us())
        return True
    if open_uploads := uploads.of_repository(db, repository_key, _WRITE_BATCH):
        for upload_key, object_id in open_uploads:
            uploads.discard_object(db, object_id, db.clock_us() + _DAY_US)
            uploads.delete(db, upload_key)
        return True
    if lifecycle.purge(db, repository_key, _WRITE_BATCH):
        return True
    repositories.purge(db, repository_key)
    return False
