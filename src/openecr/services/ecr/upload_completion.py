"""The end of an upload: its bytes become a layer once they are durable and have the digest that was named."""

import hashlib
from dataclasses import dataclass
from typing import Any

from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.call import Call, decision, flow
from openecr.db import layers, uploads
from openecr.db.repositories import Repository
from openecr.db.uploads import Upload
from openecr.deployment import Deployment
from openecr.errors import EmptyUpload, InvalidLayer, LayerAlreadyExists, LayerPartTooSmall, UploadBusy, UploadNotFound
from openecr.names import Digest
from openecr.services.ecr import quotas
from openecr.services.ecr.layers import link
from openecr.services.ecr.repositories import require_with_key
from openecr.services.ecr.upload_parts import hashers
from openecr.services.ecr.uploads import DISCARD_AFTER_US, Held, copy_object, own_object, require_upload
from openecr.waist import Flow

INEXACT = "inexact"
"""An object holds other bytes than were counted: what a broken request left, or another request writes now. It must not
be cut, which could cut what that one writes; a copy of the counted bytes is nobody else's."""


@dataclass(frozen=True, slots=True)
class HashAgain:
    """Effect: digests of a whole object, read again."""

    object_id: str
    size_bytes: int
    data_key: bytes | None
    algorithms: tuple[str, ...]

    async def perform(self, deployment: Deployment) -> dict[str, bytes] | str | None:
        """Raw digests by algorithm; INEXACT, or None where bytes that were counted are gone."""
        if self.size_bytes == 0:
            return {name: hashlib.new(name).digest() for name in self.algorithms}
        store = await deployment.store_of(self.data_key)
        try:
            if await store.size_bytes(self.object_id) != self.size_bytes:
                return INEXACT
            return await store.digests(self.object_id, self.algorithms)
        except (ObjectMissing, BlobDamaged):
            return None


@dataclass(frozen=True, slots=True)
class Seal:
    """Effect: exactly these bytes of an object are durable."""

    object_id: str
    size_bytes: int
    data_key: bytes | None
    is_copy: bool
    """Whether nobody else can be writing to the object."""

    async def perform(self, deployment: Deployment) -> str | None:
        """Make durable; INEXACT where the object holds other bytes."""
        store = await deployment.store_of(self.data_key)
        if not self.size_bytes:
            if not self.is_copy:
                return INEXACT
            writer = await store.open_writer(self.object_id, 0)
            await writer.close()
        try:
            await store.seal(self.object_id, self.size_bytes)
        except ObjectMissing:
            if self.is_copy:
                raise
            return INEXACT
        return None


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
        UploadNotFound, UploadBusy, EmptyUpload, LayerPartTooSmall, InvalidLayer, LayerAlreadyExists, KmsRefused,
        StorageQuotaExceeded
    """
    repository = require_with_key(call, repository_name, registry_id)
    upload = require_upload(call, repository_name, upload_id, registry_id)
    if upload.lease_until_us > call.db.clock_us():
        raise UploadBusy(upload_id=upload_id)
    names = {"repository": repository.name, "registry_id": repository.registry.account_id}
    if upload.offset_bytes == 0 and not call.strictness.empty_layers:
        raise EmptyUpload(upload_id=upload_id, **names)
    least_bytes = call.strictness.minimum_part_bytes
    if least_bytes and uploads.has_short_segment(call.db, upload, least_bytes):
        raise LayerPartTooSmall
    held = own_object(call, upload, spare_id)
    if held.size_bytes == upload.offset_bytes:
        held, calculated = _calculate(call, upload, held, spare_id, digests)
    if held.size_bytes != upload.offset_bytes or calculated is None:
        raise UploadNotFound(upload_id=upload_id, **names)
    matching = [digest for digest in digests if calculated[digest.algorithm] == digest]
    if not matching:
        raise InvalidLayer
    layer = layers.find(call.db, repository.key, matching[0].stored, call.db.clock_us())
    if layer is not None and call.strictness.known_layer_is_error:
        raise LayerAlreadyExists(digest=matching[0], **names)
    if layer is None:
        known = layers.find_blob(
            call.db, repository.registry_key, repository.encryption_key, calculated["sha256"].stored
        )
        quotas.require_room(call, repository, upload.offset_bytes, is_stored=known is not None)
    blob = _keep_bytes(call, repository, upload, held, spare_id, list(calculated.values()))
    for digest in dict.fromkeys((*matching, calculated["sha256"])):
        link(call, repository, digest, blob.key)
    hashers.forget(upload.object_id)
    uploads.delete(call.db, upload.key)
    return matching[0]


complete_upload = decision("ecr:CompleteLayerUpload", writes=True)(complete)
"""``PUT /v2/{name}/blobs/uploads/{upload}?digest=...``."""


def _calculate(
    call: Call, upload: Upload, held: Held, spare_id: str, digests: tuple[Digest, ...]
) -> tuple[Held, dict[str, Digest] | None]:
    """(the object that has the bytes, the upload's digests by algorithm: sha256, and what else the client named); no
    digests where its bytes are gone."""
    wanted = {digest.algorithm for digest in digests}
    raw: dict[str, bytes] = {}
    if upload.sha256 is not None and not held.is_copy:
        raw["sha256"] = upload.sha256
    missing = tuple(sorted((wanted | {"sha256"}) - set(raw)))
    if missing:
        hashed = call.obtain(HashAgain(held.object_id, upload.offset_bytes, upload.data_key, missing))
        if hashed == INEXACT and not held.is_copy:
            held = copy_object(call, upload, spare_id)
            hashed = call.obtain(HashAgain(held.object_id, upload.offset_bytes, upload.data_key, missing))
        if not isinstance(hashed, dict):
            return held, None
        raw |= hashed
    return held, {algorithm: Digest.from_raw(algorithm, value) for algorithm, value in raw.items()}


def _keep_bytes(
    call: Call, repository: Repository, upload: Upload, held: Held, spare_id: str, digests: list[Digest]
) -> layers.Blob:
    """The blob of these bytes: the sound one that is there, or the uploaded object once it is durable."""
    sha256 = next(digest for digest in digests if digest.algorithm == "sha256")
    blob = layers.find_blob(call.db, repository.registry_key, repository.encryption_key, sha256.stored)
    if blob is not None and blob.quarantined_us is None:
        uploads.discard_object(call.db, held.object_id, call.db.clock_us() + DISCARD_AFTER_US)
        for digest in digests:
            layers.add_digest(call.db, repository.registry_key, repository.encryption_key, digest.stored, blob.key)
        return blob
    held = _seal(call, upload, held, spare_id)
    uploaded = layers.insert_blob(
        call.db,
        registry_key=repository.registry_key,
        encryption_key=repository.encryption_key,
        object_id=held.object_id,
        cipher=upload.cipher,
        data_key=upload.data_key,
        size_bytes=upload.offset_bytes,
        digests=[digest.stored for digest in sorted(digests, key=lambda digest: digest != sha256)]
        if blob is None
        else (),
        now_us=call.db.clock_us(),
    )
    if blob is not None:
        # The images that name the damaged bytes get these.
        layers.take_place(call.db, blob.key, uploaded.key, call.db.clock_us())
        for digest in digests:
            layers.add_digest(call.db, repository.registry_key, repository.encryption_key, digest.stored, uploaded.key)
    return uploaded


def _seal(call: Call, upload: Upload, held: Held, spare_id: str) -> Held:
    """Make the upload's bytes durable; the object that has them, and no others."""
    size_bytes = upload.offset_bytes
    told = call.obtain(Seal(held.object_id, size_bytes, upload.data_key, held.is_copy))
    if told == INEXACT:
        held = copy_object(call, upload, spare_id)
        if held.size_bytes != size_bytes:
            raise UploadBusy(upload_id=upload.upload_id)
        call.obtain(Seal(held.object_id, size_bytes, upload.data_key, held.is_copy))
    return held


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
        spare_id=moving.deployment.new_object_id(moving.origin.registry.region),
    )
    return {
        "registryId": registry_id or moving.origin.registry.account_id,
        "repositoryName": repository_name,
        "uploadId": upload_id,
        "layerDigest": str(digest),
    }
