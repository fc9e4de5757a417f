"""The job after new data: packages that it changes are matched again, from what is known of images; no layer is read.

Verdicts are of packages, so that ten thousand images that share one cost one verdict. Images under continuous scanning
get their counts and events anew; other scans stay what they were at their time. What changed is read from the verdicts,
whoever wrote them: a scan with the new data may come first, and this job may die on its way.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from openecr.blobs.store import ObjectMissing
from openecr.db import images, inventories, repositories, scans, suppressions, vulnerability_data
from openecr.db import storage_classes as image_rows
from openecr.db import verdicts as verdict_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.scans import BASIC, ENHANCED, Scan
from openecr.db.verdicts import Change
from openecr.db.vulnerability_data import Published
from openecr.deployment import Deployment
from openecr.scan.findings import MatchKey
from openecr.scan.matching import is_concerned
from openecr.scan.vulndb.differences import differences
from openecr.services.ecr.scanning import events, requests, target, verdicts
from openecr.services.ecr.scanning.scan import counts_of
from openecr.services.ecr.scanning.suppressing import suppress
from openecr.services.ecr.scanning.told import Teller
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.services.ecr.scanning.vulnerability_data import DataDamaged, Opened, VulnerabilityData, forget_before

log = structlog.get_logger("openecr.scan")

_STEP = 500
_IMAGES = 100


@dataclass(frozen=True, slots=True)
class Rematched:
    """What a run did."""

    packages: int = 0
    changes: int = 0
    images: int = 0
    rescans: int = 0
    """Scans owed again, because they had failed for want of data."""


async def rematch(deployment: Deployment, data: VulnerabilityData, vex: VexDocuments) -> Rematched:
    """Bring every verdict to the data in use."""
    while True:
        opened = await data.current()
        if opened is None:
            return Rematched()
        try:
            return await _rematch(deployment, data, vex, opened)
        except verdicts.Superseded:
            continue


async def _rematch(deployment: Deployment, data: VulnerabilityData, vex: VexDocuments, opened: Opened) -> Rematched:
    generation = opened.published.generation
    before = await deployment.database.read(partial(vulnerability_data.before, generation=generation))
    concerned = await _concerned(data, opened, before)
    told_generation = before[-1].generation if before else generation - 1
    packages = 0
    changes: list[Change] = []
    after = 0
    while step := await deployment.database.read(partial(inventories.packages_after, after=after, most=_STEP)):
        after = step[-1][0]
        found = await deployment.database.read(partial(verdict_rows.of_packages, package_keys=[key for key, _ in step]))
        # What has findings is asked again in any case: their severities, scores and words are of other rows.
        chosen = [package for key, package in step if concerned is None or found[key] or concerned(package)]
        if chosen:
            keys = await verdicts.settle(deployment.database, opened, chosen, deployment.now_us())
            packages += len(chosen)
            changes += await deployment.database.read(
                partial(verdict_rows.changed_after, package_keys=list(keys.values()), generation=told_generation)
            )
    count = await _tell_images(deployment, vex, opened, changes)
    rescans = await _owe_failed(deployment)
    await deployment.database.write(partial(_matched, generation=generation))
    return Rematched(packages, len(changes), count, rescans)


def _matched(db: Connection, generation: int) -> None:
    verdicts.require_current(db, generation)
    forget_before(db, generation)


async def _concerned(
    data: VulnerabilityData, opened: Opened, before: Sequence[Published]
) -> Callable[[MatchKey], bool] | None:
    """Which packages have advisories that are not what they were.

    None where that is not known: the one build before this one is what everything was matched with, while of several
    the last was replaced before all was matched.
    """
    if len(before) != 1:
        return None
    try:
        last = await data.open(before[0])
    except (DataDamaged, ObjectMissing):
        return None
    changed = frozenset(await asyncio.to_thread(lambda: list(differences(last.index, opened.index))))
    ecosystems = last.index.ecosystems | opened.index.ecosystems
    return lambda key: is_concerned(key, changed, ecosystems)


async def _tell_images(deployment: Deployment, vex: VexDocuments, opened: Opened, changes: Sequence[Change]) -> int:
    """Count again what images under continuous scanning have; how many."""
    by_package: dict[int, list[Change]] = {}
    for change in changes:
        by_package.setdefault(change.package_key, []).append(change)
    by_image: dict[int, list[Change]] = {}
    for package_key, changed in by_package.items():
        after = 0
        while keys := await deployment.database.read(
            partial(inventories.images_with, package_key=package_key, after=after, most=_STEP)
        ):
            after = keys[-1]
            for key in keys:
                by_image.setdefault(key, []).extend(changed)
    if await deployment.database.read(suppressions.have_rules):
        for key in by_image:
            await suppress(deployment, vex, key)
    level = list(by_image)
    for _ in range(target.MOST_DEPTH):
        level = await _pass_up(deployment, by_image, level)
    counted = 0
    items = list(by_image.items())
    for start in range(0, len(items), _IMAGES):
        counted += await deployment.database.write(
            partial(_count, changed=items[start : start + _IMAGES], opened=opened, now_us=deployment.now_us())
        )
    return counted


async def _pass_up(deployment: Deployment, by_image: dict[int, list[Change]], level: Sequence[int]) -> list[int]:
    """Add to what changes what that changes of the indexes above some images; those indexes."""
    above: dict[int, None] = {}
    for start in range(0, len(level), _IMAGES):
        step = level[start : start + _IMAGES]
        for key, parents in (await deployment.database.read(partial(_parents, image_keys=step))).items():
            for parent in parents:
                by_image.setdefault(parent, []).extend(by_image[key])
                above[parent] = None
    return list(above)


def _parents(db: Connection, image_keys: Sequence[int]) -> dict[int, list[int]]:
    return {key: image_rows.parents(db, key, _IMAGES) for key in image_keys}


def _count(db: Connection, changed: Iterable[tuple[int, Sequence[Change]]], opened: Opened, now_us: int) -> int:
    counted = 0
    for image_key, changes in changed:
        images.hold(db, image_key)
        scan, image = scans.find(db, image_key, ENHANCED), image_rows.find(db, image_key)
        if scan is None or image is None or scan.status != "ACTIVE":
            continue
        news = [change for change in dict.fromkeys(changes) if change.at_us > (scan.completed_us or 0)]
        if not news:
            continue  # it was scanned, or counted, when this was known
        members = [member.key for member in target.members(db, image)]
        counts = counts_of(db, scan, members)
        settled = replace(scan, counts=counts, completed_us=now_us, data_built_us=opened.published.built_us)
        scans.put(db, settled)
        tell(db, image, settled, [(change.package_key, change.name) for change in news], now_us)
        counted += 1
    return counted


def tell(db: Connection, image: Image, scan: Scan, changes: Iterable[tuple[int, str]], now_us: int) -> None:
    """Send the events of findings, (package key, name), of an image under continuous scanning."""
    repository_key = images.repository_of(db, image.key)
    repository = None if repository_key is None else repositories.find_by_key(db, repository_key)
    if repository is None:
        return
    members = [member.key for member in target.members(db, image)]
    found = [
        finding for package_key, name in changes for finding in verdict_rows.last_of(db, members, package_key, name)
    ]
    teller = Teller(db, repository, scan, found)
    for finding in found:
        events.note_finding(db, repository, image, teller.enhanced(finding), now_us)


async def _owe_failed(deployment: Deployment) -> int:
    """Owe again what failed and may succeed with the new data, where it is scanned without being asked."""
    owed = 0
    for scan_type in (BASIC, ENHANCED):
        after = 0
        while step := await deployment.database.read(
            partial(scans.with_status, status="FAILED", scan_type=scan_type, after=after, most=_STEP)
        ):
            after = step[-1].image_key
            for scan in step:
                owed += await deployment.database.write(
                    partial(_owe_again, image_key=scan.image_key, scan_type=scan_type, now_us=deployment.now_us())
                )
    return owed


def _owe_again(db: Connection, image_key: int, scan_type: str, now_us: int) -> bool:
    found = target.find(db, image_key)
    if found is None or found.image.status != "ACTIVE" or found.configuration.scan_type != scan_type:
        return False
    if not images.hold(db, image_key):
        return False
    requests.owe(db, image_key, scan_type, now_us)
    return True
