"""SBOMs are attached to scanned images of the repositories that ask for them: owed in the transaction of the scan."""

from collections.abc import Iterable

from openecr.db import suppressions
from openecr.db.connection import Connection
from openecr.jobs.queue import enqueue

ATTACH = "attach-sbom"
"""The job that attaches the SBOM of an image, or of every scanned image of a repository."""
CYCLONEDX, SPDX = "cyclonedx", "spdx"
FORMATS = (CYCLONEDX, SPDX)


def owe_where_wanted(db: Connection, repository_key: int, image_keys: Iterable[int]) -> None:
    """Owe the SBOMs of images that were scanned, where their repository asks for them."""
    if suppressions.attached_sbom(db, repository_key) is not None:
        for key in image_keys:
            enqueue(db, ATTACH, {"image": key}, key=f"{ATTACH}:{key}")


def ask(db: Connection, repository_key: int, kind: str | None) -> None:
    """Say which SBOM a repository's images get from now on, and owe those of the images that are scanned already."""
    suppressions.attach_sboms(db, repository_key, kind)
    if kind is not None:
        enqueue(db, ATTACH, {"repository": repository_key}, key=f"{ATTACH}:repository:{repository_key}")
