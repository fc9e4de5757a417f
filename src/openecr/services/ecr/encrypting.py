"""Layers that were stored before they were to be encrypted are encrypted in the background, one object at a time.

    name the new object as discarded, hours from now  →  copy, hashing the plain bytes  →  seal
    →  one transaction: the row names the new object, the old one is discarded after the life of presigned URLs

A job that dies anywhere leaves the blob as it was, and a new object that is deleted when its time comes. Two jobs at
once do no harm: the row is switched where it still names the plain object, once. A presigned URL of the old object is
served from the new one (``find_object``); who reads the old file at that moment goes on reading it. Collection of
garbage takes a blob whenever it is due: then there is no row to switch, and the new object goes too.
"""

import hashlib
from dataclasses import dataclass
from functools import partial

import structlog

from openecr.blobs.store import BlobStore, ObjectMissing, StoreFailed, id_beside
from openecr.db import encrypting, uploads
from openecr.db.connection import Connection
from openecr.db.encrypting import PlainBlob
from openecr.deployment import Deployment
from openecr.encryption import NO_KEY, DataKey, encrypts, key_arn_of, wrap_under_kms_key, wrap_under_service_key
from openecr.errors import KmsRefused, StorageFull
from openecr.names import Digest

log = structlog.get_logger("openecr")

_READ_BATCH = 200
_COPY_HOURS_US = 12 * 3600 * 1_000_000
"""How long a copy may take before its object is deleted again."""
_BEFORE_AES256, _AFTER_AES256 = ("", 0), ("AES256:", 2**62)


@dataclass(slots=True)
class Encrypted:
    """What a turn of the job did."""

    blobs: int = 0
    size_bytes: int = 0
    left: int = 0
    """Blobs that could not be encrypted now; the next turn tries again."""


async def encrypt_stored(deployment: Deployment) -> Encrypted:
    """Encrypt every plain layer that openecr is to encrypt."""
    done = Encrypted()
    position = _BEFORE_AES256 if deployment.settings.encryption == "on" else _AFTER_AES256
    while step := await deployment.database.read(partial(_step, position=position)):
        for blob in step:
            if not _is_ours(deployment, blob):
                continue
            if await _encrypt(deployment, blob):
                done.blobs += 1
                done.size_bytes += blob.size_bytes
            else:
                done.left += 1
        position = (step[-1].encryption_key, step[-1].key)
    return done


def _is_ours(deployment: Deployment, blob: PlainBlob) -> bool:
    """Whether openecr is to encrypt a blob, and not its store."""
    encryption_type = blob.encryption_key.partition(":")[0]
    return encrypts(deployment.settings, deployment.blobs, encryption_type, blob.object_id)


def _step(db: Connection, position: tuple[str, int]) -> list[PlainBlob]:
    return encrypting.plain_blobs_after(db, position, _READ_BATCH)


async def _encrypt(deployment: Deployment, blob: PlainBlob) -> bool:
    """Encrypt one blob; False where it was left as it is, and the log says why."""
    object_id = id_beside(blob.object_id, deployment.new_id())
    try:
        data_key = await new_data_key(deployment, blob.encryption_key, object_id)
        await deployment.database.write(partial(_name, object_id=object_id))
        await _copy(deployment.blobs, await deployment.store_of(data_key.wrapped), blob, object_id)
    except (KmsRefused, ObjectMissing, StorageFull, StoreFailed, _Differs) as why:
        log.warning("layer not encrypted", digest=str(Digest(blob.digest)), why=f"{type(why).__name__}: {why}")
        await deployment.database.write(partial(_drop, object_id=object_id))
        return False
    life_us = deployment.settings.layer_url_seconds * 1_000_000
    return await deployment.database.write(
        partial(_switch, blob=blob, object_id=object_id, data_key=data_key, life_us=life_us)
    )


async def new_data_key(deployment: Deployment, encryption_key: str, object_id: str) -> DataKey:
    """A data key for a new object that is deduplicated by ``encryption_key``; none where openecr does not encrypt it.

    Raises:
        KmsRefused: the KMS key may not be used now.
    """
    encryption_type = encryption_key.partition(":")[0]
    if not encrypts(deployment.settings, deployment.blobs, encryption_type, object_id):
        return NO_KEY
    key_arn = key_arn_of(encryption_key)
    if key_arn is None:
        return wrap_under_service_key(deployment.keyring)
    return await wrap_under_kms_key(deployment.keyring, deployment.kms_keys, encryption_type, key_arn)


class _Differs(Exception):
    """The stored bytes are not those of the digest: encrypting would seal the damage."""


async def _copy(plain: BlobStore, encrypted: BlobStore, blob: PlainBlob, object_id: str) -> None:
    """Copy a blob's bytes into a new, durable object, if they are the digest's."""
    hasher = hashlib.sha256()
    writer = await encrypted.open_writer(object_id, 0)
    try:
        async for piece in plain.read(blob.object_id, 0, blob.size_bytes):
            hasher.update(piece)
            writer.write(piece)
            await writer.drain()
    finally:
        await writer.close()
    if Digest.from_raw("sha256", hasher.digest()).stored != blob.digest:
        raise _Differs("its bytes are not those of its digest")
    await encrypted.seal(object_id, blob.size_bytes)


def _name(db: Connection, object_id: str) -> None:
    uploads.discard_object(db, object_id, db.clock_us() + _COPY_HOURS_US)


def _drop(db: Connection, object_id: str) -> None:
    uploads.hasten_discarded(db, object_id, db.clock_us())


def _switch(db: Connection, blob: PlainBlob, object_id: str, data_key: DataKey, life_us: int) -> bool:
    now_us = db.clock_us()
    assert data_key.wrapped is not None  # noqa: S101 - it was made above
    return encrypting.replace_object(
        db,
        blob,
        object_id=object_id,
        cipher=data_key.cipher,
        data_key=data_key.wrapped,
        old_due_us=now_us + life_us,
        now_us=now_us,
    )
