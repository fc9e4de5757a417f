"""StartImageScan: an image is scanned because somebody asks."""

from typing import Any

from openecr.call import Call, operation
from openecr.db import inventories, scans, vulnerability_data
from openecr.db.scans import BASIC, ENHANCED, Scan
from openecr.errors import ImageArchived, ScanQuotaExceeded, UnsupportedImageType, ValidationFailed
from openecr.manifest import INDEX_TYPES
from openecr.names import Digest
from openecr.services.ecr.image_listing import require_image, told_id
from openecr.services.ecr.repositories import require
from openecr.services.ecr.scanning.requests import is_scannable, owe

_WINDOW_US = 24 * 3600 * 1_000_000


@operation("StartImageScan", writes=True)
def start_image_scan(
    call: Call, *, repository_name: str, image_id: dict[str, str], registry_id: str | None = None
) -> dict[str, Any]:
    """Scan an image now, or an index through its platform members (basic scanning only).

    Raises:
        ValidationFailed: the registry's scanning is enhanced.
        ImageNotFound, ImageArchived, UnsupportedImageType
        ScanQuotaExceeded: a manual scan that did not fail began within 24 hours, with the data that is in use now.
    """
    repository = require(call, repository_name, registry_id)
    if scans.configuration(call.db, repository.registry_key).scan_type == ENHANCED:
        raise ValidationFailed(message="This feature is disabled")
    image = require_image(call, repository, image_id)
    if image.status != "ACTIVE":
        raise ImageArchived
    if image.media_type not in INDEX_TYPES and not is_scannable(
        image.media_type, image.config_media_type, inventories.layer_types(call.db, image.key)
    ):
        raise UnsupportedImageType(digest=Digest(image.digest), tag=image_id.get("imageTag", "null"))
    last = scans.find(call.db, image.key, BASIC)
    if last is not None and _is_used_up(call, last):
        raise ScanQuotaExceeded
    owed = owe(call.db, image.key, BASIC, call.now_us, is_manual=True)
    return {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageId": told_id(image, image_id),
        "imageScanStatus": {"status": owed.status, "description": owed.description},
    }


def _is_used_up(call: Call, last: Scan) -> bool:
    if last.manual_us is None or call.now_us - last.manual_us >= _WINDOW_US:
        return False
    newest = vulnerability_data.current(call.db)
    return newest is None or last.generation is None or newest.generation <= last.generation
