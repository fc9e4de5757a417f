"""Storage classes: images go to the archive and come back, and what belongs to them comes along.

    archive      ACTIVE → ARCHIVED at once, with the members of an index that never had a tag, and no other active index
    restore      ARCHIVED → ACTIVATING, and ACTIVE ``archive_restore_seconds`` later, with its archived members
    push again   → ACTIVE at once
    referrers    follow their subject by a job, in batches

No active index names an image that is not active. (User guide, "Archiving an image", "Restoring an image"; what AWS
does not say is decided in docs/decisions/0023-storage-classes.md.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from openecr.db import images, repositories
from openecr.db import storage_classes as rows
from openecr.db.connection import Connection, Database
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.storage_classes import ACTIVATING, ACTIVE, ARCHIVED
from openecr.jobs.queue import enqueue
from openecr.manifest import INDEX_TYPES
from openecr.names import Digest, RegistryName
from openecr.services.ecr import image_events
from openecr.services.ecr.scanning import requests as scan_requests

RESTORE = "restore-image"
"""The job that ends a restore."""
FOLLOW = "follow-storage-class"
"""The job that takes referrers where their subject went."""
_MOST_PARENTS = 100
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of images that were to be archived."""

    archived: tuple[int, ...]
    """Their keys, and those of the members that came along."""
    refused: Mapping[int, tuple[Digest, ...]]
    """Those that active indexes name, with these."""


def archive(db: Connection, repository: Repository, image_keys: Sequence[int], now_us: int) -> Archived:
    """Archive images in the caller's transaction, which holds the repository's row; in any order, so that an index and
    its members may come together. What is gone, archived already, or being restored is passed over."""
    archived: list[int] = []
    refused: dict[int, tuple[Digest, ...]] = {}
    waiting = list(dict.fromkeys(image_keys))
    while waiting:
        refused = {}
        for key in waiting:
            parents = rows.active_parents(db, key, _MOST_PARENTS)
            if parents:
                refused[key] = tuple(Digest(parent) for parent in parents)
            else:
                archived += _archive_whole(db, repository, key, now_us)
        if len(refused) == len(waiting):
            break
        waiting = list(refused)
    if archived:
        images.forget_pulled(db, repository.registry, repository.name)
    return Archived(tuple(archived), refused)


def _archive_whole(db: Connection, repository: Repository, image_key: int, now_us: int) -> list[int]:
    """Archive an image that no active index names, and the members that are part of it; their keys."""
    gone: list[int] = []
    waiting = [image_key]
    while waiting:
        image = rows.find(db, waiting.pop())
        if image is None or image.status != ACTIVE:
            continue
        rows.archive(db, image.key, now_us)
        image_events.note_storage_class(db, repository, image, archives=True, now_us=now_us)
        gone.append(image.key)
        _owe_following(db, repository, image, ACTIVE)
        if image.media_type in INDEX_TYPES:
            waiting += [member.key for member in rows.members(db, image.key) if _is_part_of_others(db, member)]
    return gone


def _is_part_of_others(db: Connection, member: Image) -> bool:
    """Whether a member of archived indexes has no use of its own: it never had a tag, and no active index names it."""
    return member.status == ACTIVE and not member.ever_tagged and not rows.active_parents(db, member.key, 1)


def restore(db: Connection, repository: Repository, image: Image, *, delay_us: int) -> None:
    """Begin to restore an archived image with its archived members; a job ends it."""
    for each in _whole(db, image, lambda member: member.status == ARCHIVED):
        rows.begin_activation(db, each.key)
    enqueue(
        db, RESTORE, _args(repository, image), key=f"{RESTORE}:{repository.key}:{image.digest.hex()}", delay_us=delay_us
    )
    images.forget_pulled(db, repository.registry, repository.name)


def activate(db: Connection, repository: Repository, image: Image, now_us: int) -> None:
    """Make an image active at once, with every member; its referrers follow."""
    for each in _whole(db, image, lambda member: member.status != ACTIVE):
        rows.activate(db, each.key, now_us)
        image_events.note_storage_class(db, repository, each, archives=False, now_us=now_us)
        scan_requests.owe_on_activation(db, repository, each, now_us)
        _owe_following(db, repository, each, ARCHIVED)
    images.forget_pulled(db, repository.registry, repository.name)


def activate_members(db: Connection, repository: Repository, image_key: int, now_us: int) -> None:
    """Make the members of a new, active index active."""
    for member in rows.members(db, image_key):
        if member.status != ACTIVE:
            activate(db, repository, member, now_us)


def put_back(db: Connection, repository: Repository, image_key: int, document: Mapping[str, Any], now_us: int) -> bool:
    """Give an image that comes out of the trash the class that it had, unless an active index needs it; whether it is
    active.

    Args:
        document: what ``remembered`` made of it.
    """
    archived_us = document.get("archivedUs")
    if archived_us is not None and document["status"] != ACTIVE and not rows.active_parents(db, image_key, 1):
        rows.keep_archived(db, image_key, archived_us, document["activatedUs"])
        return False
    activate_members(db, repository, image_key, now_us)
    return True


def remembered(image: Image) -> dict[str, Any]:
    """What the trash keeps of an image's storage class; nothing of one that was never archived."""
    if image.archived_us is None:
        return {}
    return {"status": image.status, "archivedUs": image.archived_us, "activatedUs": image.activated_us}


def _whole(db: Connection, image: Image, belongs: Callable[[Image], bool]) -> list[Image]:
    """An image and, of an index, the members that belong to it, each once."""
    found: dict[int, Image] = {}
    waiting = [image]
    while waiting:
        each = waiting.pop()
        if each.key in found:
            continue
        found[each.key] = each
        if each.media_type in INDEX_TYPES:
            waiting += [member for member in rows.members(db, each.key) if belongs(member)]
    return list(found.values())


def _args(repository: Repository, image: Image) -> dict[str, Any]:
    return {
        "accountId": repository.registry.account_id,
        "region": repository.registry.region,
        "repository": repository.name,
        "repositoryKey": repository.key,
        "digest": image.digest.hex(),
    }


def _owe_following(db: Connection, repository: Repository, image: Image, status: str) -> None:
    """Owe the job for an image's referrers where some are in the status that it left."""
    if images.referrers_after(db, repository.key, image.digest, b"", 1, status=status):
        enqueue(db, FOLLOW, _args(repository, image), key=f"{FOLLOW}:{repository.key}:{image.digest.hex()}")


async def end_restore(database: Database, args: Mapping[str, Any], now_us: int) -> None:
    """The job ``RESTORE``."""
    await database.write(lambda db: _end_restore(db, args, now_us))


def _end_restore(db: Connection, args: Mapping[str, Any], now_us: int) -> None:
    repository = _repository(db, args)
    image = images.find(db, repository.key, bytes.fromhex(args["digest"])) if repository is not None else None
    if repository is not None and image is not None and image.status == ACTIVATING:
        activate(db, repository, image, now_us)


async def follow(database: Database, args: Mapping[str, Any], now_us: int) -> None:
    """The job ``FOLLOW``: one transaction for each batch."""
    after: bytes | None = b""
    while after is not None:
        after = await database.write(partial(_follow_some, args=args, after=after, now_us=now_us))


def _follow_some(db: Connection, args: Mapping[str, Any], after: bytes, now_us: int) -> bytes | None:
    """Take a batch of referrers where their subject is now; where to go on, None at the end."""
    repository = _repository(db, args)
    subject = images.find(db, repository.key, bytes.fromhex(args["digest"])) if repository is not None else None
    if repository is None or subject is None or subject.status == ACTIVATING:
        return None
    left = ACTIVE if subject.status == ARCHIVED else ARCHIVED
    found = images.referrers_after(db, repository.key, subject.digest, after, _BATCH, status=left)
    if subject.status == ARCHIVED:
        archive(db, repository, [image.key for image in found], now_us)
    else:
        for image in found:
            activate(db, repository, image, now_us)
    return found[-1].digest if len(found) == _BATCH else None


def _repository(db: Connection, args: Mapping[str, Any]) -> Repository | None:
    """The repository of a job, held; None where it was deleted meanwhile."""
    registry = RegistryName(args["accountId"], args["region"])
    found = repositories.find(db, registry, args["repository"], lock=True)
    return found if found is not None and found.key == args["repositoryKey"] else None
