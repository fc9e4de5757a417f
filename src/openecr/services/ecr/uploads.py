"""Layer uploads, on both planes through ``append`` and ``complete``.

An upload is a row that names its object before the first byte. A request appends only under a lease that it wins by a
conditional update on the offset. A writer that vanished leaves its lease behind; whoever continues gets a copy of the
bytes so far under a new object id, so that a writer that was only stalled writes into an object that nobody reads.

The sha256 of the bytes is computed while they arrive. hashlib's state cannot be kept in a row, so the row keeps the
digest of the bytes so far, which is enough for the usual upload (all bytes in one request, then its completion on
whichever worker), and the worker that hashed keeps the running state for the next request. Where neither is at hand the
object is hashed again, once, at completion.
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openecr.blobs.store import ObjectMissing
from openecr.call import Call, Deployment, Flow, decision, flow
from openecr.db import layers, uploads
from openecr.db.connection import Connection
from openecr.db.repositories import Repository
from openecr.db.uploads import Upload
from openecr.errors import (
    EmptyUpload,
    InvalidLayer,
    InvalidLayerPart,
    LayerAlreadyExists,
    LayerPartTooSmall,
    LayerTooLarge,
    UploadBusy,
    UploadNotFound,
)
from openecr.names import Digest
from openecr.services.ecr.layers import link
from openecr.services.ecr.repositories import require

if TYPE_CHECKING:
    from hashlib import _Hash

PART_SIZE_BYTES = 10 * 1024 * 1024
"""What InitiateLayerUpload advises."""
MOST_LAYER_BYTES = 52_000 * 1024 * 1024
LEASE_US = 10_000_000
_RENEW_SECONDS = 3.0
_BUSY_PAUSE_SECONDS = 0.5
_BUSY_TRIES = 24
_DISCARD_AFTER_US = 3600 * 1_000_000
_MOST_HASHERS = 256


class _Hashers:
    """Running sha256 states of uploads that this worker wrote last, by object id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, tuple[int, _Hash]] = OrderedDict()

    def take(self, object_id: str, offset_bytes: int) -> "_Hash | None":
        """The state after exactly ``offset_bytes`` bytes of the object; a new object's is known."""
        if offset_bytes == 0:
            return hashlib.sha256()
        kept = self._states.pop(object_id, None)
        return kept[1] if kept is not None and kept[0] == offset_bytes else None

    def keep(self, object_id: str, offset_bytes: int, state: "_Hash") -> None:
        """Remember a state for the upload's next request."""
        self._states[object_id] = (offset_bytes, state)
        if len(self._states) > _MOST_HASHERS:
            self._states.popitem(last=False)

    def forget(self, object_id: str) -> None:
        """The upload ended."""
        self._states.pop(object_id, None)


_hashers = _Hashers()


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


@dataclass(frozen=True, slots=True)
class HashAgain:
    """Effect: digests of a whole object, read again."""

    object_id: str
    size_bytes: int
    algorithms: tuple[str, ...]

    async def perform(self, deployment: Deployment) -> dict[str, bytes]:
        """Raw digests by algorithm."""
        if self.size_bytes == 0:
            return {name: hashlib.new(name).digest() for name in self.algorithms}
        writer = await deployment.blobs.open_writer(self.object_id, self.size_bytes)
        await writer.close()
        return await deployment.blobs.digests(self.object_id, self.algorithms)


@dataclass(frozen=True, slots=True)
class Seal:
    """Effect: exactly these bytes of an object are durable."""

    object_id: str
    size_bytes: int

    async def perform(self, deployment: Deployment) -> None:
        """Cut what a broken request left beyond, then make durable."""
        writer = await deployment.blobs.open_writer(self.object_id, self.size_bytes)
        await writer.close()
        await deployment.blobs.seal(self.object_id, self.size_bytes)


@decision("ecr:InitiateLayerUpload", writes=True)
def begin(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> str:
    """Open an upload; its id."""
    repository = require(call, repository_name, registry_id)
    uploads.insert(
        call.db,
        upload_id=upload_id,
        repository_key=repository.key,
        principal_key=call.caller.principal_key,
        object_id=call.deployment.new_id(),
        now_us=call.db.clock_us(),
    )
    return upload_id


@decision("ecr:InitiateLayerUpload", writes=False)
def offset_of(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> int:
    """How many bytes of an upload are kept."""
    return _require(call, repository_name, upload_id, registry_id).offset_bytes


@decision("ecr:InitiateLayerUpload", writes=True)
def cancel(call: Call, *, repository_name: str, upload_id: str, registry_id: str | None = None) -> None:
    """End an upload and give its bytes back."""
    upload = _require(call, repository_name, upload_id, registry_id)
    _hashers.forget(upload.object_id)
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + _DISCARD_AFTER_US)
    uploads.delete(call.db, upload.key)


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to append to an object from an offset on."""

    upload_key: int
    object_id: str
    holder: str
    offset_bytes: int


@decision("ecr:UploadLayerPart", writes=True)
def _lease(
    call: Call,
    *,
    repository_name: str,
    upload_id: str,
    first_byte: int | None,
    holder: str,
    spare_id: str,
    registry_id: str | None = None,
) -> _Lease:
    upload = _require(call, repository_name, upload_id, registry_id)
    now_us = call.db.clock_us()
    if upload.lease_until_us > now_us:
        raise UploadBusy(upload_id=upload_id)
    if first_byte is not None and first_byte != upload.offset_bytes:
        raise _gap(call, repository_name, registry_id, upload, first_byte)
    object_id = _own_object(call, upload, spare_id)
    if not uploads.take_lease(call.db, upload, holder, now_us + LEASE_US, now_us, object_id=object_id):
        raise UploadBusy(upload_id=upload_id)
    return _Lease(upload.key, object_id, holder, upload.offset_bytes)


@decision("ecr:UploadLayerPart", writes=True)
def _advance(
    call: Call,
    *,
    repository_name: str,
    upload_id: str,
    lease: _Lease,
    size_bytes: int,
    sha256: bytes | None,
    registry_id: str | None = None,
) -> int:
    """Count what was appended; a lease that was lost meanwhile discards it, as does an upload that ended."""
    kept = uploads.advance(
        call.db,
        lease.upload_key,
        lease.holder,
        offset_bytes=lease.offset_bytes,
        size_bytes=size_bytes,
        sha256=sha256,
        now_us=call.db.clock_us(),
    )
    if not kept:
        _require(call, repository_name, upload_id, registry_id)
        raise UploadBusy(upload_id=upload_id)
    return lease.offset_bytes + size_bytes


async def append(
    moving: Flow,
    *,
    repository_name: str,
    upload_id: str,
    pieces: AsyncIterator[bytes],
    registry_id: str | None = None,
    first_byte: int | None = None,
) -> int:
    """Append bytes to an upload as they arrive; the upload's size after it.

    What arrived before a client left, or the store filled, is kept and counted where it can be, so that the client can
    continue there.

    Raises:
        UploadNotFound, UploadBusy, InvalidLayerPart, LayerTooLarge, StorageFull, and what ``pieces`` raises
    """
    target = {"repository_name": repository_name, "upload_id": upload_id, "registry_id": registry_id}
    lease = await _win_lease(moving, target, first_byte)
    hasher = _hashers.take(lease.object_id, lease.offset_bytes)
    renewal = asyncio.create_task(_keep_lease(moving, lease))
    size_bytes = 0
    try:
        writer = await _open(moving, target, lease)
        try:
            async for piece in pieces:
                if lease.offset_bytes + size_bytes + len(piece) > MOST_LAYER_BYTES:
                    raise LayerTooLarge(limit_bytes=MOST_LAYER_BYTES)
                writer.write(piece)
                size_bytes += len(piece)
                if hasher is not None:
                    hasher.update(piece)
        finally:
            await writer.close()
    finally:
        renewal.cancel()
        sha256 = hasher.digest() if hasher is not None else None
        end_bytes = await moving.run(_advance, **target, lease=lease, size_bytes=size_bytes, sha256=sha256)
        if hasher is not None:
            _hashers.keep(lease.object_id, end_bytes, hasher)
    return end_bytes


async def _win_lease(moving: Flow, target: dict[str, Any], first_byte: int | None) -> _Lease:
    """Lease the upload; a writer that vanished is waited for until its lease lapses."""
    new_id = moving.deployment.new_id
    for remaining in reversed(range(_BUSY_TRIES)):
        try:
            return await moving.run(_lease, **target, first_byte=first_byte, holder=new_id(), spare_id=new_id())
        except UploadBusy:
            if not remaining:
                raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)
    raise AssertionError("unreachable")


async def _open(moving: Flow, target: dict[str, Any], lease: _Lease) -> Any:
    try:
        return await moving.deployment.blobs.open_writer(lease.object_id, lease.offset_bytes)
    except ObjectMissing:
        raise UploadNotFound(
            upload_id=target["upload_id"],
            repository=target["repository_name"],
            registry_id=target["registry_id"] or moving.origin.registry.account_id,
        ) from None


async def _keep_lease(moving: Flow, lease: _Lease) -> None:
    """Renew the lease while bytes flow, however slowly."""

    def renew(db: Connection) -> bool:
        return uploads.renew_lease(db, lease.upload_key, lease.holder, db.clock_us() + LEASE_US)

    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        if not await moving.deployment.database.write(renew):
            return


def complete(
    call: Call,
    *,
    repository_name: str,
    upload_id: str,
    digests: tuple[Digest, ...],
    spare_id: str,
    registry_id: str | None = None,
) -> Digest:
    """Make an upload a layer of the repository, once its bytes are durable and have one of the digests.

    Raises:
        UploadNotFound, UploadBusy, EmptyUpload, LayerPartTooSmall, InvalidLayer, LayerAlreadyExists
    """
    repository = require(call, repository_name, registry_id)
    upload = _require(call, repository_name, upload_id, registry_id)
    if upload.lease_until_us > call.db.clock_us():
        raise UploadBusy(upload_id=upload_id)
    names = {"repository": repository.name, "registry_id": repository.registry.account_id}
    if upload.offset_bytes == 0 and not call.strictness.empty_layers:
        raise EmptyUpload(upload_id=upload_id, **names)
    least_bytes = call.strictness.minimum_part_bytes
    if least_bytes and uploads.has_short_segment(call.db, upload, least_bytes):
        raise LayerPartTooSmall
    object_id = _own_object(call, upload, spare_id)
    calculated = _calculate(call, upload, object_id, digests)
    matching = [digest for digest in digests if calculated[digest.algorithm] == digest]
    if not matching:
        raise InvalidLayer
    layer = layers.find(call.db, repository.key, matching[0].stored, call.db.clock_us())
    if layer is not None and call.strictness.known_layer_is_error:
        raise LayerAlreadyExists(digest=matching[0], **names)
    blob = _keep_bytes(call, repository, object_id, upload.offset_bytes, list(calculated.values()))
    for digest in dict.fromkeys((*matching, calculated["sha256"])):
        link(call, repository, digest, blob.key)
    _hashers.forget(upload.object_id)
    uploads.delete(call.db, upload.key)
    return matching[0]


complete_upload = decision("ecr:CompleteLayerUpload", writes=True)(complete)
"""``PUT /v2/{name}/blobs/uploads/{upload}?digest=...``."""


def _calculate(call: Call, upload: Upload, object_id: str, digests: tuple[Digest, ...]) -> dict[str, Digest]:
    """The upload's digests by algorithm: sha256, and what else the client named."""
    wanted = {digest.algorithm for digest in digests}
    raw: dict[str, bytes] = {}
    if upload.sha256 is not None and object_id == upload.object_id:
        raw["sha256"] = upload.sha256
    missing = tuple(sorted((wanted | {"sha256"}) - set(raw)))
    if missing:
        raw |= call.obtain(HashAgain(object_id, upload.offset_bytes, missing))
    return {algorithm: Digest.from_raw(algorithm, value) for algorithm, value in raw.items()}


def _keep_bytes(
    call: Call, repository: Repository, object_id: str, size_bytes: int, digests: list[Digest]
) -> layers.Blob:
    """The blob of these bytes: the one that is there, or the uploaded object once it is durable."""
    sha256 = next(digest for digest in digests if digest.algorithm == "sha256")
    blob = layers.find_blob(call.db, repository.registry_key, repository.encryption_key, sha256.stored)
    if blob is not None:
        uploads.discard_object(call.db, object_id, call.db.clock_us() + _DISCARD_AFTER_US)
        for digest in digests:
            layers.add_digest(call.db, repository.registry_key, repository.encryption_key, digest.stored, blob.key)
        return blob
    call.obtain(Seal(object_id, size_bytes))
    return layers.insert_blob(
        call.db,
        registry_key=repository.registry_key,
        encryption_key=repository.encryption_key,
        object_id=object_id,
        size_bytes=size_bytes,
        digests=[digest.stored for digest in digests],
        now_us=call.db.clock_us(),
    )


def _own_object(call: Call, upload: Upload, spare_id: str) -> str:
    """The upload's object, or a copy where its last writer vanished and may still hold it open."""
    if upload.lease_holder is None:
        return upload.object_id
    call.obtain(TakeOver(upload.object_id, spare_id, upload.offset_bytes))
    uploads.discard_object(call.db, upload.object_id, call.db.clock_us() + _DISCARD_AFTER_US)
    return spare_id


def _require(call: Call, repository_name: str, upload_id: str, registry_id: str | None) -> Upload:
    """An open upload of this repository and this principal; anyone else's is not there."""
    require(call, repository_name, registry_id)
    registry = call.registry(registry_id)
    upload = uploads.find(call.db, registry, repository_name, upload_id)
    expired_us = call.db.clock_us() - call.settings.upload_expiry_seconds * 1_000_000
    if upload is None or upload.principal_key != call.caller.principal_key or upload.touched_us < expired_us:
        raise UploadNotFound(upload_id=upload_id, repository=repository_name, registry_id=registry.account_id)
    return upload


@decision("ecr:UploadLayerPart", writes=False)
def _refuse_length(
    call: Call, *, repository_name: str, upload_id: str, size_bytes: int, registry_id: str | None = None
) -> None:
    """Refuse a part whose range is not as long as its bytes: a decision, because access and existence come first."""
    upload = _require(call, repository_name, upload_id, registry_id)
    raise InvalidLayerPart(
        message=f"Part size {size_bytes} does not match the specified byte range",
        upload_id=upload_id,
        repository=repository_name,
        registry_id=call.registry(registry_id).account_id,
        last_valid_byte=upload.offset_bytes - 1,
    )


def _gap(
    call: Call, repository_name: str, registry_id: str | None, upload: Upload, first_byte: int
) -> InvalidLayerPart:
    return InvalidLayerPart(
        message=f"First byte of the layer part is {first_byte} instead of {upload.offset_bytes}",
        upload_id=upload.upload_id,
        repository=repository_name,
        registry_id=call.registry(registry_id).account_id,
        last_valid_byte=upload.offset_bytes - 1,
    )


@flow("InitiateLayerUpload")
async def initiate_layer_upload(
    moving: Flow, *, repository_name: str, registry_id: str | None = None
) -> dict[str, Any]:
    """Open an upload."""
    upload_id = await moving.run(
        begin, repository_name=repository_name, registry_id=registry_id, upload_id=moving.deployment.new_id()
    )
    return {"uploadId": upload_id, "partSize": PART_SIZE_BYTES}


@flow("UploadLayerPart")
async def upload_layer_part(
    moving: Flow,
    *,
    repository_name: str,
    upload_id: str,
    part_first_byte: int,
    part_last_byte: int,
    layer_part_blob: bytes,
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Append one part; its range must be as long as its bytes and continue the upload."""
    target: dict[str, Any] = {
        "repository_name": repository_name,
        "registry_id": registry_id,
        "upload_id": upload_id,
    }
    if part_last_byte - part_first_byte + 1 != len(layer_part_blob):
        await moving.run(_refuse_length, **target, size_bytes=len(layer_part_blob))

    async def whole() -> AsyncIterator[bytes]:
        yield layer_part_blob

    end_bytes = await append(moving, **target, pieces=whole(), first_byte=part_first_byte)
    return {
        "registryId": registry_id or moving.origin.registry.account_id,
        "repositoryName": repository_name,
        "uploadId": upload_id,
        "lastByteReceived": end_bytes - 1,
    }


@flow("CompleteLayerUpload")
async def complete_layer_upload(
    moving: Flow,
    *,
    repository_name: str,
    upload_id: str,
    layer_digests: list[str],
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Make the upload a layer."""
    parsed = tuple(digest for text in layer_digests if (digest := Digest.parse(text)) is not None)
    digest = await moving.run(
        complete_upload,
        repository_name=repository_name,
        registry_id=registry_id,
        upload_id=upload_id,
        digests=parsed,
        spare_id=moving.deployment.new_id(),
    )
    return {
        "registryId": registry_id or moving.origin.registry.account_id,
        "repositoryName": repository_name,
        "uploadId": upload_id,
        "layerDigest": str(digest),
    }
