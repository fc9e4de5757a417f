"""Facts about the deployment itself, by name."""

from collections.abc import Sequence
from typing import Any

from openecr.db.connection import Connection

MOVED_TO = "moved_to"
"""Where an embedded deployment went: nothing works on what was left behind."""
MARK = "deployment_mark"
"""The name that the deployment leaves in each of its blob stores."""
_PLACE_OF = "store:"
_MARK_OF = "mark:"
CLOCK_OFFSET_US = "clock_offset_us"
CLOCK = "clock"
RESTORING = "restoring"
"""The backup that is being restored: until it is gone, the database is not all there."""
OLDEST_READER = "oldest_reader"
"""The oldest schema whose release may use the database."""
_OF_THE_ENGINE = frozenset(("schema", OLDEST_READER, RESTORING, MOVED_TO))
"""Facts of one database, not of the deployment in it: they do not go along."""


def is_engines(table_name: str, row: Sequence[Any]) -> bool:
    """Whether a row of a table, its columns in the table's order, is such a fact."""
    return table_name == "deployment" and row[0] in _OF_THE_ENGINE


def find(db: Connection, name: str) -> str | None:
    """A fact, where it was put."""
    found = db.row("SELECT value FROM deployment WHERE name = :name", name=name)
    return None if found is None else str(found[0])


def lock(db: Connection) -> None:
    """Wait until no other transaction that locks the deployment runs; held until this one ends."""
    db.locked_row("deployment", "SELECT value FROM deployment WHERE name = 'oldest_reader'")


def put(db: Connection, name: str, value: str) -> None:
    """Store a fact."""
    db.run(
        "INSERT INTO deployment (name, value) VALUES (:name, :value)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name=name,
        value=value,
    )


def mark_of(db: Connection, store: str) -> str | None:
    """The name that the deployment left in one of its blob stores: one of its own where layers were moved to it."""
    return find(db, _MARK_OF + store) or find(db, MARK)


def place_of(db: Connection, store: str) -> str | None:
    """Where a blob store was when it was checked last; None where the deployment does not know it."""
    return find(db, _PLACE_OF + store)


def was_moved(db: Connection, store: str) -> bool:
    """Whether layers were moved to where the store is now."""
    return find(db, _MARK_OF + store) is not None


def put_place(db: Connection, store: str, place: str) -> None:
    """Note where a blob store is."""
    put(db, _PLACE_OF + store, place)


def move_store(db: Connection, store: str, place: str, mark: str) -> None:
    """From now on the layers are in the store that has this mark: the one before, which lacks it, counts no more."""
    put_place(db, store, place)
    put(db, _MARK_OF + store, mark)


def clock_offset_us(db: Connection) -> int:
    """How far the rules' clock is moved; zero on an ordinary data directory."""
    return int(find(db, CLOCK_OFFSET_US) or 0)


def forget(db: Connection, name: str) -> None:
    """Remove a fact."""
    db.run("DELETE FROM deployment WHERE name = :name", name=name)
