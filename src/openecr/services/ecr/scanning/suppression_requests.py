"""What VEX statements suppress is reckoned anew: owed in the transaction that changes which statements there are."""

from openecr.db import images
from openecr.db.connection import Connection
from openecr.jobs.queue import enqueue
from openecr.manifest import Manifest
from openecr.names import RegistryName

APPLY = "apply-vex"
"""The job that reckons what is suppressed of an image, of a repository's images, or of those that a rule is for."""
VEX_TYPES = frozenset(
    ("application/vnd.openvex+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json")
)
"""Artifact types of referrers that may hold VEX statements."""


def owe_for_rule(db: Connection, registry: RegistryName, repository_pattern: str) -> None:
    """A rule came or went: the images of every repository that it is for are concerned."""
    args = {"account": registry.account_id, "region": registry.region, "pattern": repository_pattern}
    enqueue(db, APPLY, args, key=f"{APPLY}:registry:{registry}:{repository_pattern}")


def owe_for_repository(db: Connection, repository_key: int) -> None:
    """A repository came back, perhaps under another name: rules came and went meanwhile."""
    enqueue(db, APPLY, {"repository": repository_key}, key=f"{APPLY}:repository:{repository_key}")


def owe_for_referrer(db: Connection, repository_key: int, subject: bytes | None, artifact_type: str | None) -> None:
    """An artifact that refers to an image came or went: the image is concerned, where statements may be in it."""
    if subject is None or artifact_type not in VEX_TYPES:
        return
    image = images.find(db, repository_key, subject)
    if image is not None:
        enqueue(db, APPLY, {"image": image.key}, key=f"{APPLY}:image:{image.key}")


def artifact_type_of(manifest: Manifest) -> str | None:
    """What a manifest says that it is: its config's type where it says nothing else (OCI image specification 1.1)."""
    return manifest.artifact_type or (manifest.config.media_type if manifest.config else None)
