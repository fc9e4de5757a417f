"""What nothing holds any more: links that lapsed, trash past its days, blobs without a holder.

A link lives while a manifest of its repository or a promise holds it; a blob while a link or the trash does. Each
statement that removes something asks again, in its own transaction, whether it is still held.
"""

from dataclasses import dataclass

from openecr.db import inventories, uploads
from openecr.db.connection import Connection

_LAPSED = (
    " AND promised_until_us <= :now_us AND NOT EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = layer.id)"
)
_UNHELD = (
    " AND NOT EXISTS (SELECT 1 FROM layer l WHERE l.blob_key = blob.id)"
    " AND NOT EXISTS (SELECT 1 FROM trash_layer t WHERE t.blob_key = blob.id)"
)
_MAY_GO = " AND (quarantined_us IS NULL OR damage = 'missing')"
"""What is left of damaged bytes stays until the operator lets it go."""


@dataclass(frozen=True, slots=True)
class Promised:
    """A link whose promise ended, and whether a manifest holds it."""

    promised_until_us: int
    layer_key: int
    blob_key: int
    is_named: bool


def promises_ended(db: Connection, after: tuple[int, int], now_us: int, most: int) -> list[Promised]:
    """Up to ``most`` links whose promise ended, in the order it did, after a position (promised_until_us, key)."""
    rows = db.rows(
        "SELECT l.promised_until_us, l.id, l.blob_key,"
        " EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = l.id) FROM layer l"
        " WHERE (l.promised_until_us, l.id) > (:until_us, :key) AND l.promised_until_us <= :now_us"
        " ORDER BY l.promised_until_us, l.id LIMIT :most",
        until_us=after[0],
        key=after[1],
        now_us=now_us,
        most=most,
    )
    return [Promised(row[0], row[1], row[2], bool(row[3])) for row in rows]


def end_link(db: Connection, layer_key: int, blob_key: int, now_us: int) -> bool:
    """End a lapsed link; False where a manifest or a promise holds it meanwhile."""
    ended = db.run(f"DELETE FROM layer WHERE id = :key{_LAPSED}", key=layer_key, now_us=now_us)
    if ended:
        note_unheld(db, blob_key, now_us)
    return bool(ended)


def note_unheld(db: Connection, blob_key: int, now_us: int) -> None:
    """Remember since when nothing holds a blob, if nothing does: called where a holder of it just went.

    The row is held first: of two transactions that end the last two holders at once, the second sees the first's end.
    """
    db.locked_row("blob", "SELECT id FROM blob WHERE id = :key", key=blob_key)
    db.run(f"UPDATE blob SET unheld_us = :now_us WHERE id = :key{_UNHELD}", key=blob_key, now_us=now_us)


def prune_notes(db: Connection, before_us: int) -> None:
    """Drop what servers on a shared database left for each other, and every one has read long ago."""
    db.run("DELETE FROM forgotten WHERE forgotten_us < :before_us", before_us=before_us)
    db.run("DELETE FROM last_commit WHERE committed_us < :before_us", before_us=before_us)


def unheld_blobs(db: Connection, until_us: int, most: int) -> list[int]:
    """Keys of up to ``most`` blobs that nothing has held since ``until_us`` or earlier."""
    rows = db.rows(
        f"SELECT id FROM blob WHERE unheld_us <= :until_us{_MAY_GO} ORDER BY unheld_us LIMIT :most",
        until_us=until_us,
        most=most,
    )
    return [row[0] for row in rows]


def condemn(db: Connection, blob_key: int, until_us: int, now_us: int) -> int | None:
    """Turn an unheld blob's row into its object's tombstone; the bytes given back, None where something holds it.

    The row is held against new links first, so that what the next statement sees is still so when it goes.
    """
    db.locked_row("blob", "SELECT id FROM blob WHERE id = :key", against_references=True, key=blob_key)
    found = db.row(
        f"SELECT object_id, size_bytes FROM blob WHERE id = :key AND unheld_us <= :until_us{_MAY_GO}{_UNHELD}",
        key=blob_key,
        until_us=until_us,
    )
    if found is None:
        db.run("UPDATE blob SET unheld_us = NULL WHERE id = :key", key=blob_key)
        return None
    inventories.forget_layer(db, blob_key)
    db.run("DELETE FROM blob_digest WHERE blob_key = :key", key=blob_key)
    db.run("DELETE FROM blob WHERE id = :key", key=blob_key)
    uploads.discard_object(db, found[0], now_us)
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Weight:
    """How many blobs, and their bytes."""

    blobs: int
    size_bytes: int


def weigh_unheld(db: Connection, until_us: int) -> Weight:
    """What nothing has held since ``until_us`` or earlier."""
    found = db.row(
        f"SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM blob WHERE unheld_us <= :until_us{_MAY_GO}",
        until_us=until_us,
    )
    return Weight(*found) if found is not None else Weight(0, 0)
