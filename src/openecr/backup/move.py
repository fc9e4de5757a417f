"""Carry an embedded deployment over to PostgreSQL, and prove that nothing is missing. The server is stopped meanwhile.

Every row goes over with its key; then both sides are read again and compared. Only after that the embedded database is
marked as left, so that no server and no collection works on it any more; a move that was cut is run again.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from openecr.backup.folder import BackupRefused
from openecr.backup.restore import begin
from openecr.db import deployment as facts
from openecr.db import schema
from openecr.db.connection import Connection
from openecr.db.engines import migrate_database, open_database
from openecr.db.schema import Reader, Table
from openecr.db.snapshot import continue_keys, snapshot
from openecr.settings import Settings, without_secrets

_ENGINES_OWN = frozenset(("forgotten", "last_commit", "object_hold", "audit_server"))
"""Tables that only mean something to the servers of their moment."""
_MARK = "migrate --to"


@dataclass(frozen=True, slots=True)
class Moved:
    """What went over."""

    tables: int
    rows: int


async def move(source: Settings, target: Settings, settle: Callable[[Connection], None] = lambda _db: None) -> Moved:
    """Copy every row of a stopped embedded deployment into an empty database, compare, and leave the old one.

    Args:
        settle: what to change in the transaction that makes the new database complete.
    Raises:
        BackupRefused: the target is not empty, or a table differs afterwards; the old deployment is as it was.
        DatabaseUnusable: one cannot be reached, or the source was moved before.
    """
    for settings in (source, target):
        await asyncio.to_thread(migrate_database, settings)
    tables = [table for table in schema.tables() if table.name not in _ENGINES_OWN]
    await (await open_database(source)).close()  # refuses one that was moved before
    database = await open_database(target)
    rows = 0
    try:
        await database.write(partial(begin, name=_MARK))
        with snapshot(source) as reader:
            for table in tables:
                for batch in schema.walk(reader, table):
                    await database.write(partial(_insert, table=table, batch=batch))
                    rows += len(batch)
                await database.write(partial(continue_keys, settings=target, table=table))
            with snapshot(target) as written:
                for table in tables:
                    if await asyncio.to_thread(_differs, reader, written, table):
                        raise BackupRefused(
                            f"the table {table.name} did not arrive as it was; nothing was changed here"
                        )
        await database.write(partial(_complete, settle=settle))
    finally:
        await database.close()
    await _leave(source, without_secrets(target.database or ""))
    return Moved(len(tables), rows)


def _complete(db: Connection, settle: Callable[[Connection], None]) -> None:
    settle(db)
    facts.forget(db, facts.RESTORING)


async def _leave(source: Settings, where: str) -> None:
    database = await open_database(source)
    try:
        await database.write(lambda db: facts.put(db, facts.MOVED_TO, where))
    finally:
        await database.close()


def _insert(db: Connection, table: Table, batch: list[Any]) -> None:
    names = list(table.columns)
    for row in batch:
        if not facts.is_engines(table.name, row):
            schema.insert(db, table, names, dict(zip(names, row, strict=True)))


def _differs(before: Reader, after: Reader, table: Table) -> bool:
    return _fingerprint(before, table) != _fingerprint(after, table)


def _fingerprint(reader: Reader, table: Table) -> bytes:
    """Of every row in the order of the primary key, which both engines have in bytes."""
    state = hashlib.sha256()
    for batch in schema.walk(reader, table):
        for row in batch:
            if not facts.is_engines(table.name, row):
                state.update(repr(tuple(row)).encode())
    return state.digest()
