"""Parts of an upload: bytes are appended under a lease, hashed while they arrive."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openecr.blobs.store import BlobDamaged, ObjectMissing, ObjectWriter
from openecr.call import Call, decision, flow
from openecr.db import uploads
from openecr.db.connection import Connection
from openecr.db.uploads import Upload
from openecr.errors import InvalidLayerPart, LayerTooLarge, UploadBusy, UploadNotFound
from openecr.services.ecr.repositories import require_with_key
from openecr.services.ecr.uploads import own_object, require_upload
from openecr.waist import Flow

if TYPE_CHECKING:
    from hashlib import _Hash

MOST_LAYER_BYTES = 52_000 * 1024 * 1024
LEASE_US = 10_000_000
_RENEW_SECONDS = 3.0
_BUSY_PAUSE_SECONDS = 0.5
_BUSY_TRIES = 24
_MOST_HASHERS = 256
_GATHER_BYTES = 256 * 1024


class _Hashers:
    """Running sha256 states of uploads that this worker wrote last, by object id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, tuple[int, _Hash]] = OrderedDict()

    def take(self, object_id: str, offset_bytes: int, sha256: bytes | None) -> "_Hash | None":
        """The state after exactly ``offset_bytes`` bytes of the object; a new object's is known.

        Args:
            sha256: what the upload's row says of these bytes: other workers may have taken some back and written more,
                so that an offset alone does not say that they are the same.
        """
        if offset_bytes == 0:
            return hashlib.sha256()
        kept = self._states.pop(object_id, None)
        if kept is None or kept[0] != offset_bytes or kept[1].digest() != sha256:
            return None
        return kept[1]

    def keep(self, object_id: str, offset_bytes: int, state: "_Hash") -> None:
        """Remember a state for the upload's next request."""
        self._states[object_id] = (offset_bytes, state)
        if len(self._states) > _MOST_HASHERS:
            self._states.popitem(last=False)

    def forget(self, object_id: str) -> None:
        """The upload ended."""
        self._states.pop(object_id, None)


hashers = _Hashers()


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to append to an object from an offset on."""

    upload_key: int
    object_id: str
    holder: str
    offset_bytes: int
    data_key: bytes | None
    sha256: bytes | None
    """Of the bytes before the offset, where it is known."""
    lost_bytes: int
    """How many bytes that were counted are gone with the server that held them."""


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
    require_with_key(call, repository_name, registry_id, lock=False)
    upload = require_upload(call, repository_name, upload_id, registry_id)
    now_us = call.db.clock_us()
    if upload.lease_until_us > now_us:
        raise UploadBusy(upload_id=upload_id)
    if first_byte is not None and first_byte != upload.offset_bytes:
        raise _gap(call, repository_name, registry_id, upload, first_byte)
    held = own_object(call, upload, spare_id)
    object_id, kept_bytes = held.object_id, held.size_bytes
    until_us = now_us + LEASE_US
    if not uploads.take_lease(call.db, upload, holder, until_us, now_us, object_id=object_id, kept_bytes=kept_bytes):
        raise UploadBusy(upload_id=upload_id)
    lost_bytes = upload.offset_bytes - kept_bytes
    sha256 = None if lost_bytes else upload.sha256
    return _Lease(upload.key, object_id, holder, kept_bytes, upload.data_key, sha256, lost_bytes)


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
    """Count what was appended, less than nothing where bytes before it were lost; a lease that was lost meanwhile
    discards it, as does an upload that ended."""
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
        require_upload(call, repository_name, upload_id, registry_id)
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
    told_bytes: int | None = None,
) -> int:
    """Append bytes to an upload as they arrive; the upload's size after it.

    What arrived before a client left, or the store filled, is kept and counted where it can be, so that the client can
    continue there; only what the store has is counted. A part that is not as long as its range says keeps nothing.

    Args:
        first_byte: where the part says it begins; None appends wherever the upload stands.
        told_bytes: how long the part's range says it is; None where it does not say.
    Raises:
        UploadNotFound, UploadBusy, InvalidLayerPart, LayerTooLarge, StorageFull, and what ``pieces`` raises
    """
    target = {"repository_name": repository_name, "upload_id": upload_id, "registry_id": registry_id}
    lease = await _win_lease(moving, target, first_byte)
    hasher = hashers.take(lease.object_id, lease.offset_bytes, lease.sha256)
    renewal = asyncio.create_task(_keep_lease(moving, lease))
    account_id = registry_id or moving.origin.registry.account_id
    size_bytes = 0
    is_kept = True
    try:
        if lease.lost_bytes:
            raise _lost(repository_name, account_id, upload_id, lease)
        writer = await _open(moving, target, lease)
        try:
            async for piece in _gathered(pieces):
                received_bytes = size_bytes + len(piece)
                if told_bytes is not None and received_bytes > told_bytes:
                    raise _wrong_length(repository_name, account_id, upload_id, lease.offset_bytes, received_bytes)
                if lease.offset_bytes + received_bytes > MOST_LAYER_BYTES:
                    raise LayerTooLarge(limit_bytes=MOST_LAYER_BYTES)
                writer.write(piece)
                size_bytes = received_bytes
                if hasher is not None:
                    hasher.update(piece)
                await writer.drain()
            if told_bytes is not None and size_bytes != told_bytes:
                raise _wrong_length(repository_name, account_id, upload_id, lease.offset_bytes, size_bytes)
        finally:
            try:
                await writer.close()
            except BaseException:
                kept_bytes = writer.kept_bytes
                is_kept = kept_bytes is not None
                size_bytes, hasher = (kept_bytes or 0) - lease.offset_bytes, None
                raise
    except InvalidLayerPart:
        size_bytes, hasher = min(size_bytes, 0), None
        raise
    finally:
        renewal.cancel()
        # A store that failed may still do what it was asked, later: the lease lapses, and who goes on gets a copy.
        if is_kept:
            sha256 = hasher.digest() if hasher is not None else None
            end_bytes = await moving.run(_advance, **target, lease=lease, size_bytes=size_bytes, sha256=sha256)
            if hasher is not None:
                hashers.keep(lease.object_id, end_bytes, hasher)
    return end_bytes


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces: a client that sends in chunks of 32 KiB (docker push does) would have each of
    them hashed and written alone, at several times the cost. What arrived before an error comes before the error."""
    waiting: list[bytes] = []
    waiting_bytes = 0
    try:
        async for piece in pieces:
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes >= _GATHER_BYTES:
                yield piece if len(waiting) == 1 else b"".join(waiting)
                waiting.clear()
                waiting_bytes = 0
    except Exception:
        if waiting:
            yield b"".join(waiting)
        raise
    if waiting:
        yield b"".join(waiting)


def _wrong_length(
    repository_name: str, registry_id: str, upload_id: str, offset_bytes: int, size_bytes: int
) -> InvalidLayerPart:
    """The error of a part that is not as long as its range says, for an upload that stands at an offset."""
    return InvalidLayerPart(
        message=f"Part size {size_bytes} does not match the specified byte range",
        upload_id=upload_id,
        repository=repository_name,
        registry_id=registry_id,
        last_valid_byte=offset_bytes - 1,
    )


async def _win_lease(moving: Flow, target: dict[str, Any], first_byte: int | None) -> _Lease:
    """Lease the upload; a writer that vanished is waited for until its lease lapses."""
    deployment, region = moving.deployment, moving.origin.registry.region
    for remaining in reversed(range(_BUSY_TRIES)):
        try:
            holder, spare_id = deployment.new_id(), deployment.new_object_id(region)
            return await moving.run(_lease, **target, first_byte=first_byte, holder=holder, spare_id=spare_id)
        except UploadBusy:
            if not remaining:
                raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _lost(repository_name: str, registry_id: str, upload_id: str, lease: _Lease) -> InvalidLayerPart:
    """The error of an upload that stands earlier than its client knows."""
    return InvalidLayerPart(
        message=f"The last {lease.lost_bytes} bytes of the upload were lost with the server that held them; "
        f"continue at byte {lease.offset_bytes}",
        upload_id=upload_id,
        repository=repository_name,
        registry_id=registry_id,
        last_valid_byte=lease.offset_bytes - 1,
    )


async def _open(moving: Flow, target: dict[str, Any], lease: _Lease) -> ObjectWriter:
    try:
        store = await moving.deployment.store_of(lease.data_key)
        return await store.open_writer(lease.object_id, lease.offset_bytes)
    except (ObjectMissing, BlobDamaged):
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


@decision("ecr:UploadLayerPart", writes=False)
def _refuse_length(
    call: Call, *, repository_name: str, upload_id: str, size_bytes: int, registry_id: str | None = None
) -> None:
    """Refuse a part whose range is not as long as its bytes: a decision, because access and existence come first."""
    upload = require_upload(call, repository_name, upload_id, registry_id)
    account_id = call.registry(registry_id).account_id
    raise _wrong_length(repository_name, account_id, upload_id, upload.offset_bytes, size_bytes)


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
