"""``openecr gc`` and ``openecr purge``: give disk space back now, rather than at the next collection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from openecr import data_dir as directories
from openecr.blobs.opening import disk_of
from openecr.cli import options
from openecr.composition import composed
from openecr.db.garbage import Weight
from openecr.deployment import Deployment
from openecr.processes.stores import check_stores
from openecr.services.ecr import garbage
from openecr.settings import Settings

T = TypeVar("T")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Collect garbage once; the server may run meanwhile, and does this by itself every few minutes."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    if dry_run:
        found, waiting = asyncio.run(_run(settings, _planned))
        print(f"would end {found.links} links to layers and empty the trash of {found.deletions} deletions")
        print(f"would give back {found.size_bytes} bytes of {found.blobs} layers that nothing holds")
        print(f"{waiting.size_bytes} bytes of {waiting.blobs} layers wait for the last presigned URLs to end")
        return
    collected = asyncio.run(_run(settings, _collected))
    if collected.early:
        print(f"the disk has too little room: emptied the trash early of its {collected.early} oldest deletions")
    print(f"ended {collected.links} links to layers and emptied the trash of {collected.deletions} deletions")
    print(f"gave back {collected.size_bytes} bytes of {collected.blobs} layers that nothing held")


def purge(
    older_than_days: Annotated[
        int, typer.Option("--older-than", min=0, metavar="DAYS", help="Keep what was deleted in the last DAYS days.")
    ],
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Empty the trash: what goes cannot be taken back. `openecr gc` then gives the space back."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def purged(deployment: Deployment) -> int:
        return await garbage.purge(deployment.database, older_than_days)

    print(f"emptied the trash of {asyncio.run(_run(settings, purged))} deletions")


async def _planned(deployment: Deployment) -> tuple[garbage.Collected, Weight]:
    return await deployment.database.read(lambda db: garbage.plan(db, deployment.settings))


async def _collected(deployment: Deployment) -> garbage.Collected:
    settings = deployment.settings
    await check_stores(settings, deployment.database)
    return await garbage.collect(deployment.database, deployment.blobs, settings, disk_of(settings))


async def _run(settings: Settings, work: Callable[[Deployment], Awaitable[T]]) -> T:
    async with composed(settings) as deployment:
        return await work(deployment)
