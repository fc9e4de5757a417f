"""Images and tags go to the trash, on both planes through ``delete``."""

from dataclasses import dataclass
from typing import Any

from openecr.call import Call, decision, operation
from openecr.db import images, layers, trash
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.errors import ImageReferenced, ManifestUnknown
from openecr.names import Digest
from openecr.services.ecr import image_events, image_ids, storage_classes
from openecr.services.ecr.image_ids import Failure, ImageId
from openecr.services.ecr.repositories import require
from openecr.services.ecr.scanning import suppression_requests


@dataclass(frozen=True, slots=True)
class Deleted:
    """The ids that one asked id removed."""

    image_ids: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Deleting:
    """Who deletes from a repository, when and why, in an open transaction that holds the repository."""

    db: Connection
    repository: Repository
    now_us: int
    deleted_by: str
    reason: str
    members_may_lose_their_tags: bool = False


def asked_by(call: Call, repository: Repository) -> Deleting:
    """A client deletes."""
    strictness = call.strictness
    return Deleting(
        call.db,
        repository,
        call.now_us,
        call.caller.arn,
        "BatchDeleteImage",
        members_may_lose_their_tags=strictness.members_may_lose_their_tags,
    )


def delete(work: Deleting, wanted: ImageId) -> Deleted | Failure:
    """Delete by tag or digest, as BatchDeleteImage does (reference §3.4).

    By tag: the tag goes, and with the last tag the image. By digest, or by both where they agree: the image goes with
    all its tags. An image that an index names stays: ECR refuses to delete it by its last tag too, while the OCI
    specification deletes a tag and leaves the image, so there the strictness of the plane decides.
    """
    if wanted.tag is not None:
        image = images.find_tagged(work.db, work.repository.key, wanted.tag)
        if image is not None and wanted.digest is not None and image.digest != wanted.digest.stored:
            return image_ids.mismatch(wanted.asked)
    else:
        image = images.find(work.db, work.repository.key, wanted.digest.stored) if wanted.digest else None
    if image is None:
        return image_ids.not_found(wanted.asked)
    tags = images.tags_of(work.db, image.key)
    if wanted.tag is not None and wanted.digest is None and len(tags) > 1:
        return _untag(work, image, wanted.tag)
    parents = images.parents_of(work.db, image.key)
    if parents and wanted.digest is None and wanted.tag is not None and work.members_may_lose_their_tags:
        return _untag(work, image, wanted.tag)
    if parents:
        named = ", ".join(str(Digest(parent)) for parent in parents)
        return Failure(
            wanted.asked,
            "ImageReferencedByManifestList",
            f"Requested image referenced by manifest list: [{named}]",
        )
    return _remove(work, image, tags)


def _untag(work: Deleting, image: Image, tag: str) -> Deleted:
    _to_trash(work, image, trash.TAG, [tag])
    image_events.note_deletion(work.db, work.repository, image, [tag], work.now_us)
    images.delete_tag(work.db, work.repository.key, tag)
    return Deleted([{"imageDigest": str(Digest(image.digest)), "imageTag": tag}])


def _remove(work: Deleting, image: Image, tags: list[str]) -> Deleted:
    _to_trash(work, image, trash.IMAGE, tags)
    image_events.note_deletion(work.db, work.repository, image, tags, work.now_us)
    images.delete(work.db, image.key)
    suppression_requests.owe_for_referrer(
        work.db, work.repository.key, image.subject_digest, image.artifact_type or image.config_media_type
    )
    images.forget_pulled(work.db, work.repository.registry, work.repository.name)
    digest = {"imageDigest": str(Digest(image.digest))}
    return Deleted([digest | {"imageTag": tag} for tag in tags] or [digest])


def _to_trash(work: Deleting, image: Image, kind: str, tags: list[str]) -> None:
    whole = kind == trash.IMAGE
    trash.put(
        work.db,
        registry_key=work.repository.registry_key,
        repository_name=work.repository.name,
        kind=kind,
        digest=image.digest,
        tags=tags,
        document={"mediaType": image.media_type, "pushedUs": image.pushed_us, "everTagged": image.ever_tagged}
        | storage_classes.remembered(image),
        manifest=images.manifest_of(work.db, image.key) if whole else None,
        layers=layers.of_image(work.db, image.key) if whole else (),
        deleted_us=work.now_us,
        deleted_by=work.deleted_by,
        reason=work.reason,
    )


@operation("BatchDeleteImage", writes=True)
def batch_delete_image(
    call: Call,
    *,
    repository_name: str,
    image_ids: list[dict[str, str]],
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Delete several images or tags; an index may go with its members in one request, in any order."""
    repository = require(call, repository_name, registry_id)
    deleted: list[dict[str, str]] = []
    outcome = _delete_all(call, repository, image_ids, deleted)
    return {"imageIds": deleted, "failures": [failure.render() for failure in outcome]}


def _delete_all(
    call: Call, repository: Repository, asked: list[dict[str, str]], deleted: list[dict[str, str]]
) -> list[Failure]:
    """Delete until nothing more gives way: a member goes once its index went. Ids are judged before any is deleted."""
    failures: list[Failure] = []
    waiting: list[ImageId] = []
    for item in asked:
        wanted = image_ids.parse(item)
        if isinstance(wanted, Failure):
            failures.append(wanted)
        else:
            waiting.append(wanted)
    gone: set[tuple[str | None, str | None]] = set()
    while waiting:
        refused: list[tuple[ImageId, Failure]] = []
        for wanted in waiting:
            outcome = delete(asked_by(call, repository), wanted)
            if isinstance(outcome, Deleted):
                deleted += outcome.image_ids
                for item in outcome.image_ids:
                    digest, tag = item["imageDigest"], item.get("imageTag")
                    gone.update(((digest, tag), (digest, None), (None, tag)))
            elif outcome.code == "ImageReferencedByManifestList":
                refused.append((wanted, outcome))
            elif not _went_in_this_request(wanted, gone):
                failures.append(outcome)
        if len(refused) == len(waiting):
            return failures + [failure for _, failure in refused]
        waiting = [wanted for wanted, _ in refused]
    return failures


def _went_in_this_request(wanted: ImageId, gone: set[tuple[str | None, str | None]]) -> bool:
    """Whether an id finds nothing only because an earlier id of the request took it: list-images names an image once
    per tag, and its digest may take every tag."""
    return (str(wanted.digest) if wanted.digest is not None else None, wanted.tag) in gone


@decision("ecr:BatchDeleteImage", writes=True)
def delete_manifest(
    call: Call, *, repository_name: str, reference: Digest | str, registry_id: str | None = None
) -> None:
    """``DELETE /v2/{name}/manifests/{reference}``: BatchDeleteImage of one id.

    Raises:
        ManifestUnknown, ImageReferenced
    """
    repository = require(call, repository_name, registry_id)
    if isinstance(reference, str):
        wanted = ImageId({"imageTag": reference}, None, reference)
    else:
        wanted = ImageId({"imageDigest": str(reference)}, reference, None)
    outcome = delete(asked_by(call, repository), wanted)
    if isinstance(outcome, Failure):
        if outcome.code == "ImageReferencedByManifestList":
            raise ImageReferenced(parents=outcome.reason.partition("[")[2].removesuffix("]"))
        raise ManifestUnknown
