"""What a scan is of: an image, or the platform members of an index."""

from collections.abc import Iterable
from dataclasses import dataclass

from openecr.db import images, inventories, repositories, scans
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import BASIC, ENHANCED, Configuration, Scan
from openecr.manifest import INDEX_TYPES, Descriptor, Manifest, parse
from openecr.services.ecr.scanning.requests import WAITING, is_scannable

MOST_DEPTH = 3
"""Indexes in indexes."""
_MOST_PARENTS = 100


@dataclass(frozen=True, slots=True)
class Target:
    """What a job scans."""

    image: Image
    repository: Repository
    configuration: Configuration
    members: tuple[Image, ...]
    """The images to scan: the image itself, or an index's members for each platform."""
    pending: tuple[Scan, ...]
    """The scans of the image that are owed."""


def find(db: Connection, image_key: int) -> Target | None:
    """What a job scans; None where the image or its repository went."""
    image, repository_key = image_rows.find(db, image_key), images.repository_of(db, image_key)
    repository = None if repository_key is None else repositories.find_by_key(db, repository_key)
    if image is None or repository is None:
        return None
    found = (scans.find(db, image_key, scan_type) for scan_type in (BASIC, ENHANCED))
    return Target(
        image,
        repository,
        scans.configuration(db, repository.registry_key),
        tuple(members(db, image)),
        tuple(scan for scan in found if scan is not None and scan.status in WAITING),
    )


def members(db: Connection, image: Image) -> list[Image]:
    """What an image's findings are of: itself, or the platform members of an index, each once."""
    return list({item.key: item for item in _members(db, image, MOST_DEPTH)}.values())


def _members(db: Connection, image: Image, depth: int) -> Iterable[Image]:
    if image.media_type not in INDEX_TYPES:
        layers = inventories.layer_types(db, image.key)
        if is_scannable(image.media_type, image.config_media_type, layers):
            yield image
        return
    if not depth:
        return
    named = _platforms(parse(images.manifest_of(db, image.key), image.media_type))
    for member in image_rows.members(db, image.key):
        if member.digest in named:
            yield from _members(db, member, depth - 1)


def indexes_above(db: Connection, image_key: int) -> list[int]:
    """Keys of the indexes that an image is in, through others too; of each level the first hundred."""
    found: dict[int, None] = {}
    level = [image_key]
    for _ in range(MOST_DEPTH):
        level = [parent for key in level for parent in image_rows.parents(db, key, _MOST_PARENTS)][:_MOST_PARENTS]
        found.update(dict.fromkeys(level))
    return list(found)


def _platforms(index: Manifest) -> set[bytes]:
    """Digests of the members that run somewhere."""
    return {member.digest.stored for member in index.members if runs_somewhere(member)}


def runs_somewhere(member: Descriptor) -> bool:
    """Whether a member of an index is for a platform: attestations say that theirs is unknown."""
    return member.platform is None or "unknown" not in (
        member.platform.get("os"),
        member.platform.get("architecture"),
    )
