"""Scans are owed: registered and enqueued in the transaction that causes them."""

from collections.abc import Iterable

from openecr.db import images, inventories, scans
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import BASIC, ENHANCED, Scan
from openecr.jobs.queue import enqueue
from openecr.manifest import IMAGE_TYPES, INDEX_TYPES, Manifest
from openecr.services.ecr.scanning.frequency_rules import by_configuration

SCAN = "scan-image"
"""The job that scans an image."""
QUEUE = "scan"
"""Scans have workers of their own: those of a great push starve no other work."""
IN_PROGRESS = ("IN_PROGRESS", "The scan is in progress.")
PENDING = ("PENDING", "The initial scan is pending.")
WAITING = (IN_PROGRESS[0], PENDING[0])
_STEP = 500
_CONFIGS = frozenset(("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"))


def job_key(image_key: int) -> str:
    """The key of an image's scans: one at a time."""
    return f"{SCAN}:{image_key}"


def is_scannable(media_type: str, config_media_type: str | None, layer_types: Iterable[str]) -> bool:
    """Whether a manifest is an image: its config says so, and a layer is a file system. Attestations and other
    artifacts may have an image's config."""
    layers = list(layer_types)
    return (
        media_type in IMAGE_TYPES
        and config_media_type in _CONFIGS
        and (not layers or any("tar" in item for item in layers))
    )


def owe_on_push(db: Connection, repository: Repository, image_key: int, manifest: Manifest, now_us: int) -> None:
    """Owe the scan of an image that is pushed, in the transaction of the push, where the repository is scanned so.

    The scan is registered at once: the waiter of the SDKs gives up on an image that has none. One that is pushed again
    keeps its scan, unless that failed, or the registry scans otherwise by now.
    """
    config = manifest.config.media_type if manifest.config else None
    if manifest.is_index or is_scannable(manifest.media_type, config, (item.media_type for item in manifest.layers)):
        _owe_where_wanted(db, repository, image_key, now_us)


def owe_on_activation(db: Connection, repository: Repository, image: Image, now_us: int) -> None:
    """Owe the scan of an image that comes back from the archive; what was found before is gone (user guide, "Restoring
    an image")."""
    scans.forget(db, image.key)
    if image.media_type in INDEX_TYPES or is_scannable(
        image.media_type, image.config_media_type, inventories.layer_types(db, image.key)
    ):
        _owe_where_wanted(db, repository, image.key, now_us)


def _owe_where_wanted(db: Connection, repository: Repository, image_key: int, now_us: int) -> None:
    configuration = scans.configuration(db, repository.registry_key)
    if not by_configuration(configuration, repository).on_push:
        return
    last = scans.find(db, image_key, configuration.scan_type)
    if last is None or last.status == "FAILED":
        owe(db, image_key, configuration.scan_type, now_us)


def owe_again(db: Connection, repository_key: int) -> None:
    """Owe the scans of a repository that comes out of the trash: jobs that came to it there left them undone."""
    digest = b""
    while step := images.active_after(db, repository_key, digest, _STEP):
        digest = step[-1][1]
        keys = [key for key, _ in step]
        for scan_type in (BASIC, ENHANCED):
            for key, scan in scans.of_images(db, keys, scan_type).items():
                if scan.status in WAITING:
                    _enqueue(db, key)


def owe(db: Connection, image_key: int, scan_type: str, now_us: int, *, is_manual: bool = False) -> Scan:
    """Register a scan and owe its job; what an earlier scan found stays readable until it is done."""
    status, description = IN_PROGRESS if scan_type == BASIC else PENDING
    last = scans.find(db, image_key, scan_type)
    owed = Scan(
        image_key,
        scan_type,
        status,
        description,
        requested_us=now_us,
        manual_us=now_us if is_manual else last.manual_us if last else None,
        completed_us=last.completed_us if last else None,
        first_us=last.first_us if last else None,
        generation=last.generation if last else None,
        data_built_us=last.data_built_us if last else None,
        counts=last.counts if last else "{}",
    )
    scans.put(db, owed)
    _enqueue(db, image_key)
    return owed


def _enqueue(db: Connection, image_key: int) -> None:
    enqueue(db, SCAN, {"image": image_key}, key=job_key(image_key), queue=QUEUE)
