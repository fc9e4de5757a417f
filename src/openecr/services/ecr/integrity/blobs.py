"""Blobs against their objects: is each there, as long as its row says, and does it have all its digests?

What is damaged is quarantined in one conditional update: nothing serves it any more, clients that ask are told that the
layer is not there, and so upload it again. Its row and what is left of its bytes stay. A row that went or changed
between the look at the row and the look at the store is looked at again: it is no finding.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from openecr.blobs.store import BlobDamaged, BlobStore, ObjectMissing, StoreFailed, id_beside
from openecr.db import garbage, integrity, layers, uploads
from openecr.db.connection import Connection
from openecr.db.integrity import StoredBlob
from openecr.deployment import Deployment
from openecr.encryption import DataKey
from openecr.errors import KmsRefused, StorageFull
from openecr.names import Digest
from openecr.services.ecr.encrypting import new_data_key
from openecr.services.ecr.integrity.blob_bytes import plain_store, write_object
from openecr.services.ecr.integrity.findings import Finding, Kind

_MOST_SOURCES = 20
_DAY_US = 86_400 * 1_000_000
DAMAGE = {Kind.BLOB_MISSING: "missing", Kind.BLOB_SIZE: "size", Kind.BLOB_BYTES: "bytes"}

FetchElsewhere = Callable[[StoredBlob], Awaitable[AsyncIterator[bytes] | None]]
"""Bytes of a damaged blob from a replica or an upstream; None where it has none. What comes is verified."""


def name_of(blob: StoredBlob) -> str:
    """A blob as an operator finds it: its sha256, and its object."""
    sha256 = next((str(Digest(item)) for item in blob.digests if Digest(item).algorithm == "sha256"), "no digest")
    return f"layer {sha256} (object {blob.object_id})"


async def examine(deployment: Deployment, blob: StoredBlob, *, hashes: bool) -> Finding | None:
    """Look at a blob's object; None where it is what its row says, or its KMS key may not be used now."""
    try:
        store = await plain_store(deployment, blob)
    except KmsRefused:
        return None  # nobody can read it while its key may not be used, openecr neither
    where = name_of(blob)
    try:
        size_bytes = await store.size_bytes(blob.object_id)
        if size_bytes != blob.size_bytes:
            told = f"the object has {size_bytes} bytes and its row {blob.size_bytes}"
            return Finding(Kind.BLOB_SIZE if size_bytes else Kind.BLOB_MISSING, where, told)
        if not hashes:
            # A store tells the size of what it cannot read, too.
            await _read(store, blob.object_id, 0, min(1, blob.size_bytes))
            await _read(store, blob.object_id, max(blob.size_bytes - 1, 0), blob.size_bytes)
        if hashes:
            wrong = await _wrong_digests(store, blob)
            if wrong:
                return Finding(Kind.BLOB_BYTES, where, f"the bytes do not have the digest {', '.join(map(str, wrong))}")
    except ObjectMissing:
        return Finding(Kind.BLOB_MISSING, where, "the store has no such object")
    except BlobDamaged as damaged:
        return Finding(Kind.BLOB_BYTES, where, str(damaged))
    except StoreFailed as error:
        return Finding(Kind.BLOB_UNREADABLE, where, f"the store could not read it: {error}")
    except OSError as error:
        return Finding(Kind.BLOB_UNREADABLE, where, f"the store could not read it: {error.strerror or error}")
    return None


async def _read(store: BlobStore, object_id: str, start_byte: int, end_byte: int) -> None:
    async with aclosing(store.read(object_id, start_byte, end_byte)) as pieces:
        async for _ in pieces:
            pass


async def _wrong_digests(store: BlobStore, blob: StoredBlob) -> list[Digest]:
    named = [Digest(stored) for stored in blob.digests]
    algorithms = tuple(sorted({digest.algorithm for digest in named}))
    if not algorithms:
        return []
    raw = await store.digests(blob.object_id, algorithms)
    return [digest for digest in named if Digest.from_raw(digest.algorithm, raw[digest.algorithm]) != digest]


async def check(deployment: Deployment, key: int, *, hashes: bool) -> tuple[StoredBlob, Finding | None] | None:
    """Look at a blob, and again at what looks damaged; None where its row is gone."""
    blob = await deployment.database.read(partial(integrity.blob, key=key))
    if blob is None:
        return None
    finding = await examine(deployment, blob, hashes=hashes)
    if finding is None:
        return blob, None
    again = await deployment.database.read(partial(integrity.blob, key=key))
    if again is None:
        return None
    return again, await examine(deployment, again, hashes=hashes)


async def quarantine(deployment: Deployment, blob: StoredBlob, finding: Finding) -> bool:
    """Stop serving a damaged blob; False where it is quarantined already, or changed meanwhile."""
    damage = DAMAGE.get(finding.kind)
    if damage is None:
        return False
    return await deployment.database.write(
        partial(integrity.quarantine, key=blob.key, object_id=blob.object_id, damage=damage)
    )


class _Healed(Exception):
    """A push, or another repair, put sound bytes there before, or these came too late."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the bytes of a damaged blob may be had again."""

    told: str
    pieces: AsyncIterator[bytes]


async def repair(deployment: Deployment, blob: StoredBlob, fetch_elsewhere: FetchElsewhere | None = None) -> str | None:
    """Find a quarantined blob's bytes again; where from, or None where nobody has them, or its KMS key may not be used
    now: what nobody can read is not told to be sound."""
    if not await is_readable(deployment, blob):
        return None
    if await examine(deployment, blob, hashes=True) is None:
        await deployment.database.write(partial(integrity.lift_quarantine, key=blob.key))
        return "its own object is sound again"
    async for source in _sources(deployment, blob, fetch_elsewhere):
        if await _take(deployment, blob, source.pieces):
            return source.told
    return None


async def _sources(
    deployment: Deployment, blob: StoredBlob, fetch_elsewhere: FetchElsewhere | None
) -> AsyncIterator[_Source]:
    for stored in blob.digests:
        keys = await deployment.database.read(
            partial(integrity.same_bytes, digest=stored, key=blob.key, most=_MOST_SOURCES)
        )
        for key in keys:
            other = await deployment.database.read(partial(integrity.blob, key=key))
            store = None if other is None else await _readable(deployment, other.data_key)
            if other is not None and store is not None:
                pieces = store.read(other.object_id, 0, other.size_bytes)
                yield _Source(f"copied from object {other.object_id}, which has the same digest", pieces)
    sha256 = next((Digest(item) for item in blob.digests if Digest(item).algorithm == "sha256"), None)
    if sha256 is not None:
        find = partial(integrity.uploads_of_size, raw_sha256=sha256.stored[1:], size_bytes=blob.size_bytes)
        for object_id, data_key in await deployment.database.read(find):
            store = await _readable(deployment, data_key)
            if store is None:
                continue
            yield _Source("copied from an open upload", store.read(object_id, 0, blob.size_bytes))
    if fetch_elsewhere is not None and (fetched := await fetch_elsewhere(blob)) is not None:
        yield _Source("fetched from elsewhere", fetched)


async def is_readable(deployment: Deployment, blob: StoredBlob) -> bool:
    """Whether openecr can read a blob now: its KMS key, where it has one, may be used."""
    return await _readable(deployment, blob.data_key) is not None


async def _readable(deployment: Deployment, data_key: bytes | None) -> BlobStore | None:
    """The store to read an object with; None where its KMS key may not be used now."""
    try:
        return await deployment.store_of(data_key)
    except KmsRefused:
        return None


async def _take(deployment: Deployment, blob: StoredBlob, pieces: AsyncIterator[bytes]) -> bool:
    """Copy bytes to a new object, verify them, and give them the damaged blob's place."""
    object_id = id_beside(blob.object_id, deployment.new_id())
    # Named as discarded before its first byte: a crash in between leaves nothing behind.
    await deployment.database.write(lambda db: uploads.discard_object(db, object_id, db.clock_us() + _DAY_US))
    try:
        data_key = await new_data_key(deployment, blob.encryption_key, object_id)
        store = await deployment.store_of(data_key.wrapped)
        size_bytes = await write_object(store, object_id, pieces)
        named = [Digest(stored) for stored in blob.digests]
        raw = await store.digests(object_id, tuple(sorted({item.algorithm for item in named})))
    except (ObjectMissing, BlobDamaged, OSError, StorageFull, StoreFailed, KmsRefused):
        return False
    if not named or any(Digest.from_raw(item.algorithm, raw[item.algorithm]) != item for item in named):
        return False
    try:
        await deployment.database.write(
            partial(_replace, blob=blob, object_id=object_id, data_key=data_key, size_bytes=size_bytes)
        )
    except _Healed:
        return False
    return True


def _replace(db: Connection, blob: StoredBlob, object_id: str, data_key: DataKey, size_bytes: int) -> None:
    now = integrity.blob(db, blob.key)
    if now is None or now.object_id != blob.object_id or not now.digests:
        raise _Healed
    if not uploads.keep_object(db, object_id):
        raise _Healed  # the copy took so long that it is about to be deleted
    sound = layers.insert_blob(
        db,
        registry_key=blob.registry_key,
        encryption_key=blob.encryption_key,
        object_id=object_id,
        cipher=data_key.cipher,
        data_key=data_key.wrapped,
        size_bytes=size_bytes,
        digests=(),
        now_us=db.clock_us(),
    )
    layers.take_place(db, blob.key, sound.key, db.clock_us())
    garbage.note_unheld(db, sound.key, db.clock_us())
