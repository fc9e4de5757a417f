"""DescribeImageScanFindings: what a scan found, in the shape of the registry's type of scanning, the worst first."""

from dataclasses import dataclass
from typing import Any

from openecr.call import Call, operation
from openecr.db import scans
from openecr.db import verdicts as rows
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import BASIC, Scan
from openecr.db.verdicts import NOW, ImageFinding
from openecr.errors import ScanNotFound
from openecr.services.ecr.image_listing import require_image, told_id
from openecr.services.ecr.repositories import require
from openecr.services.ecr.scanning import statuses, target
from openecr.services.ecr.scanning.told import Teller
from openecr.services.pages import page

_START: list[str | int] = [0, -1, "", 0]
_CLOSED_SHOWN_US = 30 * 86_400 * 1_000_000
"""How long what was closed is listed; Inspector's own time for it."""


@operation("DescribeImageScanFindings", writes=False)
def describe_image_scan_findings(
    call: Call,
    *,
    repository_name: str,
    image_id: dict[str, str],
    registry_id: str | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
) -> dict[str, Any]:
    """What the last scan of an image found; of an index, what its platform members have together.

    Raises:
        ImageNotFound, ScanNotFound
    """
    repository = require(call, repository_name, registry_id)
    image = require_image(call, repository, image_id)
    scan_type = scans.configuration(call.db, repository.registry_key).scan_type
    scan = scans.find(call.db, image.key, scan_type)
    if scan is None:
        raise ScanNotFound(
            digest=image_id.get("imageDigest", "null"),
            tag=image_id.get("imageTag", "null"),
            repository=repository.name,
            registry_id=repository.registry.account_id,
        )
    status = statuses.status_of(call.db, image, scan)
    answer: dict[str, Any] = {
        "registryId": repository.registry.account_id,
        "repositoryName": repository.name,
        "imageId": told_id(image, image_id),
        "imageScanStatus": statuses.told_status(status),
    }
    summary = statuses.summary_of(scan, status[0])
    if summary is None:
        return answer | {"imageScanFindings": {}}
    asked = _Asked(call, repository, image, scan)
    listed = page(
        call,
        "DescribeImageScanFindings",
        {"image": image.key, "type": scan_type},
        next_token,
        max_results,
        start=_START,
        load=asked.load,
        position_of=lambda item: [item[0], item[1].severity, item[1].name, item[1].package_key],
    )
    told = asked.tell([finding for _, finding in listed.items])
    member = "findings" if scan_type == BASIC else "enhancedFindings"
    return answer | {"imageScanFindings": summary | {member: told}, "nextToken": listed.next_token}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A scan whose findings are asked for."""

    call: Call
    repository: Repository
    image: Image
    scan: Scan

    def load(self, position: list[str | int], most: int) -> list[tuple[int, ImageFinding]]:
        """Up to ``most`` (0, a finding that holds) or (1, one that was closed), after a position."""
        members = [item.key for item in target.members(self.call.db, self.image)]
        if not members:
            return []
        phase, after = int(position[0]), (int(position[1]), str(position[2]), int(position[3]))
        found: list[tuple[int, ImageFinding]] = []
        if phase == 0:
            holding = rows.after(
                self.call.db,
                members,
                after,
                most,
                of_distribution=self.scan.scan_type == BASIC,
                generation=NOW if self.scan.generation is None else self.scan.generation,
            )
            found = [(0, item) for item in holding]
            after = (-1, "", 0)
        if len(found) < most and self.scan.status == "ACTIVE":
            since_us = max(self.call.now_us - _CLOSED_SHOWN_US, self.scan.first_us or 0)
            closed = rows.closed_after(self.call.db, members, after, most - len(found), since_us=since_us)
            found += [(1, item) for item in closed]
        return found

    def tell(self, found: list[ImageFinding]) -> list[dict[str, Any]]:
        """Findings in the model's shape."""
        teller = Teller(self.call.db, self.repository, self.scan, found)
        if self.scan.scan_type == BASIC:
            return [teller.basic(item) for item in found]
        return [teller.enhanced(item) for item in found]
