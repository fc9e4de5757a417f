"""What happens to images, told as ECR tells it (user guide, "Sample events from Amazon ECR")."""

from collections.abc import Iterable
from datetime import UTC, datetime

from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.events import bus
from openecr.names import Digest

IMAGE, REFERRER = "ECR Image Action", "ECR Referrer Action"


def note_push(
    db: Connection,
    repository: Repository,
    digest: Digest,
    media_type: str,
    artifact_media_type: str | None,
    tags: Iterable[str],
    now_us: int,
    *,
    is_referrer: bool,
) -> None:
    """An image was pushed: an event for each tag, or one without a tag."""
    for tag in tuple(tags) or (None,):
        detail = {
            "result": "SUCCESS",
            "repository-name": repository.name,
            "image-digest": str(digest),
            "action-type": "PUSH",
            "image-tag": tag,
            "manifest-media-type": media_type,
            "artifact-media-type": artifact_media_type,
        }
        bus.note(db, repository.registry_key, REFERRER if is_referrer else IMAGE, detail, now_us)


def note_deletion(db: Connection, repository: Repository, image: Image, tags: Iterable[str], now_us: int) -> None:
    """Tags were deleted, or an image that had none: an event for each."""
    for tag in tuple(tags) or (None,):
        detail = _of_image(repository, image) | {"action-type": "DELETE", "image-tag": tag}
        bus.note(db, repository.registry_key, _type_of(image), detail, now_us)


def note_storage_class(db: Connection, repository: Repository, image: Image, *, archives: bool, now_us: int) -> None:
    """An image was archived, or is active again."""
    detail = _of_image(repository, image) | {
        "action-type": "UPDATE_STORAGE_CLASS",
        "target-storage-class": "ARCHIVE" if archives else "STANDARD",
    }
    if not archives:
        at = datetime.fromtimestamp(now_us / 1_000_000, UTC)
        detail["last-activated-at"] = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
    bus.note(db, repository.registry_key, _type_of(image), detail, now_us)


def _of_image(repository: Repository, image: Image) -> dict[str, str | None]:
    return {
        "result": "SUCCESS",
        "repository-name": repository.name,
        "image-digest": str(Digest(image.digest)),
        "manifest-media-type": image.media_type,
        "artifact-media-type": image.artifact_type or image.config_media_type,
    }


def _type_of(image: Image) -> str:
    return IMAGE if image.subject_digest is None else REFERRER
