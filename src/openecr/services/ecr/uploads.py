"""Layer uploads, on both planes through ``append`` and ``complete``.

An upload is a row that names its object before the first byte. A request appends only under a lease that it wins by a
conditional update on the offset. A writer that vanished leaves its lease behind; whoever continues gets a copy of the
bytes so far under a new object id, so that a writer that was only stalled writes into an object that nobody reads.

The sha256 of the bytes is computed while they arrive. hashlib's state cannot be kept in a row, so the row keeps the
digest of the bytes so far, which is enough for the usual upload (all bytes in one request, then its completion on
whichever worker), and the worker that hashed keeps the running state for the next request. Where neither is at hand the
object is hashed again, once, at completion.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from openecr.blobs.store import ObjectMissing
from openecr.call import Call, Deployment, Flow, decision, flow
from openecr.db import uploads
from openecr.db.uploads import Upload
from openecr.errors import UploadNotFound
from openecr.services.ecr.repositories import require

PART_SIZE_BYTES = 10 * 1024 * 1024
"""What InitiateLayerUpload advises."""
DISCARD_AFTER_US = 3600 * 1_000_000
"""How long an object that no row names is kept for a writer that may still hold it open."""


@decision("ecr:InitiateLayerUpload", writes=True)
def begin(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> str:
    """Open an upload; its id."""
    repository = require(call, repository_name, registry_id)
    uploads.insert(
        call.db,
        upload_id=upload_id,
        repository_key=repository.key,
        principal_key=call.caller.principal_key,
        object_id=call.deployment.new_object_id(call.registry(registry_id).region),
        now_us=call.db.clock_us(),
    )
    return upload_id


@decision("ecr:InitiateLayerUpload", writes=False)
def offset_of(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> int:
    """How many bytes of an upload are kept."""
    return require_upload(call, repository_name, upload_id, registry_id).offset_bytes


@decision("ecr:InitiateLayerUpload", writes=True)
def cancel(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> None:
    """End an upload and give its bytes back."""
    upload = require_upload(call, repository_name, upload_id, registry_id)
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + DISCARD_AFTER_US)
    uploads.delete(call.db, upload.key)


def require_upload(call: Call, repository_name: str, upload_id: str, registry_id: str | None) -> Upload:
    """An open upload of this repository and this principal; anyone else's is not there."""
    require(call, repository_name, registry_id)
    registry = call.registry(registry_id)
    upload = uploads.find(call.db, registry, repository_name, upload_id)
    expired_us = call.db.clock_us() - call.settings.upload_expiry_seconds * 1_000_000
    if upload is None or upload.principal_key != call.caller.principal_key or upload.touched_us < expired_us:
        raise UploadNotFound(upload_id=upload_id, repository=repository_name, registry_id=registry.account_id)
    return upload


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Effect: the first bytes of an object whose writer vanished, copied under a new object id."""

    source_id: str
    target_id: str
    size_bytes: int

    async def perform(self, deployment: Deployment) -> None:
        """Copy; a source that lost bytes ends the upload at the next read."""
        with contextlib.suppress(ObjectMissing):
            if self.size_bytes:
                await deployment.blobs.copy_prefix(self.source_id, self.target_id, self.size_bytes)


def own_object(call: Call, upload: Upload, spare_id: str) -> str:
    """The upload's object, or a copy where its last writer vanished and may still hold it open."""
    if upload.lease_holder is None:
        return upload.object_id
    call.obtain(TakeOver(upload.object_id, spare_id, upload.offset_bytes))
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + DISCARD_AFTER_US)
    return spare_id


@flow("InitiateLayerUpload")
async def initiate_layer_upload(
    moving: Flow, *, repository_name: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Open an upload."""
    upload_id = await moving.run(
        begin, repository_name=repository_name, registry_id=registry_id, upload_id=moving.deployment.new_id()
    )
    return {"uploadId": upload_id, "partSize": PART_SIZE_BYTES}
