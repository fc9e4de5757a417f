"""Layers: are they there, where to download them, mounting them across repositories."""

from dataclasses import dataclass
from typing import Any

from openecr.access import layer_urls
from openecr.call import Call, decision, flow, operation
from openecr.db import images, layers, repositories
from openecr.db.layers import Layer, PulledLayer
from openecr.db.repositories import Repository
from openecr.encryption import require_usable
from openecr.errors import AccessDenied, LayerInaccessible, LayerNotFound
from openecr.names import DIGEST_FORM, Digest, repository_arn
from openecr.services.ecr import quotas
from openecr.services.ecr.registry import BLOB_MOUNTING, account_setting
from openecr.services.ecr.repositories import require, require_with_key
from openecr.waist import Flow

_MOST_SOURCES = 20


@dataclass(frozen=True, slots=True)
class Told:
    """A layer that the client is about to be told of, and whether its promise must be made longer first."""

    layer: Layer
    media_type: str | None
    promise_is_short: bool


def promised_until_us(call: Call) -> int:
    """The end of a promise that is made now."""
    return call.db.clock_us() + call.settings.promise_seconds * 1_000_000


def _told(call: Call, layer: Layer) -> Told:
    half_us = call.settings.promise_seconds * 500_000
    short = layer.promised_until_us - call.db.clock_us() < half_us
    return Told(layer, layers.media_type(call.db, layer.key), short)


@decision("ecr:BatchCheckLayerAvailability", writes=False)
def _look(
    call: Call, *, repository_name: str, digests: tuple[Digest, ...], registry_id: str | None = None
) -> dict[Digest, Told]:
    repository = require(call, repository_name, registry_id)
    now_us = call.db.clock_us()
    found = {digest: layers.find(call.db, repository.key, digest.stored, now_us) for digest in digests}
    return {digest: _told(call, layer) for digest, layer in found.items() if layer is not None}


@decision("ecr:BatchCheckLayerAvailability", writes=True)
def _promise(
    call: Call, *, repository_name: str, digests: tuple[Digest, ...], registry_id: str | None = None
) -> dict[Digest, Told]:
    """Extend the promises of the layers that are still there, in a committed write before the answer."""
    repository = require(call, repository_name, registry_id, lock=False)
    now_us = call.db.clock_us()
    kept: dict[Digest, Told] = {}
    for digest in digests:
        layer = layers.find(call.db, repository.key, digest.stored, now_us)
        if layer is not None and layers.extend_promise(call.db, layer.key, promised_until_us(call)):
            kept[digest] = _told(call, layer)
    return kept


async def check(
    moving: Flow, *, repository_name: str, digests: tuple[Digest, ...], registry_id: str | None = None
) -> dict[Digest, Told]:
    """Which of these layers the repository holds; each stays for the promised time from now (design §6)."""
    found = await moving.run(_look, repository_name=repository_name, digests=digests, registry_id=registry_id)
    short = tuple(digest for digest, told in found.items() if told.promise_is_short)
    if short:
        kept = await moving.run(_promise, repository_name=repository_name, digests=short, registry_id=registry_id)
        found = {digest: told for digest, told in found.items() if digest not in short or digest in kept}
    return found


@flow("BatchCheckLayerAvailability")
async def batch_check_layer_availability(
    moving: Flow, *, repository_name: str, layer_digests: list[str], registry_id: str | None = None
) -> dict[str, Any]:
    """Each digest's availability; an unknown one is UNAVAILABLE, a malformed one a failure."""
    failures = [_malformed(text) for text in layer_digests if not DIGEST_FORM.fullmatch(text)]
    asked = [text for text in layer_digests if DIGEST_FORM.fullmatch(text)]
    parsed = {text: Digest.parse(text) for text in asked}
    found = await check(
        moving,
        repository_name=repository_name,
        digests=tuple(dict.fromkeys(digest for digest in parsed.values() if digest is not None)),
        registry_id=registry_id,
    )
    answers: list[dict[str, Any]] = []
    for text in asked:
        digest = parsed[text]
        told = found.get(digest) if digest is not None else None
        answer: dict[str, Any] = {"layerDigest": text, "layerAvailability": "UNAVAILABLE"}
        if told is not None:
            answer["layerAvailability"] = "ARCHIVED" if told.layer.archived else "AVAILABLE"
            answer |= {"layerSize": told.layer.size_bytes, "mediaType": told.media_type}
        answers.append(answer)
    return {"layers": answers, "failures": failures}


def _malformed(text: str) -> dict[str, Any]:
    if not text:
        reason = "Invalid request parameters: layer digest cannot be null"
        return {"layerDigest": text, "failureCode": "MissingLayerDigest", "failureReason": reason}
    reason = "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
    return {"layerDigest": text, "failureCode": "InvalidLayerDigest", "failureReason": reason}


def locate(call: Call, *, repository_name: str, digest: Digest, registry_id: str | None = None) -> str:
    """Where to get a layer of this repository, by a presigned URL for that blob alone: the store's own where it may
    serve this layer to this caller, else a path on the layers plane (the table is in docs/storage.md).

    Raises:
        RepositoryNotFound, LayerNotFound, LayerInaccessible, KmsRefused
    """
    registry = call.registry(registry_id)
    layer = layers.find_for_pull(call.db, registry, repository_name, digest.stored, call.db.clock_us())
    if layer is None:
        repository = require(call, repository_name, registry_id)
        raise LayerNotFound(digest=digest, repository=repository.name, registry_id=registry.account_id)
    if layer.archived:
        raise LayerInaccessible(digest=digest, repository=repository_name, registry_id=registry.account_id)
    if layer.kms_key is not None:
        require_usable(layer.kms_key, layer.kms_state)
    seconds = call.settings.layer_url_seconds
    at_store = call.deployment.blobs.url(layer.object_id, seconds) if _may_leave(call, layer) else None
    if at_store is not None:
        return at_store
    expires_us = call.deployment.wall_us() + seconds * 1_000_000
    return layer_urls.presign(call.deployment.keyring, layer.object_id, digest, expires_us, registry.region)


def _may_leave(call: Call, layer: PulledLayer) -> bool:
    """Whether a client may be sent to the store for a layer: only for bytes that are there as they must arrive, and
    never one in a VPC, whose endpoint for layers and its policy decide about each of them.

    The one place that decides it.
    """
    return not layer.is_encrypted and not call.origin.in_vpc


locate_layer = decision("ecr:GetDownloadUrlForLayer", writes=False, consistent=False)(locate)
"""``GET /v2/{name}/blobs/{digest}``."""


@operation("GetDownloadUrlForLayer", writes=False)
def get_download_url_for_layer(
    call: Call, *, repository_name: str, layer_digest: str, registry_id: str | None = None
) -> dict[str, Any]:
    """An absolute presigned URL for a layer."""
    digest = Digest.parse(layer_digest)
    if digest is None:
        repository = require(call, repository_name, registry_id)
        raise LayerNotFound(digest=layer_digest, repository=repository.name, registry_id=repository.registry.account_id)
    found = locate(call, repository_name=repository_name, registry_id=registry_id, digest=digest)
    url = call.origin.base_url + found if found.startswith("/") else found
    return {"downloadUrl": url, "layerDigest": layer_digest}


def link(call: Call, repository: Repository, digest: Digest, blob_key: int) -> None:
    """Link a blob into a repository for the promised time, and into the sparse manifests that name it already."""
    now_us = call.db.clock_us()
    until_us = promised_until_us(call)
    key = layers.link(call.db, repository.key, digest.stored, blob_key, promised_until_us=until_us, now_us=now_us)
    images.fill_gaps(call.db, repository.key, digest.stored, layer_key=key)


@decision("ecr:InitiateLayerUpload", writes=True)
def mount_layer(
    call: Call, *, repository_name: str, source_name: str | None, digest: Digest, registry_id: str | None = None
) -> bool:
    """Link a layer of another repository of the same registry; False where an ordinary upload must follow.

    ECR's rules (user guide, "Blob mounting"): off until the account setting allows it, within one registry, between
    repositories with the same encryption. Who may not read a source learns nothing: the answer is that of a layer that
    is not there. Without a source (OCI's anonymous mount) any repository that the caller may read will do.
    """
    target = require_with_key(call, repository_name, registry_id)
    call.authorize("ecr:CompleteLayerUpload", repository_arn(target.registry, target.name))
    if account_setting(call, target.registry, BLOB_MOUNTING) != "ENABLED":
        return False
    now_us = call.db.clock_us()
    candidates = (
        [source_name]
        if source_name is not None
        else layers.holders(call.db, target.registry_key, target.encryption_key, digest.stored, now_us, _MOST_SOURCES)
    )
    for candidate in candidates:
        source = _readable_source(call, target, candidate)
        if source is None or source.encryption_key != target.encryption_key:
            continue
        layer = layers.find(call.db, source.key, digest.stored, now_us)
        if layer is not None and not layer.archived:
            if layers.find(call.db, target.key, digest.stored, now_us) is None:
                quotas.require_room(call, target, layer.size_bytes, is_stored=True)
            link(call, target, digest, layer.blob_key)
            return True
    return False


def _readable_source(call: Call, target: Repository, source_name: str) -> Repository | None:
    try:
        call.authorize("ecr:GetDownloadUrlForLayer", repository_arn(target.registry, source_name))
    except AccessDenied:
        return None
    return repositories.find(call.db, target.registry, source_name)
