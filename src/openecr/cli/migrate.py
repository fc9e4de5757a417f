"""``openecr migrate``: move a database forward, an embedded deployment to PostgreSQL, layers to another store."""

import asyncio
import shlex
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.backup import move as moving
from openecr.backup import move_layers as carrying
from openecr.backup.folder import BackupRefused
from openecr.backup.take import Watcher
from openecr.blobs.opening import default_folder, locations, region_locations
from openecr.cli import options, progress
from openecr.composition import composed
from openecr.db.engines import migrate_database, open_database
from openecr.processes.lock import ServeLock
from openecr.processes.stores import check_stores
from openecr.settings import Settings, SettingsError


def migrate(
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Carry the embedded database over to this empty PostgreSQL database."),
    ] = None,
    blobs_to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Carry the layers over to this store: s3://bucket/prefix or file:///folder."),
    ] = None,
    data_dir: options.DataDir = None,
    database: Annotated[str | None, typer.Option(help="The database to move forward.", metavar="URL")] = None,
    blobs: Annotated[
        str | None, typer.Option(help="Where layers are now, if not in the data directory.", metavar="URL")
    ] = None,
    config: options.ConfigFile = None,
) -> None:
    """Move the database to this release's schema; servers of the release before may run on meanwhile.

    With --to or --blobs-to, move the deployment: every server of it is stopped meanwhile. A move that was cut leaves
    the deployment as it was, and is run again.
    """
    settings = options.settings(config, data_dir=data_dir, database=database, blobs=blobs)
    directories.require(settings)
    if to is None and blobs_to is None:
        applied = migrate_database(settings)
        print(f"applied {applied} migrations" if applied else "the database is at this release's schema")
        return
    if to is not None and settings.database is not None:
        raise SettingsError("--to carries an embedded deployment over, and this one is in PostgreSQL already")
    lock = ServeLock.take(settings.data_dir)
    try:
        _move(settings, to, blobs_to)
    except BackupRefused as refused:
        raise options.CommandFailed(str(refused)) from None
    finally:
        lock.close()


def _move(source: Settings, to: str | None, blobs_to: str | None) -> None:
    """Layers first: whatever is cut, the old deployment has all of both until the last step."""
    target = replace(source, database=to or source.database, blobs=blobs_to or source.blobs)
    carried = None
    if blobs_to is not None:
        migrate_database(source)
        with progress.bar("moving layers") as bar:
            carried = asyncio.run(_carry(source, blobs_to, Watcher(bar.expect, bar.advance)))
        _refuse_damaged(carried)
        settle = partial(carrying.take_place, carried=carried)
    if to is not None:
        moved = asyncio.run(moving.move(source, target) if carried is None else moving.move(source, target, settle))
        print(f"carried {moved.rows} rows of {moved.tables} tables over, read both sides again, and found them equal")
    elif carried is not None:
        asyncio.run(_settle(source, carried))
    if carried is not None:
        _tell(source, target, carried)
    stays = "layers and the root key stay" if carried is None else "the root key stays"
    print(f"{stays} in {source.data_dir}; start with: {_command(target)}")


async def _carry(source: Settings, url: str, watcher: Watcher) -> carrying.Carried:
    async with composed(source) as deployment:
        await check_stores(source, deployment.database)
        return await carrying.carry(deployment, url, watcher)


async def _settle(source: Settings, carried: carrying.Carried) -> None:
    database = await open_database(source)
    try:
        await database.write(partial(carrying.take_place, carried=carried))
    finally:
        await database.close()


def _refuse_damaged(carried: carrying.Carried) -> None:
    for item in carried.damaged:
        print(f"damaged or gone: {item}")
    if carried.damaged:
        raise BackupRefused(
            f"{len(carried.damaged)} layers are damaged, and the deployment stays where it is; put them right with "
            "openecr fsck --repair, which sets aside what it cannot put right, and run this again"
        )


def _tell(source: Settings, target: Settings, carried: carrying.Carried) -> None:
    """What was moved, what was not, and how to remove what stays."""
    print(
        f"{carried.objects} objects are in {carried.place}, read again there and found sound; "
        f"{carried.copied} were copied now ({carried.copied_bytes} bytes)"
    )
    if carried.gone:
        print(f"{carried.gone} objects were gone before: of layers set aside, or of uploads that lost their bytes")
    regions = region_locations(source)
    if regions or carried.elsewhere:
        print(f"{carried.elsewhere} objects in the stores of regions ({', '.join(regions)}) stay where they are")
    old, *others = locations(source)["default"].rstrip("/"), *locations(target).values()
    folder = default_folder(source)
    if any(f"{other}/".startswith(f"{old}/") for other in others):
        print(f"the old objects stay in {old}, which other layers are in too; remove nothing there")
    elif folder is not None:
        print(f"the old objects stay; once you are satisfied, remove them: {shlex.join(('rm', '-r', str(folder)))}")
    else:
        print(f"the old objects stay; once you are satisfied, delete everything under {old}/ in the bucket")


def _command(target: Settings) -> str:
    words = ["openecr", "serve", "--data-dir", str(target.data_dir)]
    words += ["--database", target.database] if target.database is not None else []
    words += ["--blobs", target.blobs] if target.blobs is not None else []
    for item in target.region_blobs:
        words += ["--region-blobs", item]
    return shlex.join(words)
