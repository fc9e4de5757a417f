"""UpdateImageStorageClass: one image to the archive, or back."""

from typing import Any

from openecr.call import Call, operation
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.storage_classes import ACTIVATING, ACTIVE, ARCHIVED
from openecr.errors import ConflictingParameters, StorageClassUpdateNotSupported
from openecr.names import Digest
from openecr.services.ecr import image_ids, storage_classes
from openecr.services.ecr.image_listing import require_image
from openecr.services.ecr.repositories import require


@operation("UpdateImageStorageClass", writes=True)
def update_image_storage_class(
    call: Call,
    *,
    repository_name: str,
    image_id: dict[str, str],
    target_storage_class: str,
    registry_id: str | None = None,
) -> dict[str, Any]:
    """Archive an image or begin to restore it; the class that it has already changes nothing.

    Raises:
        RepositoryNotFound, ImageNotFound, StorageClassUpdateNotSupported
        InvalidParameter: the id is none.
    """
    repository = require(call, repository_name, registry_id)
    asked = image_ids.parse(image_id)
    if isinstance(asked, image_ids.Failure) and asked.code != "ImageNotFound":
        raise ConflictingParameters(message=asked.reason)
    image = require_image(call, repository, image_id)
    move = _archive if target_storage_class == "ARCHIVE" else _restore
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": str(Digest(image.digest)), "imageTag": image_id.get("imageTag")},
        "imageStatus": move(call, repository, image),
    }


def _archive(call: Call, repository: Repository, image: Image) -> str:
    if image.status == ACTIVATING:
        raise StorageClassUpdateNotSupported(message="Image is being restored from the archive")
    if image.status == ACTIVE:
        done = storage_classes.archive(call.db, repository, [image.key], call.now_us)
        if image.key in done.refused:
            named = ", ".join(str(parent) for parent in done.refused[image.key])
            raise StorageClassUpdateNotSupported(message=f"Image is referenced by manifest list: [{named}]")
    return ARCHIVED


def _restore(call: Call, repository: Repository, image: Image) -> str:
    if image.status == ACTIVE:
        return ACTIVE
    storage_classes.restore(call.db, repository, image, delay_us=call.settings.archive_restore_seconds * 1_000_000)
    return ACTIVATING
