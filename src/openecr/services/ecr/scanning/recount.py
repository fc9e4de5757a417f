"""The job after VEX statements came or went: what is suppressed is reckoned anew, and what is left counted.

No layer is read, and nothing is matched: verdicts stay what they are.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from openecr.db import images, repositories, scans, suppressions
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.scans import BASIC, ENHANCED
from openecr.deployment import Deployment
from openecr.names import RegistryName
from openecr.services.ecr.mutability_rules import matches
from openecr.services.ecr.scanning import target
from openecr.services.ecr.scanning.gate_rules import PASSING
from openecr.services.ecr.scanning.rematch import tell
from openecr.services.ecr.scanning.scan import counts_of
from openecr.services.ecr.scanning.suppressing import Gathered, Outdated, gather, settle
from openecr.services.ecr.scanning.vex_documents import VexDocuments

_STEP = 200


async def recount(deployment: Deployment, documents: VexDocuments, concerned: Mapping[str, Any]) -> int:
    """Bring images to the statements that count on them; how many had other findings suppressed before.

    Args:
        concerned: an ``image`` with its members, a ``repository``, or an ``account`` and ``region`` with a ``pattern``
            of repositories' names.
    """
    changed = 0
    async for image_key in _concerned(deployment, concerned):
        while True:
            gathered = await gather(deployment, documents, image_key)
            try:
                step = partial(_apply, gathered=gathered, now_us=deployment.now_us())
                changed += await deployment.database.write(step)
            except Outdated:
                continue
            break
    return changed


async def _concerned(deployment: Deployment, concerned: Mapping[str, Any]) -> AsyncIterator[int]:
    database = deployment.database
    if "image" in concerned:
        for key in await database.read(partial(_members, image_key=concerned["image"])):
            yield key
    elif "repository" in concerned:
        async for key in _of_repository(deployment, concerned["repository"]):
            yield key
    else:
        after, registry = "", RegistryName(concerned["account"], concerned["region"])
        while step := await database.read(partial(repositories.list_after, registry=registry, after=after, most=_STEP)):
            after = step[-1].name
            for repository in step:
                if matches(concerned["pattern"], repository.name):
                    async for key in _of_repository(deployment, repository.key):
                        yield key


async def _of_repository(deployment: Deployment, repository_key: int) -> AsyncIterator[int]:
    after = b""
    while step := await deployment.database.read(
        partial(suppressions.scanned_after, repository_key=repository_key, after=after, most=_STEP)
    ):
        after = step[-1][1]
        for key, _ in step:
            yield key


def _members(db: Connection, image_key: int) -> Sequence[int]:
    image = image_rows.find(db, image_key)
    return [] if image is None else [member.key for member in target.members(db, image)]


def _apply(db: Connection, gathered: Gathered, now_us: int) -> bool:
    """Settle an image, and count it anew, and the indexes that name it."""
    counted = (gathered.image_key, *target.indexes_above(db, gathered.image_key))
    # Held before anything is counted: who counts later counts with what this suppresses.
    for key in sorted(counted):
        images.hold(db, key)
    changes = settle(db, gathered)
    if not changes:
        return False
    for key in counted:
        image = image_rows.find(db, key)
        if image is None:
            continue
        members = [member.key for member in target.members(db, image)]
        for scan_type in (BASIC, ENHANCED):
            scan = scans.find(db, key, scan_type)
            if scan is None or scan.status not in PASSING:
                continue
            settled = replace(scan, counts=counts_of(db, scan, members))
            scans.put(db, settled)
            if scan.status == "ACTIVE":
                tell(db, image, settled, changes, now_us)
    return True
