"""What scans and new vulnerability data tell others: events as ECR and Inspector send them.

Shapes: Amazon ECR user guide, "Amazon ECR events and EventBridge"; Amazon Inspector user guide, "EventBridge schema for
Amazon Inspector events".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from openecr.db import images
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import BASIC, Scan
from openecr.events import bus
from openecr.names import Digest, repository_arn


def note_scan(db: Connection, repository: Repository, image: Image, scan: Scan, now_us: int, *, is_first: bool) -> None:
    """A scan ended: ECR's event under basic scanning, Inspector's after the first under enhanced."""
    arn = repository_arn(repository.registry, repository.name)
    counts: dict[str, int] = orjson.loads(scan.counts)
    detail: dict[str, Any] = {
        "scan-status": scan.status,
        "repository-name": repository.name,
        "finding-severity-counts": counts,
        "image-digest": str(Digest(image.digest)),
        "image-tags": images.tags_of(db, image.key),
    }
    if scan.scan_type == BASIC:
        bus.note(db, repository.registry_key, "ECR Image Scan", detail, now_us, resources=[arn])
        return
    if scan.status in ("FAILED", "UNSUPPORTED_IMAGE") or not is_first:
        return
    detail |= {
        "scan-status": "INITIAL_SCAN_COMPLETE",
        # Inspector gives the ARN here.
        "repository-name": arn,
        "finding-severity-counts": counts | {"TOTAL": sum(counts.values())},
    }
    bus.note(db, repository.registry_key, "Inspector2 Scan", detail, now_us, resources=[arn], source=bus.INSPECTOR)


def note_finding(db: Connection, repository: Repository, image: Image, finding: Mapping[str, Any], now_us: int) -> None:
    """A finding of an image under continuous scanning opened or closed.

    Args:
        finding: the enhanced finding as DescribeImageScanFindings tells it; instants are µs.
    """
    arn = f"{repository_arn(repository.registry, repository.name)}/{Digest(image.digest)}"
    detail = dict(finding) | {"inspectorScore": finding.get("score")}
    if detail.get("scoreDetails") is not None:
        detail["inspectorScoreDetails"] = {"adjustedCvss": detail.pop("scoreDetails")["cvss"]}
    dated = _dated(detail)
    bus.note(db, repository.registry_key, "Inspector2 Finding", dated, now_us, resources=[arn], source=bus.INSPECTOR)


_INSTANTS = frozenset(("firstObservedAt", "lastObservedAt", "updatedAt", "vendorCreatedAt", "vendorUpdatedAt"))
_RESOURCE_INSTANTS = frozenset(("pushedAt", "lastInUseAt"))


def _dated(value: Any, name: str = "") -> Any:
    """With instants as Inspector's events have them: ``Mar 1, 2026, 10:00:00 AM``."""
    if isinstance(value, Mapping):
        return {key: _dated(item, key) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_dated(item) for item in value]
    if name in _INSTANTS | _RESOURCE_INSTANTS and isinstance(value, int):
        at = datetime.fromtimestamp(value // 1_000_000, UTC)
        return f"{at:%b} {at.day}, {at:%Y}, {at.hour % 12 or 12}:{at:%M:%S %p}"
    return value


def note_frequency(
    db: Connection, registry_key: int, scan_type: str, changed: Sequence[Mapping[str, str]], now_us: int
) -> None:
    """Repositories are scanned at another frequency now.

    Args:
        changed: of each repository its name, ARN, frequency and that of before, in the event's shape.
    """
    detail = {
        "action-type": "SCAN_FREQUENCY_CHANGE",
        "repositories": list(changed),
        "resource-type": "REPOSITORY",
        "scan-type": scan_type,
    }
    bus.note(db, registry_key, "ECR Scan Resource Change", detail, now_us)
