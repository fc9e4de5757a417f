"""``openecr backup`` and ``openecr restore``."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.backup import restore as restoring
from openecr.backup import take as taking
from openecr.backup.folder import BackupRefused, Folder
from openecr.backup.take import Watcher
from openecr.blobs.opening import open_stores
from openecr.cli import options, progress
from openecr.composition import composed
from openecr.errors import StorageFull
from openecr.keyring import ROOT_KEY_VARIABLE, root_key_path
from openecr.processes.lock import ServeLock
from openecr.services.ecr.object_hold import HoldLost
from openecr.settings import Settings

_ROOT_KEY = "The root key is not in the backup. Keep a copy elsewhere: without it the backup opens nothing."
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the backups.")]
At = Annotated[
    str | None, typer.Option(metavar="WHEN", help="The newest backup at or before this instant (UTC).  [default: last]")
]


def backup(
    folder: FolderArgument,
    verify: Annotated[
        bool, typer.Option("--verify", help="Take none: read a backup, and say whether it is sound.")
    ] = False,
    list_them: Annotated[bool, typer.Option("--list", help="Take none: list what is there.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Then remove layers that no backup here names.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="COUNT", help="Remove all but the newest backups; belongs to --prune.")
    ] = None,
    at: At = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Take a backup, or read one; the server may run meanwhile. A second one copies only layers that are new."""
    if keep is not None and not prune:
        raise typer.BadParameter("removes backups: give --prune too", param_hint="--keep")
    try:
        if list_them:
            _list(Folder(folder))
        elif verify:
            _verify(Folder(folder), at)
        else:
            _take(options.settings(config, data_dir=data_dir), folder)
            if prune:
                backups, layers = taking.prune(folder, keep)
                print(f"removed {backups} backups and {layers} layers that no backup names any more")
    except HoldLost:
        raise options.CommandFailed("the backup took a pause so long that layers may be gone; run it again") from None
    except StorageFull:
        raise options.CommandFailed(
            f"there is no room left in {folder}; free some and run it again, what it has is kept"
        ) from None
    except BackupRefused as refused:
        raise options.CommandFailed(str(refused)) from None


def restore(
    folder: FolderArgument,
    at: At = None,
    data_dir: options.DataDir = None,
    database: Annotated[str | None, typer.Option(help="Restore the metadata here.", metavar="URL")] = None,
    config: options.ConfigFile = None,
) -> None:
    """Fill an empty deployment from a backup; a server on it then serves everything."""
    settings = options.settings(config, data_dir=data_dir, database=database)
    chosen = Folder(folder)
    directories.create(settings.data_dir)
    lock = ServeLock.take(settings.data_dir)
    try:
        name = chosen.choose(at)
        with progress.bar("restoring") as bar:
            watcher = Watcher(bar.expect, bar.advance)
            manifest = asyncio.run(restoring.restore(settings, open_stores(settings), chosen, name, watcher))
    except StorageFull:
        raise options.CommandFailed("there is no room left for the layers; free some and run it again") from None
    except BackupRefused as refused:
        raise options.CommandFailed(str(refused)) from None
    finally:
        lock.close()
    print(f"restored {manifest.objects} layers ({manifest.size_bytes} bytes) and all metadata of {_told(name)}")
    if manifest.damaged:
        print(f"{len(manifest.damaged)} layers were damaged before the backup: find them with: openecr fsck")
    key = root_key_path(settings.data_dir)
    if not key.exists():
        print(f"Put the root key of the deployment at {key}, or into {ROOT_KEY_VARIABLE}, before you start a server.")


def _take(settings: Settings, folder: Path) -> None:
    directories.require(settings)

    async def run(watcher: Watcher) -> taking.Taken:
        async with composed(settings) as deployment:
            return await taking.take(deployment, folder, watcher)

    with progress.bar("backing up") as bar:
        taken = asyncio.run(run(Watcher(bar.expect, bar.advance)))
    print(f"backup {taken.name}: {taken.objects} layers, of which {taken.copied} were new ({taken.copied_bytes} bytes)")
    print(_ROOT_KEY)
    if taken.damaged:
        print(f"{len(taken.damaged)} layers are damaged and not in it; find them with: openecr fsck")
        raise typer.Exit(1)


def _verify(folder: Folder, at: str | None) -> None:
    name = folder.choose(at)
    with progress.bar("verifying") as bar:
        damaged = asyncio.run(restoring.verify(folder, name, Watcher(bar.expect, bar.advance)))
    for item in damaged:
        print(f"damaged or gone: {item}")
    if damaged:
        raise BackupRefused(f"the backup {name} cannot be restored; take a new one, or use another with --at")
    print(f"the backup {name} is sound")


def _list(folder: Folder) -> None:
    for name in folder.names():
        manifest = folder.manifest(name)
        print(f"{name}  {manifest.objects} layers, {manifest.size_bytes} bytes, openecr {manifest.version}")
    for left in folder.cut():
        print(f"{left.name}  cut, cannot be restored")


def _told(name: str) -> str:
    instant = datetime.strptime(name, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
