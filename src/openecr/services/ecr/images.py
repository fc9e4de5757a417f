"""Images: push and pull. Both planes push through ``push_image`` and pull through ``pull``."""

from dataclasses import dataclass
from typing import Any

import orjson

from openecr.call import Call, decision, flow
from openecr.db import images, layers, pull_time_exclusions
from openecr.db.connection import Connection
from openecr.db.images import Reference
from openecr.db.repositories import Repository
from openecr.encryption import require_usable
from openecr.errors import (
    ImageAlreadyExists,
    ImageBeingRestored,
    ImageDigestDoesNotMatch,
    ImageInaccessible,
    ImageTagAlreadyExists,
    InvalidParameter,
    LayersNotFound,
    ManifestUnknown,
    ReferencedImagesNotFound,
    TooManyTagsOnImage,
)
from openecr.manifest import (
    EMPTY_CONFIG,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Manifest,
    ManifestRefused,
    convert,
    parse,
    platform_member,
)
from openecr.names import Digest, RegistryName, is_image_tag
from openecr.services.ecr import image_events, quotas, storage_classes
from openecr.services.ecr.mutability_rules import may_move
from openecr.services.ecr.registry import IDENTICAL_PUSH, SPARSE_MANIFESTS, account_setting
from openecr.services.ecr.repositories import mutability_filters, require, require_with_key
from openecr.services.ecr.scanning import pull_gates, suppression_requests
from openecr.services.ecr.scanning import requests as scan_requests
from openecr.waist import Flow

MOST_TAGS_PER_IMAGE = 1000
_PASSING_US = 3600 * 1_000_000
"""A member that was pushed this long before its index may have had the index's tag in passing."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push."""

    registry_id: str
    digest: Digest
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Pulled:
    """A manifest to serve."""

    digest: Digest
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """A manifest that a client offers, read and hashed before any transaction is open."""

    manifest: Manifest | None
    """None where the bytes are no manifest; told once the caller may push, and the repository is there."""
    given: Digest | None
    calculated: Digest


def offer(content: bytes, media_type: str | None, given: Digest | None) -> Offered:
    """Read a manifest.

    Args:
        content: the manifest as the client sent it; kept byte for byte.
        media_type: what the request says the manifest is, without parameters.
        given: the digest that the client gave; the image's identity where its algorithm is not sha256.
    """
    calculated = Digest.of(content, given.algorithm if given else "sha256")
    try:
        return Offered(parse(content, media_type), given, calculated)
    except ManifestRefused:
        return Offered(None, given, calculated)


@decision("ecr:PutImage", writes=True)
def push_image(
    call: Call,
    *,
    repository_name: str,
    offered: Offered,
    registry_id: str | None = None,
    tags: tuple[str, ...] = (),
) -> Pushed:
    """Commit an image: manifest, references and tags in one transaction. An archived image that is pushed again is
    active at once, as are archived members of an index (user guide, "Restoring an image").

    Args:
        tags: every tag to point at the image; none pushes it untagged.
    Raises:
        the errors of PutImage, in the reference's order (§3.4): manifest, digest, layers, images, duplicate,
        immutability, quota; KmsRefused before them all.
    """
    repository = require_with_key(call, repository_name, registry_id)
    manifest = _require_taken(call, offered)
    identity = offered.calculated
    if offered.given not in (None, identity):
        raise ImageDigestDoesNotMatch(
            digest=offered.given, repository=repository.name, registry_id=repository.registry.account_id
        )
    references = _references(call, repository, manifest)
    existing = images.find(call.db, repository.key, identity.stored)
    _refuse_taken_tags(call, repository, identity, existing, tags)
    if existing is None:
        quotas.require_room_for_image(call, repository, identity)
        image_key = store(
            call.db, repository.key, identity, manifest, references, pushed_us=call.now_us, ever_tagged=bool(tags)
        )
        if manifest.is_index:
            storage_classes.activate_members(call.db, repository, image_key, call.now_us)
    else:
        image_key = existing.key
        if existing.status != "ACTIVE":
            storage_classes.activate(call.db, repository, existing, call.now_us)
    scan_requests.owe_on_push(call.db, repository, image_key, manifest, call.now_us)
    for tag in tags:
        images.set_tag(call.db, repository.key, tag, image_key, call.now_us)
    if manifest.is_index and tags:
        # containerd pushes the members of an index under the index's own tag: they were tagged in passing, and are part
        # of it as if they had been pushed by digest.
        images.forget_passing_tags(call.db, image_key, call.now_us - _PASSING_US)
    if tags and images.count_tags(call.db, image_key) > MOST_TAGS_PER_IMAGE:
        raise TooManyTagsOnImage(
            tag=tags[-1],
            repository=repository.name,
            registry_id=repository.registry.account_id,
            limit=MOST_TAGS_PER_IMAGE,
        )
    image_events.note_push(
        call.db,
        repository,
        identity,
        manifest.media_type,
        manifest.artifact_type or (manifest.config.media_type if manifest.config else None),
        tags,
        call.now_us,
        is_referrer=manifest.subject is not None,
    )
    return Pushed(repository.registry.account_id, identity, manifest)


def store(
    db: Connection,
    repository_key: int,
    identity: Digest,
    manifest: Manifest,
    references: list[Reference],
    *,
    pushed_us: int,
    ever_tagged: bool,
) -> int:
    """Insert an image with what it references, and bind it to the sparse indexes that name it; its key."""
    image_key = images.insert(
        db,
        repository_key=repository_key,
        digest=identity.stored,
        media_type=manifest.media_type,
        artifact_type=manifest.artifact_type,
        config_media_type=manifest.config.media_type if manifest.config else None,
        subject_digest=manifest.subject.stored if manifest.subject else None,
        annotations=orjson.dumps(manifest.annotations).decode() if manifest.annotations else None,
        pushed_us=pushed_us,
        manifest=manifest.content,
        ever_tagged=ever_tagged,
    )
    images.insert_references(db, repository_key, image_key, references)
    images.weigh(db, image_key)
    images.fill_gaps(db, repository_key, identity.stored, child_key=image_key)
    if manifest.subject is not None:
        suppression_requests.owe_for_referrer(
            db, repository_key, manifest.subject.stored, suppression_requests.artifact_type_of(manifest)
        )
    return image_key


@flow("PutImage")
async def put_image(
    moving: Flow,
    *,
    repository_name: str,
    image_manifest: str,
    registry_id: str | None = None,
    image_manifest_media_type: str | None = None,
    image_tag: str | None = None,
    image_digest: str | None = None,
) -> dict[str, Any]:
    """Store an image, and point a tag at it."""
    if image_tag is not None and not is_image_tag(image_tag):
        raise InvalidParameter(
            parameter="imageTag", constraint="must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]*'"
        )
    digest = Digest.parse(image_digest) if image_digest is not None else None
    if image_digest is not None and digest is None:
        raise InvalidParameter(
            parameter="imageDigest", constraint="must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        )
    pushed = await moving.run(
        push_image,
        repository_name=repository_name,
        registry_id=registry_id,
        offered=offer(image_manifest.encode(), image_manifest_media_type, digest),
        tags=(image_tag,) if image_tag is not None else (),
    )
    return {
        "image": {
            "registryId": pushed.registry_id,
            "repositoryName": repository_name,
            "imageId": {"imageDigest": str(pushed.digest), "imageTag": image_tag},
            "imageManifest": image_manifest,
            "imageManifestMediaType": pushed.manifest.media_type,
        }
    }


def pull(
    call: Call,
    *,
    repository_name: str,
    reference: Digest | str,
    accepted: frozenset[str],
    registry_id: str | None = None,
    counts: bool = True,
) -> Pulled:
    """The manifest of a digest or tag, in a form that the client accepts where ECR has one.

    Args:
        accepted: media types that the client takes; empty where it does not say.
        counts: whether this is a pull (GET), or only a look (HEAD).
    Raises:
        RepositoryNotFound, ManifestUnknown, ImageInaccessible, KmsRefused
    """
    registry = call.registry(registry_id)
    by_tag = isinstance(reference, str)
    found = (
        images.pull_by_tag(call.db, registry, repository_name, reference)
        if isinstance(reference, str)
        else images.pull_by_digest(call.db, registry, repository_name, reference.stored)
    )
    if found is None or found.status != "ACTIVE":
        require(call, repository_name, registry_id)
        if found is None:
            raise ManifestUnknown
        raise ImageInaccessible if found.status == "ARCHIVED" else ImageBeingRestored
    if found.kms_key is not None:
        require_usable(found.kms_key, found.kms_state)
    if found.pull_gate is not None and counts:
        pull_gates.require_passed(call.db, registry, repository_name, found)
    if counts and not _is_unnoted(call, registry):
        call.deployment.note_pull(found.key, call.now_us)
    pulled = Pulled(Digest(found.digest), found.media_type, found.manifest)
    if not by_tag or not accepted or pulled.media_type in accepted:
        return pulled
    return _acceptable(call, repository_name, registry_id, pulled, accepted)


pull_image = decision("ecr:BatchGetImage", writes=False, consistent=False)(pull)
"""``GET`` and ``HEAD /v2/{name}/manifests/{reference}``."""


def _is_unnoted(call: Call, registry: RegistryName) -> bool:
    """Whether the registry leaves the caller's pulls out of ``lastRecordedPullTime`` (user guide, "Pull-time update
    exclusions"). Asked for those callers alone that some registry excludes."""
    owner = call.caller.owner
    if owner is None or not owner.pull_time_excluded:
        return False
    return pull_time_exclusions.is_excluded(call.db, registry, call.caller.principal_arn)


def _acceptable(
    call: Call, repository_name: str, registry_id: str | None, pulled: Pulled, accepted: frozenset[str]
) -> Pulled:
    """What ECR makes of a pull by tag whose stored type the client does not accept (reference §3.4)."""
    if pulled.media_type in INDEX_TYPES:
        member = platform_member(parse(pulled.content, pulled.media_type), "linux", "amd64")
        if accepted & INDEX_TYPES or not accepted & MANIFEST_TYPES or member is None or not member.is_manifest:
            return pulled
        return pull(
            call,
            repository_name=repository_name,
            registry_id=registry_id,
            reference=member.digest,
            accepted=accepted,
        )
    converted = convert(pulled.content, pulled.media_type, accepted)
    if converted is None:
        return pulled
    content, media_type = converted
    return Pulled(Digest.of(content), media_type, content)


def _require_taken(call: Call, offered: Offered) -> Manifest:
    manifest = offered.manifest
    if manifest is None:
        raise InvalidParameter(parameter="ImageManifest", constraint="Invalid JSON syntax")
    layerless = not manifest.is_index and not manifest.layers and manifest.artifact_type is None
    if layerless and not call.strictness.layerless_images:
        raise InvalidParameter(parameter="ImageManifest", constraint="Image has to have at least 1 layer")
    return manifest


def _references(call: Call, repository: Repository, manifest: Manifest) -> list[Reference]:
    """What the manifest names, each bound to what the repository holds, or the error that names every missing one.

    A registry that takes sparse manifests keeps a gap where something is missing (OCI distribution specification,
    "sparse"); ECR does not, and neither does openecr unless the account setting says so.
    """
    now_us = call.db.clock_us()
    names = {"repository": repository.name, "registry_id": repository.registry.account_id}
    references: list[Reference] = []
    for position, item in enumerate((*manifest.blobs, *manifest.members)):
        stored = item.digest.stored
        child = images.find(call.db, repository.key, stored) if manifest.is_index else None
        layer = None
        if child is None and not (manifest.is_index and item.is_manifest):
            layer = layers.find(call.db, repository.key, stored, now_us)
        references.append(
            Reference(position, stored, item.media_type, layer.key if layer else None, child.key if child else None)
        )
    missing = [str(Digest(item.digest)) for item in references if item.layer_key is None and item.child_key is None]
    if missing and account_setting(call, repository.registry, SPARSE_MANIFESTS) == "DISABLED":
        refusal = ReferencedImagesNotFound if manifest.is_index else LayersNotFound
        raise refusal(digests=", ".join(missing), **names)
    return references


def _refuse_taken_tags(
    call: Call, repository: Repository, identity: Digest, existing: images.Image | None, tags: tuple[str, ...]
) -> None:
    """Refuse what is there already, where it is an error, and what an immutable tag forbids; an archived image is not
    there, its tags are."""
    restores = existing is not None and existing.status != "ACTIVE"
    for tag in tags:
        holder = images.find_tagged(call.db, repository.key, tag)
        if holder is None:
            continue
        identical = existing is not None and holder.key == existing.key
        if identical and restores:
            continue
        if identical and call.strictness.identical_image_is_error:
            raise _already_exists(repository, identity, tag)
        if may_move(repository.tag_mutability, mutability_filters(repository), tag):
            continue
        if not identical or account_setting(call, repository.registry, IDENTICAL_PUSH) == "REFUSED":
            raise ImageTagAlreadyExists(tag=tag, repository=repository.name)
    if not tags and existing is not None and not restores and call.strictness.identical_image_is_error:
        raise _already_exists(repository, identity, None)


def _already_exists(repository: Repository, identity: Digest, tag: str | None) -> ImageAlreadyExists:
    return ImageAlreadyExists(
        digest=identity,
        tag=tag if tag is not None else "null",
        repository=repository.name,
        registry_id=repository.registry.account_id,
    )


def artifact_media_type(image: images.Image) -> str | None:
    """What DescribeImages calls the artifact's media type (reference §3.4)."""
    if image.artifact_type is not None and image.config_media_type in (None, EMPTY_CONFIG):
        return image.artifact_type
    return image.config_media_type
