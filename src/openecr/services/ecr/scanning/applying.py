"""The job after PutRegistryScanningConfiguration: what is already in the registry follows its new rules.

Images of repositories that are scanned continuously from now on are scanned; findings of those that are not any more
stay as they are at this moment. Under enhanced scanning every change of a repository's frequency is told as an event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from openecr.db import images, registries, repositories, scans, vulnerability_data
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.repositories import Repository
from openecr.db.scans import ENHANCED, Configuration
from openecr.deployment import Deployment
from openecr.manifest import INDEX_TYPES
from openecr.names import RegistryName, repository_arn
from openecr.services.ecr.scanning import events, requests, target
from openecr.services.ecr.scanning.frequency_rules import Applied, Frequency, by_configuration

APPLY = "apply-scanning"
"""The job."""
_STEP = 100


async def apply(deployment: Deployment, args: Mapping[str, Any]) -> None:
    """Bring a registry's repositories from one configuration to the one that holds now."""
    database = deployment.database
    registry = RegistryName(args["accountId"], args["region"])
    before, put = (Configuration(*args[name]) for name in ("before", "put"))
    after = ""
    while step := await database.read(partial(repositories.list_after, registry=registry, after=after, most=_STEP)):
        after = step[-1].name
        now = await database.read(lambda db: scans.configuration(db, registries.find_key(db, registry)))
        changed = [
            (repository, was, now_is)
            for repository in step
            if (was := by_configuration(before, repository)) != (now_is := by_configuration(now, repository))
            or before.scan_type != now.scan_type
        ]
        for repository, _, now_is in changed:
            await _follow(deployment, repository, now, now_is)
        if put.scan_type == ENHANCED:
            # Of this change alone: another one may be in force by now, whose own job tells of it.
            told = [
                (repository, was, then)
                for repository in step
                # What is younger than the change never had another frequency.
                if repository.created_us <= args["putUs"]
                and (was := by_configuration(before, repository)).frequency
                != (then := by_configuration(put, repository)).frequency
            ]
            await database.write(partial(_tell, registry=registry, changed=told, now_us=deployment.now_us()))


async def _follow(deployment: Deployment, repository: Repository, configuration: Configuration, how: Applied) -> None:
    """Bring the images of one repository to its new frequency."""
    digest = b""
    is_continuous = configuration.scan_type == ENHANCED and how.frequency == Frequency.CONTINUOUS
    while step := await deployment.database.read(
        partial(images.active_after, repository_key=repository.key, digest=digest, most=_STEP)
    ):
        digest = step[-1][1]
        keys = [key for key, _ in step]
        await deployment.database.write(
            partial(_owe if is_continuous else _freeze, image_keys=keys, now_us=deployment.now_us())
        )


def _owe(db: Connection, image_keys: Sequence[int], now_us: int) -> None:
    for key in image_keys:
        scan, image = scans.find(db, key, ENHANCED), image_rows.find(db, key)
        if image is None or (scan is not None and scan.status in ("ACTIVE", requests.PENDING[0])):
            continue
        if image.media_type in INDEX_TYPES or target.members(db, image):
            requests.owe(db, key, ENHANCED, now_us)


def _freeze(db: Connection, image_keys: Sequence[int], now_us: int) -> None:
    """Findings that followed the data stay what they are by the data of this moment."""
    current = vulnerability_data.current(db)
    for key in image_keys:
        scan = scans.find(db, key, ENHANCED)
        if scan is not None and scan.status == "ACTIVE" and current is not None:
            scans.put(
                db,
                replace(
                    scan,
                    status="COMPLETE",
                    description="Continuous scan was selected for image.",
                    generation=current.generation,
                    completed_us=now_us,
                ),
            )


def _tell(
    db: Connection, registry: RegistryName, changed: Sequence[tuple[Repository, Applied, Applied]], now_us: int
) -> None:
    registry_key = registries.find_key(db, registry)
    if registry_key is None or not changed:
        return
    told = [
        {
            "repository-name": repository.name,
            "repository-arn": repository_arn(registry, repository.name),
            "scan-frequency": now_is.frequency.value,
            "previous-scan-frequency": was.frequency.value,
        }
        for repository, was, now_is in changed
    ]
    events.note_frequency(db, registry_key, ENHANCED, told, now_us)


def arguments(registry: RegistryName, before: Configuration, put: Configuration, put_us: int) -> dict[str, Any]:
    """The job's: which registry, what held until now, and what holds from now on."""
    return {
        "accountId": registry.account_id,
        "region": registry.region,
        "before": [before.scan_type, before.rules],
        "put": [put.scan_type, put.rules],
        "putUs": put_us,
    }
