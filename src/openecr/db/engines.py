"""Which engine a deployment's metadata is in, how it is opened and moved forward: one line an engine."""

from pathlib import Path

from openecr.data_dir import database_path, primary_path
from openecr.db import deployment
from openecr.db.connection import Connection, Database, DatabaseUnusable
from openecr.db.migrations import migrate, migrate_postgres, migrations, require_readable
from openecr.db.postgres import PostgresDatabase
from openecr.db.sqlite import SqliteConnection, SqliteDatabase, host_clock_us
from openecr.settings import Settings

_SCHEMA = "SELECT value FROM deployment WHERE name = 'schema'"


def migrate_database(settings: Settings, upto: int | None = None) -> int:
    """Bring a deployment's database to this release's schema; the number of migrations applied.

    Raises:
        DatabaseUnusable: it cannot be reached, or a newer release changed it beyond what this one can use.
    """
    if settings.database is None:
        return migrate(database_path(settings.data_dir), upto)
    return migrate_postgres(settings.database, upto)


async def open_database(settings: Settings) -> Database:
    """The database of a deployment that was migrated, with leases and due times on the clock that it stored."""
    if settings.database is None:
        return open_embedded(database_path(settings.data_dir))
    return await open_shared(settings)


async def require_schema(database: Database, settings: Settings) -> None:
    """Refuse a database that was not moved to this release's schema, or that a newer release changed beyond what this
    one can use: a command is not the server, which moves it.

    Raises:
        DatabaseUnusable
    """
    own_number = "PRAGMA user_version" if settings.database is None else _SCHEMA

    def read(db: Connection) -> tuple[int, str | None]:
        row = db.row(own_number)
        return (0 if row is None else int(row[0])), deployment.find(db, deployment.OLDEST_READER)

    made_by, oldest_reader = await database.read(read)
    known = len(migrations())
    if made_by < known:
        raise DatabaseUnusable(
            f"the database is of an older release (schema {made_by}, this one needs {known}); "
            "move it forward with: openecr migrate"
        )
    if made_by > known:
        require_readable(oldest_reader, "the database", made_by, known)


async def open_shared(settings: Settings) -> PostgresDatabase:
    """The PostgreSQL database, on its clock."""
    database = await PostgresDatabase(
        settings.database or "",
        connections=settings.database_connections,
        memory=primary_path(settings.data_dir),
    ).start()
    try:
        database.shift_clock(await database.read(deployment.clock_offset_us))
    except BaseException:
        await database.close()
        raise
    return database


def open_embedded(path: Path) -> SqliteDatabase:
    """The embedded database, on its clock.

    Raises:
        DatabaseUnusable: the deployment was moved to another database.
    """
    connection = SqliteConnection(path, read_only=False)
    try:
        moved_to = deployment.find(connection, deployment.MOVED_TO)
        offset_us = deployment.clock_offset_us(connection)
    finally:
        connection.close()
    if moved_to is not None:
        raise DatabaseUnusable(f"this deployment moved to {moved_to}; give it with --database, or OPENECR_DATABASE")
    return SqliteDatabase(path, lambda: host_clock_us() + offset_us)
