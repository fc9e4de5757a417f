"""The audit trail's rows: sealed segments, records of changes that are not sealed yet, and the machines that record."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection

NEWEST = (2**62, 2**62)
"""Before every position."""
_COLUMNS = "id, name, object_id, data_key, size_bytes, records, first_us, last_us"


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment: an object of compressed lines."""

    key: int
    name: str
    object_id: str
    data_key: bytes | None
    size_bytes: int
    records: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Recorder:
    """A machine that records."""

    server: str
    host: str
    sealed_us: int
    """What it recorded before this is sealed."""
    seen_us: int


def note_write(db: Connection, event_us: int, record: bytes) -> None:
    """Record a change in its own transaction."""
    db.run("INSERT INTO audit_write (event_us, record) VALUES (:event_us, :record)", event_us=event_us, record=record)


def writes_after(db: Connection, after: int, most: int) -> list[tuple[int, int, bytes]]:
    """(key, instant, record) of changes in the order that they were recorded in, after a key."""
    rows = db.rows(
        "SELECT id, event_us, record FROM audit_write WHERE id > :after ORDER BY id LIMIT :most",
        after=after,
        most=most,
    )
    return [(row[0], row[1], bytes(row[2])) for row in rows]


def forget_writes(db: Connection, keys: Sequence[int]) -> int:
    """Remove records that are sealed; how many."""
    return sum(db.run("DELETE FROM audit_write WHERE id = :id", id=key) for key in keys)


def writes_before(db: Connection, before: tuple[int, int], since_us: int, most: int) -> list[tuple[int, int, bytes]]:
    """(key, instant, record) of changes before a position (instant, key), the newest first."""
    rows = db.rows(
        "SELECT id, event_us, record FROM audit_write WHERE (event_us, id) < (:event_us, :id) AND event_us >= :since_us"
        " ORDER BY event_us DESC, id DESC LIMIT :most",
        event_us=before[0],
        id=before[1],
        since_us=since_us,
        most=most,
    )
    return [(row[0], row[1], bytes(row[2])) for row in rows]


def is_sealed(db: Connection, name: str) -> bool:
    """Whether a file was sealed."""
    return db.row("SELECT 1 FROM audit_segment WHERE name = :name", name=name) is not None


def insert_segment(
    db: Connection,
    *,
    name: str,
    object_id: str,
    data_key: bytes | None,
    size_bytes: int,
    records: int,
    first_us: int,
    last_us: int,
) -> bool:
    """Name a sealed segment; False where the file was sealed meanwhile."""
    return bool(
        db.run(
            "INSERT INTO audit_segment (name, object_id, data_key, size_bytes, records, first_us, last_us)"
            " VALUES (:name, :object_id, :data_key, :size_bytes, :records, :first_us, :last_us)"
            " ON CONFLICT (name) DO NOTHING",
            name=name,
            object_id=object_id,
            data_key=data_key,
            size_bytes=size_bytes,
            records=records,
            first_us=first_us,
            last_us=last_us,
        )
    )


def segments_before(db: Connection, before: tuple[int, int], since_us: int, most: int) -> list[Segment]:
    """Sealed segments before a position (last instant, key) that reach past an instant, those that end last first."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM audit_segment WHERE (last_us, id) < (:last_us, :id) AND last_us >= :since_us"
        " ORDER BY last_us DESC, id DESC LIMIT :most",
        last_us=before[0],
        id=before[1],
        since_us=since_us,
        most=most,
    )
    return [Segment(*row) for row in rows]


def segments_ended(db: Connection, before_us: int, most: int) -> list[Segment]:
    """Sealed segments all of whose records are older than an instant, the oldest first."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM audit_segment WHERE last_us < :before_us ORDER BY last_us, id LIMIT :most",
        before_us=before_us,
        most=most,
    )
    return [Segment(*row) for row in rows]


def segments_after(db: Connection, after: int, most: int) -> list[Segment]:
    """Sealed segments by key, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM audit_segment WHERE id > :after ORDER BY id LIMIT :most", after=after, most=most
    )
    return [Segment(*row) for row in rows]


def delete_segment(db: Connection, key: int) -> bool:
    """Remove a segment's row; False where it is gone."""
    return bool(db.run("DELETE FROM audit_segment WHERE id = :id", id=key))


def note_recorder(db: Connection, recorder: Recorder) -> None:
    """Remember until when a machine has sealed what it recorded."""
    db.run(
        "INSERT INTO audit_server (server, host, sealed_us, seen_us) VALUES (:server, :host, :sealed_us, :seen_us)"
        " ON CONFLICT (server) DO UPDATE SET host = excluded.host, sealed_us = excluded.sealed_us,"
        " seen_us = excluded.seen_us",
        server=recorder.server,
        host=recorder.host,
        sealed_us=recorder.sealed_us,
        seen_us=recorder.seen_us,
    )


def recorders_after(db: Connection, server: str, most: int) -> list[Recorder]:
    """The machines that record, by name, after one."""
    rows = db.rows(
        "SELECT server, host, sealed_us, seen_us FROM audit_server WHERE server > :server ORDER BY server LIMIT :most",
        server=server,
        most=most,
    )
    return [Recorder(*row) for row in rows]


def forget_recorders(db: Connection, seen_before_us: int) -> int:
    """Forget the machines that were last seen before an instant; how many."""
    return db.run("DELETE FROM audit_server WHERE seen_us < :us", us=seen_before_us)
