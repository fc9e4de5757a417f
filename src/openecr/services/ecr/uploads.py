"""Layer uploads, on both planes through ``append`` and ``complete``.

An upload is a row that names its object before the first byte. A request appends only under a lease that it wins by a
conditional update on the offset. A writer that vanished leaves its lease behind; whoever continues gets a copy of the
bytes so far under a new object id, so that a writer that was only stalled writes into an object that nobody reads.

The sha256 of the bytes is computed while they arrive. hashlib's state cannot be kept in a row, so the row keeps the
digest of the bytes so far, which is enough for the usual upload (all bytes in one request, then its completion on
whichever worker), and the worker that hashed keeps the running state for the next request. Where neither is at hand the
object is hashed again, once, at completion.
"""

from dataclasses import dataclass
from typing import Any

from openecr.blobs.encrypted import SEGMENT_BYTES
from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.call import Call, decision, flow
from openecr.db import uploads
from openecr.db.repositories import Repository
from openecr.db.uploads import Upload
from openecr.deployment import Deployment
from openecr.encryption import NO_KEY, DataKey, encrypts, wrap_under_kms_key, wrap_under_service_key
from openecr.errors import UploadBusy, UploadNotFound
from openecr.services.ecr.repositories import require, require_with_key
from openecr.waist import Flow

PART_SIZE_BYTES = 10 * 1024 * 1024
"""What InitiateLayerUpload advises."""
DISCARD_AFTER_US = 3600 * 1_000_000
"""How long an object that no row names is kept for a writer that may still hold it open."""


@decision("ecr:InitiateLayerUpload", writes=True)
def begin(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> str:
    """Open an upload; its id. The data key of its object is made now, before the first byte."""
    repository = require_with_key(call, repository_name, registry_id, lock=False)
    object_id = call.deployment.new_object_id(call.registry(registry_id).region)
    data_key = _new_data_key(call, repository, object_id)
    uploads.insert(
        call.db,
        upload_id=upload_id,
        repository_key=repository.key,
        principal_key=call.caller.principal_key,
        object_id=object_id,
        cipher=data_key.cipher,
        data_key=data_key.wrapped,
        now_us=call.db.clock_us(),
    )
    return upload_id


@dataclass(frozen=True, slots=True)
class NewDataKey:
    """Effect: a new data key, wrapped by the service that holds the KMS key."""

    encryption_type: str
    kms_key: str

    async def perform(self, deployment: Deployment) -> DataKey:
        """Make and wrap it."""
        keys = deployment.kms_keys
        return await wrap_under_kms_key(deployment.keyring, keys, self.encryption_type, self.kms_key)


def _new_data_key(call: Call, repository: Repository, object_id: str) -> DataKey:
    """The data key of a new object of this repository; none where the disk or the object store encrypts it."""
    if not encrypts(call.settings, call.deployment.blobs, repository.encryption_type, object_id):
        return NO_KEY
    if repository.kms_key is None:
        return wrap_under_service_key(call.deployment.keyring)
    made: DataKey = call.obtain(NewDataKey(repository.encryption_type, repository.kms_key))
    return made


@decision("ecr:InitiateLayerUpload", writes=False, event="DescribeLayerUpload")
def offset_of(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> int:
    """How many bytes of an upload are kept."""
    return require_upload(call, repository_name, upload_id, registry_id).offset_bytes


@decision("ecr:InitiateLayerUpload", writes=True, event="CancelLayerUpload")
def cancel(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> None:
    """End an upload and give its bytes back."""
    upload = require_upload(call, repository_name, upload_id, registry_id)
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + DISCARD_AFTER_US)
    uploads.delete(call.db, upload.key)


def require_upload(call: Call, repository_name: str, upload_id: str, registry_id: str | None) -> Upload:
    """An open upload of this repository and this principal; anyone else's is not there. Held where the call writes:
    what becomes of its object is decided once."""
    require(call, repository_name, registry_id, lock=False)
    registry = call.registry(registry_id)
    upload = uploads.find(call.db, registry, repository_name, upload_id, lock=call.writes)
    expired_us = call.db.clock_us() - call.settings.upload_expiry_seconds * 1_000_000
    if upload is None or upload.principal_key != call.caller.principal_key or upload.touched_us < expired_us:
        raise UploadNotFound(upload_id=upload_id, repository=repository_name, registry_id=registry.account_id)
    return upload


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Effect: the first bytes of an object whose writer vanished, copied under a new object id.

    The copy is left for deletion before it is made, and taken back by the transaction that uses it: of several that
    continue an upload one wins, and a process may die in between.
    """

    source_id: str
    target_id: str
    size_bytes: int
    data_key: bytes | None

    async def perform(self, deployment: Deployment) -> int:
        """Copy; how many bytes the copy holds.

        A writer of an encrypted object that was killed may have taken its incomplete last segment along: then the
        segments before it are left. A source that lost more than that ends the upload at the next read.
        """
        await deployment.database.write(
            lambda db: uploads.discard_object(db, self.target_id, db.clock_us() + DISCARD_AFTER_US)
        )
        store = await deployment.store_of(self.data_key)
        whole_segments_bytes = self.size_bytes - self.size_bytes % SEGMENT_BYTES
        for size_bytes in (self.size_bytes, whole_segments_bytes if self.data_key is not None else self.size_bytes):
            if not size_bytes:
                return 0
            try:
                await store.copy_prefix(self.source_id, self.target_id, size_bytes)
            except (ObjectMissing, BlobDamaged):
                continue
            return size_bytes
        return self.size_bytes


@dataclass(frozen=True, slots=True)
class Held:
    """The object that an upload goes on with, and how many of the counted bytes it has."""

    object_id: str
    size_bytes: int
    is_copy: bool
    """Whether it was made in this request, so that nobody else can be writing to it."""


def own_object(call: Call, upload: Upload, spare_id: str) -> Held:
    """The upload's object, or a copy where its last writer vanished and may still hold it open."""
    if upload.lease_holder is None:
        return Held(upload.object_id, upload.offset_bytes, is_copy=False)
    return copy_object(call, upload, spare_id)


def copy_object(call: Call, upload: Upload, spare_id: str) -> Held:
    """A copy of the counted bytes, in the place of the upload's object; it may hold less than was counted."""
    kept_bytes = call.obtain(TakeOver(upload.object_id, spare_id, upload.offset_bytes, upload.data_key))
    if not uploads.keep_object(call.db, spare_id):
        raise UploadBusy(upload_id=upload.upload_id)
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + DISCARD_AFTER_US)
    return Held(spare_id, kept_bytes, is_copy=True)


@flow("InitiateLayerUpload")
async def initiate_layer_upload(
    moving: Flow, *, repository_name: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Open an upload."""
    upload_id = await moving.run(
        begin, repository_name=repository_name, registry_id=registry_id, upload_id=moving.deployment.new_id()
    )
    return {"uploadId": upload_id, "partSize": PART_SIZE_BYTES}
