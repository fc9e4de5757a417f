"""Which engine a deployment's metadata is in, and how it is opened: one line an engine."""

from pathlib import Path

from openecr.data_dir import database_path
from openecr.db import deployment
from openecr.db.connection import Database, DatabaseUnusable
from openecr.db.sqlite import SqliteConnection, SqliteDatabase, host_clock_us
from openecr.settings import Settings


async def open_database(settings: Settings) -> Database:
    """The database of a deployment that was migrated, with leases and due times on the clock that it stored."""
    if settings.database is None:
        return open_embedded(database_path(settings.data_dir))
    raise DatabaseUnusable(f"openecr has no engine for {settings.database}")


def open_embedded(path: Path) -> SqliteDatabase:
    """The embedded database, on its clock."""
    connection = SqliteConnection(path, read_only=False)
    try:
        offset_us = deployment.clock_offset_us(connection)
    finally:
        connection.close()
    return SqliteDatabase(path, lambda: host_clock_us() + offset_us)
