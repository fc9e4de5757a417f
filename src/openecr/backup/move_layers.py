"""Carry the layers of a stopped deployment to another store, as they lie there, under the same object ids.

    1  the new store works, gets a mark of its own, and is not the old one under another name
    2  every object that a row names is copied, unless it is there and sound, and read again where it is now
    3  one transaction says where the layers are from now on

Until the third step the deployment is as it was, and a move that was cut is run again. After it the old store, which
has not the new mark, is refused by whatever starts. Its objects stay.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID, uuid5

from cryptography.exceptions import InvalidTag

from openecr.backup.folder import BackupRefused
from openecr.backup.take import Watcher
from openecr.blobs.opening import locations, open_stores
from openecr.blobs.store import BlobDamaged, BlobStore, ObjectMissing, StoreFailed, StoreUnmarked, split_object_id
from openecr.db import audit, integrity, jobs, vulnerability_data
from openecr.db import deployment as facts
from openecr.db.audit import Segment
from openecr.db.connection import Connection, Database
from openecr.db.integrity import StoredBlob, StoredUpload
from openecr.db.vulnerability_data import Published
from openecr.deployment import Deployment
from openecr.errors import KmsRefused, StorageFull
from openecr.names import Digest
from openecr.services.ecr.integrity.blob_bytes import plain_store, stored_size_bytes, write_object

STORE = "default"
"""The store whose layers are moved: that of all regions without their own."""
_ROWS = 200
_AT_ONCE = 8


class _Keyed(Protocol):
    @property
    def key(self) -> int: ...


T = TypeVar("T")
K = TypeVar("K", bound=_Keyed)


@dataclass(frozen=True, slots=True)
class Carried:
    """What is in the new store."""

    place: str
    mark: str
    objects: int
    copied: int
    copied_bytes: int
    gone: int
    """Objects that the old store had not either: of quarantined layers, and of uploads that lost their bytes."""
    elsewhere: int
    """Objects in the stores of regions, which stay there."""
    damaged: tuple[str, ...]
    """Layers whose bytes are not what they were. Where there is one, the deployment must stay where it is."""


async def carry(deployment: Deployment, url: str, watcher: Watcher) -> Carried:
    """Copy every object of the default store to the store at a URL; nothing of the deployment changes.

    Raises:
        BackupRefused: the new store is the old one, fails, or has something else than was sent; or a server runs.
        SettingsError: the new store does not work.
    """
    database, settings = deployment.database, deployment.settings
    there = replace(settings, blobs=url)
    source, target = (open_stores(chosen).each()[STORE] for chosen in (settings, there))
    place = locations(there)[STORE]
    mark = await database.read(partial(facts.mark_of, store=STORE))
    if mark is None:
        raise BackupRefused("no server has started on this deployment yet, so it has no layers to move")
    # The same for each try of one move; another when layers come back to a place that still has an old mark.
    mark = str(uuid5(UUID(mark), place))
    await target.check(mark, is_marked=False)
    try:
        await source.check(mark, is_marked=True)
    except StoreUnmarked:
        pass
    else:
        raise BackupRefused(f"{place} is where the layers are already; give another place")
    carrying = _Carrying(deployment, source, target, watcher)
    before = await _state(database)
    watcher.expect(await database.read(integrity.total_bytes))
    try:
        await carrying.run()
        await target.check(mark, is_marked=True)
    except StoreFailed as failed:
        raise BackupRefused(f"a store failed: {failed}; run it again, and it goes on from there") from None
    except StorageFull:
        raise BackupRefused(
            f"{place} has no room left; make some and run it again, and it goes on from there"
        ) from None
    if await _state(database) != before:
        raise BackupRefused("a server or a worker ran meanwhile; stop every one of the deployment and run it again")
    return carrying.result(place, mark)


def take_place(db: Connection, carried: Carried) -> None:
    """Say where the layers are from now on."""
    facts.move_store(db, STORE, carried.place, carried.mark)


class _Carrying:
    """Brings the objects of one store into another."""

    def __init__(self, deployment: Deployment, source: BlobStore, target: BlobStore, watcher: Watcher) -> None:
        self._database = deployment.database
        self._here = replace(deployment, blobs=source)
        self._there = replace(deployment, blobs=target)
        self._watcher = watcher
        self._objects = self._copied = self._copied_bytes = self._gone = self._elsewhere = 0
        self._damaged: list[str] = []

    async def run(self) -> None:
        """Every blob, then every upload that is under way."""
        async with aclosing(_pages(self._database, integrity.blobs_after)) as blobs:
            async for batch in blobs:
                await _for_each(batch, self._blob)
        async with aclosing(_pages(self._database, integrity.uploads_after)) as uploads:
            async for under_way in uploads:
                await _for_each(under_way, self._upload)
        async with aclosing(_pages(self._database, audit.segments_after)) as segments:
            async for recorded in segments:
                await _for_each(recorded, self._named_object)
        await _for_each(await self._database.read(vulnerability_data.all_builds), self._named_object)

    def result(self, place: str, mark: str) -> Carried:
        """What was done."""
        return Carried(
            place=place,
            mark=mark,
            objects=self._objects,
            copied=self._copied,
            copied_bytes=self._copied_bytes,
            gone=self._gone,
            elsewhere=self._elsewhere,
            damaged=tuple(sorted(self._damaged)),
        )

    async def _blob(self, blob: StoredBlob) -> None:
        if split_object_id(blob.object_id)[0] is not None:
            self._elsewhere += 1
        elif await self._is_carried(blob):
            self._objects += 1
        elif blob.quarantined_us is None:
            self._damaged.append(f"{Digest(blob.digests[0])}, object {blob.object_id}")
        else:
            self._gone += 1
        self._watcher.advance(blob.size_bytes)

    async def _upload(self, upload: StoredUpload) -> None:
        if split_object_id(upload.object_id)[0] is not None:
            self._elsewhere += 1
        elif upload.offset_bytes:
            if await self._as_it_lies(upload.object_id, None):
                self._objects += 1
            else:
                self._gone += 1

    async def _named_object(self, named: Segment | Published) -> None:
        """A sealed part of the audit trail, or a build of the vulnerability data: whoever reads it sees whether it is
        whole."""
        if split_object_id(named.object_id)[0] is not None:
            self._elsewhere += 1
        elif await self._as_it_lies(named.object_id, None):
            self._objects += 1
        else:
            self._gone += 1

    async def _is_carried(self, blob: StoredBlob) -> bool:
        """Bring a blob's object; False where the old store has it damaged, or not at all."""
        size_bytes = stored_size_bytes(blob)
        sound = None if blob.quarantined_us is not None else await _is_sound(self._there, blob)
        if sound is None:
            return await self._as_it_lies(blob.object_id, size_bytes if blob.quarantined_us is None else None)
        target = self._there.blobs
        if sound:
            await target.seal(blob.object_id, size_bytes)  # the try that copied it may have been cut before
            return True
        why = "it is not what was sent"
        try:
            await self._copy(blob.object_id, size_bytes)
            if await _is_sound(self._there, blob):
                return True
        except (ObjectMissing, OSError) as error:
            why = str(error)
        if await _is_sound(self._here, blob):
            raise BackupRefused(
                f"the object {blob.object_id} did not arrive as it was: {why}; look after the new store"
            )
        await target.delete(blob.object_id)
        return False

    async def _as_it_lies(self, object_id: str, size_bytes: int | None) -> bool:
        """Bring an object whose bytes nothing here proves, and compare both sides; False where there is none of this
        size: of any, where none is given."""
        source, target = self._here.blobs, self._there.blobs
        try:
            sent = await source.digests(object_id, ("sha256",))
            found_bytes = await source.size_bytes(object_id)
        except (ObjectMissing, OSError):
            return False
        if size_bytes not in (None, found_bytes):
            return False
        if await _stored(target, object_id) != sent:
            await self._copy(object_id, found_bytes)
            if await _stored(target, object_id) != sent:
                raise BackupRefused(f"the object {object_id} did not arrive as it was; look after the new store")
        await target.seal(object_id, found_bytes)
        return True

    async def _copy(self, object_id: str, size_bytes: int) -> None:
        async with aclosing(self._here.blobs.read(object_id, 0, size_bytes)) as pieces:
            await write_object(self._there.blobs, object_id, pieces)
        self._copied += 1
        self._copied_bytes += size_bytes


async def _is_sound(side: Deployment, blob: StoredBlob) -> bool | None:
    """Whether a store has the plain bytes of a blob; None where nobody can tell: its KMS key may not be used."""
    try:
        store = await plain_store(side, blob)
        found = await store.digests(blob.object_id, ("sha256",))
    except KmsRefused:
        return None
    except (ObjectMissing, BlobDamaged, InvalidTag, OSError):
        return False
    return Digest.from_raw("sha256", found["sha256"]).stored in blob.digests


async def _stored(store: BlobStore, object_id: str) -> dict[str, bytes] | None:
    try:
        return await store.digests(object_id, ("sha256",))
    except ObjectMissing:
        return None


async def _state(database: Database) -> bytes:
    """What differs once a server or a job process has worked on the deployment."""
    state = hashlib.sha256()
    for page in (integrity.blobs_after, integrity.uploads_after):
        async with aclosing(_pages(database, page)) as pages:
            async for rows in pages:
                state.update(repr(rows).encode())
    state.update(repr(await database.read(jobs.newest)).encode())
    return state.digest()


async def _pages(database: Database, page: Callable[[Connection, int, int], list[K]]) -> AsyncGenerator[list[K]]:
    after = 0
    while rows := await database.read(partial(_page, page=page, after=after)):
        yield rows
        after = rows[-1].key


def _page(db: Connection, page: Callable[[Connection, int, int], list[K]], after: int) -> list[K]:
    return page(db, after, _ROWS)


async def _for_each(items: Iterable[T], perform: Callable[[T], Awaitable[None]]) -> None:
    """Perform for each item, several at once."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await perform(item)

    try:
        async with asyncio.TaskGroup() as working:
            for _ in range(_AT_ONCE):
                working.create_task(work())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
