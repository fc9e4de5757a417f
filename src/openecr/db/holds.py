"""Holds: while one is in force, no object is deleted from the blob store, whatever becomes of its row.

A hold is leased, so that a holder that was killed stops deletion for minutes, not for ever. Who reads a snapshot of the
database takes the hold first: an object that the snapshot names can only become deletable after the hold was there.
"""

from openecr.db.connection import Connection


def take(db: Connection, holder: str, lease_us: int) -> None:
    """Hold every object for a while; lapsed holds of others are forgotten."""
    now_us = db.clock_us()
    db.run("DELETE FROM object_hold WHERE until_us <= :now_us", now_us=now_us)
    db.run(
        "INSERT INTO object_hold (holder, until_us) VALUES (:holder, :until_us)",
        holder=holder,
        until_us=now_us + lease_us,
    )


def renew(db: Connection, holder: str, lease_us: int) -> bool:
    """Hold for longer; False where the hold lapsed, so that objects may be gone."""
    now_us = db.clock_us()
    return bool(
        db.run(
            "UPDATE object_hold SET until_us = :until_us WHERE holder = :holder AND until_us > :now_us",
            holder=holder,
            until_us=now_us + lease_us,
            now_us=now_us,
        )
    )


def release(db: Connection, holder: str) -> None:
    """Let objects go again."""
    db.run("DELETE FROM object_hold WHERE holder = :holder", holder=holder)


def in_force(db: Connection) -> bool:
    """Whether somebody holds the objects now."""
    return db.row("SELECT 1 FROM object_hold WHERE until_us > :now_us LIMIT 1", now_us=db.clock_us()) is not None
