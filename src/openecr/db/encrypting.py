"""Blobs that are stored as they are, and the step that puts an encrypted object in the place of a plain one."""

from dataclasses import dataclass

from openecr.db import uploads
from openecr.db.connection import Connection

_SHA256, _AFTER_SHA256 = b"\x01", b"\x02"
"""Every blob has one digest of this algorithm (see ``Digest.stored``)."""


@dataclass(frozen=True, slots=True)
class PlainBlob:
    """A blob whose bytes are stored as they are."""

    key: int
    encryption_key: str
    object_id: str
    size_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """How many blobs are stored in one way, and their bytes."""

    cipher: str
    is_aes256: bool
    blobs: int
    size_bytes: int


def plain_blobs_after(db: Connection, after: tuple[str, int], most: int) -> list[PlainBlob]:
    """Up to ``most`` plain blobs that something holds, after a position (encryption key, key).

    What nothing holds is left to the collection of garbage; it is found here once something holds it again.
    """
    rows = db.rows(
        # CROSS: SQLite keeps the order that is written, and so reads only as far as the page goes.
        "SELECT b.id, b.encryption_key, b.object_id, b.size_bytes, d.digest FROM blob b CROSS JOIN blob_digest d"
        " WHERE d.blob_key = b.id AND d.digest >= :first AND d.digest < :end AND b.cipher = 'none'"
        " AND (b.encryption_key, b.id) > (:encryption_key, :key) AND b.unheld_us IS NULL"
        " ORDER BY b.encryption_key, b.id LIMIT :most",
        first=_SHA256,
        end=_AFTER_SHA256,
        encryption_key=after[0],
        key=after[1],
        most=most,
    )
    return [PlainBlob(*row) for row in rows]


def replace_object(
    db: Connection, blob: PlainBlob, *, object_id: str, cipher: str, data_key: bytes, old_due_us: int, now_us: int
) -> bool:
    """Put a sealed, encrypted object in the place of a blob's plain one, which is discarded later; False where the
    blob went meanwhile, or the new object is about to be deleted.

    The new object was named as discarded before its first byte, so that a job that dies leaves no orphan.
    """
    if not uploads.keep_discarded(db, object_id, now_us):
        return False
    replaced = db.run(
        "UPDATE blob SET object_id = :object_id, cipher = :cipher, data_key = :data_key,"
        " former_object_id = :former_object_id WHERE id = :key AND object_id = :former_object_id AND cipher = 'none'",
        key=blob.key,
        object_id=object_id,
        cipher=cipher,
        data_key=data_key,
        former_object_id=blob.object_id,
    )
    if not replaced:
        uploads.discard_object(db, object_id, now_us)
        return False
    uploads.discard_object(db, blob.object_id, old_due_us)
    return True


def stored(db: Connection) -> list[Stored]:
    """How many blobs are stored in which way: read by ``openecr status``."""
    rows = db.rows(
        "SELECT cipher, CASE WHEN encryption_key = 'AES256:' THEN 1 ELSE 0 END, COUNT(*), COALESCE(SUM(size_bytes), 0)"
        " FROM blob GROUP BY 1, 2"
    )
    return [Stored(row[0], bool(row[1]), int(row[2]), int(row[3])) for row in rows]
