"""Images: get in batches, list, describe, and list what refers to them."""

from typing import Any

import orjson

from openecr.call import Call, decision, operation
from openecr.db import images
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.errors import (
    ConflictingParameters,
    ImageInaccessible,
    ImageNotFound,
    KmsRefused,
    ManifestUnknown,
    PullRefused,
)
from openecr.names import Digest
from openecr.services.ecr import image_ids
from openecr.services.ecr.images import artifact_media_type, pull
from openecr.services.ecr.repositories import require
from openecr.services.ecr.scanning import statuses as scan_statuses
from openecr.services.pages import Names, Page, page

_START: list[str | int] = [-1, ""]


@operation("BatchGetImage", writes=False)
def batch_get_image(
    call: Call,
    *,
    repository_name: str,
    image_ids: list[dict[str, str]],
    registry_id: str | None = None,
    accepted_media_types: list[str] | None = None,
) -> dict[str, Any]:
    """Manifests of several images, with a failure for each that cannot be had."""
    repository = require(call, repository_name, registry_id)
    found: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for asked in image_ids:
        got = _get_one(call, repository, asked, frozenset(accepted_media_types or ()))
        (failures if "failureCode" in got else found).append(got)
    return {"images": found, "failures": failures}


def _get_one(call: Call, repository: Repository, asked: dict[str, str], accepted: frozenset[str]) -> dict[str, Any]:
    wanted = image_ids.parse(asked)
    if isinstance(wanted, image_ids.Failure):
        return wanted.render()
    if wanted.tag is not None and wanted.digest is not None:
        tagged = images.find_tagged(call.db, repository.key, wanted.tag)
        if tagged is not None and tagged.digest != wanted.digest.stored:
            return image_ids.mismatch(wanted.asked).render()
        if tagged is None:
            return image_ids.not_found(wanted.asked).render()
    try:
        pulled = pull(
            call,
            repository_name=repository.name,
            registry_id=repository.registry.account_id,
            reference=wanted.digest or wanted.tag or "",
            accepted=accepted,
        )
    except ManifestUnknown:
        return image_ids.not_found(wanted.asked).render()
    except ImageInaccessible as refused:
        return image_ids.Failure(wanted.asked, "ImageInaccessible", refused.message).render()
    except PullRefused as refused:
        return image_ids.Failure(wanted.asked, "ImageInaccessible", refused.message).render()
    except KmsRefused as refused:
        return image_ids.Failure(wanted.asked, "KmsError", refused.message).render()
    image_id = {"imageDigest": str(pulled.digest)} | ({"imageTag": wanted.tag} if wanted.tag is not None else {})
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageId": image_id,
        "imageManifest": pulled.content.decode(),
        "imageManifestMediaType": pulled.media_type,
    }


@operation("ListImages", writes=False)
def list_images(
    call: Call,
    *,
    repository_name: str,
    registry_id: str | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,  # noqa: A002 - the model's name
) -> dict[str, Any]:
    """One entry per image and tag, by push time; an untagged image has one without a tag."""
    repository = require(call, repository_name, registry_id)
    status, tagged = _filtered(filter)
    entries = page(
        call,
        "ListImages",
        {"repository": repository.key, "filter": filter},
        next_token,
        max_results,
        start=[*_START, ""],
        load=lambda position, most: _entries_after(call, repository, position, most, status, tagged),
        position_of=lambda entry: entry[0],
    )
    return {"imageIds": [entry for _, entry in entries.items], "nextToken": entries.next_token}


_Entry = tuple[list[str | int], dict[str, str]]


def _entries_after(
    call: Call, repository: Repository, position: list[str | int], most: int, status: str | None, tagged: bool | None
) -> list[_Entry]:
    """Up to ``most`` (position, image id) after a position of (pushed_us, digest, tag).

    The position's own image is read again for its remaining tags, so that a page may end between two tags of an image.
    """
    pushed_us, digest_text, last_tag = int(position[0]), str(position[1]), str(position[2])
    entries: list[_Entry] = []
    if digest_text:
        last = images.find(call.db, repository.key, bytes.fromhex(digest_text))
        if last is not None and last_tag:
            remaining = [tag for tag in images.tags_of(call.db, last.key) if tag > last_tag]
            entries += _entries_of(last, remaining) if remaining else []
    after = (pushed_us, bytes.fromhex(digest_text))
    found = images.list_after(call.db, repository.key, after, most, status=status, tagged=tagged)
    tags = images.tags_of_many(call.db, found)
    for image in found:
        entries += _entries_of(image, tags.get(image.key, []))
    return entries[:most]


def _entries_of(image: Image, tags: list[str]) -> list[_Entry]:
    position: list[str | int] = [image.pushed_us, image.digest.hex()]
    digest = str(Digest(image.digest))
    if not tags:
        return [([*position, ""], {"imageDigest": digest})]
    return [([*position, tag], {"imageDigest": digest, "imageTag": tag}) for tag in tags]


@operation("DescribeImages", writes=False)
def describe_images(
    call: Call,
    *,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: list[dict[str, str]] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    filter: dict[str, str] | None = None,  # noqa: A002 - the model's name
) -> dict[str, Any]:
    """Details of the images asked for, or of all by push time in pages."""
    repository = require(call, repository_name, registry_id)
    if image_ids is not None:
        if next_token is not None or max_results is not None or filter is not None:
            raise ConflictingParameters(
                message="Invalid parameter: 'imageIds' cannot be used together with 'nextToken', "
                "'maxResults' or 'filter'"
            )
        chosen = {image.key: image for image in (require_image(call, repository, asked) for asked in image_ids)}
        return {"imageDetails": _details(call, repository, list(chosen.values()))}
    status, tagged = _filtered(filter)
    listed = page(
        call,
        "DescribeImages",
        {"repository": repository.key, "filter": filter},
        next_token,
        max_results,
        start=_START,
        load=lambda position, most: images.list_after(
            call.db,
            repository.key,
            (int(position[0]), bytes.fromhex(str(position[1]))),
            most,
            status=status,
            tagged=tagged,
        ),
        position_of=lambda image: [image.pushed_us, image.digest.hex()],
    )
    return {"imageDetails": _details(call, repository, listed.items), "nextToken": listed.next_token}


def find_image(call: Call, repository: Repository, asked: dict[str, str]) -> Image | None:
    """The image of an id whose parts, where both are given, agree."""
    wanted = image_ids.parse(asked)
    if isinstance(wanted, image_ids.Failure):
        return None
    if wanted.tag is None:
        return images.find(call.db, repository.key, wanted.digest.stored) if wanted.digest else None
    tagged = images.find_tagged(call.db, repository.key, wanted.tag)
    if tagged is not None and wanted.digest is not None and tagged.digest != wanted.digest.stored:
        return None
    return tagged


def require_image(call: Call, repository: Repository, asked: dict[str, str]) -> Image:
    """The image of an id, whatever its status.

    Raises:
        ImageNotFound
    """
    found = find_image(call, repository, asked)
    if found is None:
        raise ImageNotFound(
            digest=asked.get("imageDigest", "null"),
            tag=asked.get("imageTag", "null"),
            repository=repository.name,
            registry_id=repository.registry.account_id,
        )
    return found


def told_id(image: Image, asked: dict[str, str]) -> dict[str, str]:
    """The id of an image in an answer: its digest, and the tag where it was asked for by tag."""
    tag = asked.get("imageTag")
    return {"imageDigest": str(Digest(image.digest))} | ({} if tag is None else {"imageTag": tag})


def _details(call: Call, repository: Repository, found: list[Image]) -> list[dict[str, Any]]:
    tags = images.tags_of_many(call.db, found)
    scanned = scan_statuses.of_page(call.db, repository, found)
    return [
        {
            "registryId": repository.registry.account_id,
            "repositoryName": repository.name,
            "imageDigest": str(Digest(image.digest)),
            "imageTags": tags.get(image.key),
            "imageSizeInBytes": image.image_size_bytes,
            "imagePushedAt": image.pushed_us // 1_000_000 * 1_000_000,
            "imageManifestMediaType": image.media_type,
            "artifactMediaType": artifact_media_type(image),
            "lastRecordedPullTime": None if image.pulled_us is None else image.pulled_us // 1000 * 1000,
            "subjectManifestDigest": None if image.subject_digest is None else str(Digest(image.subject_digest)),
            "imageStatus": image.status,
            "lastArchivedAt": None if image.archived_us is None else image.archived_us // 1000 * 1000,
            "lastActivatedAt": None if image.activated_us is None else image.activated_us // 1000 * 1000,
        }
        | scanned.get(image.key, {})
        for image in found
    ]


def _filtered(given: dict[str, str] | None) -> tuple[str | None, bool | None]:
    """(status or None for any, tagged or None for any) of a filter."""
    status = (given or {}).get("imageStatus", "ACTIVE")
    tag_status = (given or {}).get("tagStatus", "ANY")
    return (None if status == "ANY" else status), (None if tag_status == "ANY" else tag_status == "TAGGED")


def referrers(
    call: Call,
    *,
    repository_name: str,
    subject: Digest,
    registry_id: str | None = None,
    artifact_types: tuple[str, ...] = (),
    status: str | None = "ACTIVE",
    next_token: str | None = None,
    most: int | None = None,
    default_most: int = 20,
) -> Page[dict[str, Any]]:
    """Descriptors of the images whose subject is this digest; none for a subject that is not there (OCI 1.1)."""
    repository = require(call, repository_name, registry_id)
    found = page(
        call,
        "ListImageReferrers",
        {"repository": repository.key, "subject": str(subject), "types": artifact_types, "status": status},
        next_token,
        most,
        start=[""],
        load=lambda position, wanted: _referrers_after(
            call, repository, subject, bytes.fromhex(str(position[0])), wanted, artifact_types, status
        ),
        position_of=lambda image: [image.digest.hex()],
        default_most=default_most,
    )
    return Page([_referrer(image) for image in found.items], found.next_token)


list_referrers = decision("ecr:BatchGetImage", writes=False, event="ListImageReferrers")(referrers)
"""``GET /v2/{name}/referrers/{digest}``; the model says that ListImageReferrers needs ``ecr:BatchGetImage``."""


@operation("ListImageReferrers", writes=False, action="ecr:BatchGetImage")
def list_image_referrers(
    call: Call,
    *,
    repository_name: str,
    subject_id: dict[str, str],
    registry_id: str | None = None,
    filter: dict[str, Any] | None = None,  # noqa: A002 - the model's name
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """What refers to an image: signatures, SBOMs, attestations."""
    subject = Digest.parse(subject_id["imageDigest"])
    if subject is None:
        require(call, repository_name, registry_id)
        return {"referrers": []}
    status = (filter or {}).get("artifactStatus", "ACTIVE")
    found = referrers(
        call,
        repository_name=repository_name,
        registry_id=registry_id,
        subject=subject,
        artifact_types=tuple((filter or {}).get("artifactTypes", ())),
        status=None if status == "ANY" else status,
        next_token=next_token,
        most=max_results,
    )
    return {"referrers": found.items, "nextToken": found.next_token}


def _referrers_after(
    call: Call,
    repository: Repository,
    subject: Digest,
    after: bytes,
    wanted: int,
    artifact_types: tuple[str, ...],
    status: str | None,
) -> list[Image]:
    """Up to ``wanted`` referrers of the types asked for, read in bounded steps."""
    chosen: list[Image] = []
    while len(chosen) < wanted:
        step = images.referrers_after(call.db, repository.key, subject.stored, after, wanted, status=status)
        chosen += [image for image in step if not artifact_types or referrer_type(image) in artifact_types]
        if len(step) < wanted:
            break
        after = step[-1].digest
    return chosen[:wanted]


def _referrer(image: Image) -> dict[str, Any]:
    return {
        "digest": str(Digest(image.digest)),
        "mediaType": image.media_type,
        "size": image.manifest_size_bytes,
        "artifactType": referrer_type(image),
        "annotations": orjson.loads(image.annotations) if image.annotations else None,
        "artifactStatus": image.status,
    }


def referrer_type(image: Image) -> str | None:
    """The artifact type that a referrer is listed under: its own, else its config's media type (OCI 1.1)."""
    return image.artifact_type or image.config_media_type


@decision("ecr:ListImages", writes=False)
def list_tags(call: Call, *, repository_name: str, after: str, most: int, registry_id: str | None = None) -> Names:
    """``GET /v2/{name}/tags/list``: up to ``most`` tags in byte order, after one that need not exist."""
    repository = require(call, repository_name, registry_id)
    found = images.tags_after(call.db, repository.key, after, most + 1)
    return Names(found[:most], len(found) > most)
