"""What is told of an image's scan, in DescribeImages and DescribeImageScanFindings alike."""

from collections.abc import Sequence
from typing import Any

import orjson

from openecr.db import jobs, scans
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import Scan
from openecr.services.ecr.scanning.requests import QUEUE, WAITING, job_key

ARCHIVED = ("IMAGE_ARCHIVED", "The image is archived.")
DEAD = ("FAILED", "ScanError: the scan did not end; openecr jobs says why.")


def status_of(db: Connection, image: Image, scan: Scan) -> tuple[str, str]:
    """(status, description) of a scan: one whose job is dead has failed, whatever its row says."""
    if image.status != "ACTIVE":
        return ARCHIVED
    if scan.status in WAITING and not jobs.is_owed(db, QUEUE, job_key(image.key)):
        return DEAD
    return scan.status, scan.description


def told_status(status: tuple[str, str]) -> dict[str, str]:
    """In the model's shape."""
    return {"status": status[0], "description": status[1]}


def of_page(db: Connection, repository: Repository, page: Sequence[Image]) -> dict[int, dict[str, Any]]:
    """What DescribeImages tells of the scans of a page of images, by image key."""
    scan_type = scans.configuration(db, repository.registry_key).scan_type
    found = scans.of_images(db, [image.key for image in page], scan_type)
    told: dict[int, dict[str, Any]] = {}
    for image in page:
        if image.key in found:
            status = status_of(db, image, found[image.key])
            told[image.key] = {
                "imageScanStatus": told_status(status),
                "imageScanFindingsSummary": summary_of(found[image.key], status[0]),
            }
    return told


def summary_of(scan: Scan, status: str) -> dict[str, Any] | None:
    """Counts and instants of a scan that found something out; None where it did not."""
    if (
        scan.completed_us is None
        or scan.data_built_us is None
        or status in ("FAILED", "UNSUPPORTED_IMAGE", ARCHIVED[0])
    ):
        return None
    return {
        "imageScanCompletedAt": scan.completed_us // 1_000_000 * 1_000_000,
        "vulnerabilitySourceUpdatedAt": scan.data_built_us // 1_000_000 * 1_000_000,
        "findingSeverityCounts": orjson.loads(scan.counts),
    }
