"""``openecr migrate``: move a database forward, or an embedded deployment to PostgreSQL."""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.backup import move as moving
from openecr.backup.folder import BackupRefused
from openecr.cli import options
from openecr.db.engines import migrate_database
from openecr.processes.lock import ServeLock
from openecr.settings import Settings, SettingsError


def migrate(
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Carry the embedded database over to this empty PostgreSQL database."),
    ] = None,
    data_dir: options.DataDir = None,
    database: Annotated[str | None, typer.Option(help="The database to move forward.", metavar="URL")] = None,
    config: options.ConfigFile = None,
) -> None:
    """Move the database to this release's schema; servers of the release before may run on meanwhile."""
    settings = options.settings(config, data_dir=data_dir, database=database)
    directories.require(settings)
    if to is None:
        applied = migrate_database(settings)
        print(f"applied {applied} migrations" if applied else "the database is at this release's schema")
        return
    if settings.database is not None:
        raise SettingsError("--to carries an embedded deployment over, and this one is in PostgreSQL already")
    try:
        print(_moved(settings, replace(settings, database=to)))
    except BackupRefused as refused:
        raise options.CommandFailed(str(refused)) from None


def _moved(source: Settings, target: Settings) -> str:
    lock = ServeLock.take(source.data_dir)
    try:
        moved = asyncio.run(moving.move(source, target))
    finally:
        lock.close()
    return (
        f"carried {moved.rows} rows of {moved.tables} tables over, read both sides again, and found them equal\n"
        f"layers and the root key stay in {source.data_dir}; start with: "
        f"openecr serve --data-dir {source.data_dir} --database {target.database}"
    )
