"""Uploads: where each stands, who may append, and the objects left behind."""

from dataclasses import dataclass
from typing import Any

from openecr.db import holds
from openecr.db.connection import Connection, Raced
from openecr.names import RegistryName


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload's row."""

    key: int
    upload_id: str
    repository_key: int
    principal_key: int
    object_id: str
    cipher: str
    data_key: bytes | None
    """The object's data key, wrapped; None where the object is stored as it is."""
    offset_bytes: int
    sha256: bytes | None
    """Raw sha256 of the bytes so far, where it is known at this offset."""
    lease_holder: str | None
    lease_until_us: int
    touched_us: int


_COLUMNS = (
    "u.id, u.upload_id, u.repository_key, u.principal_key, u.object_id, u.cipher, u.data_key, u.offset_bytes,"
    " u.sha256_state, u.lease_holder, u.lease_until_us, u.touched_us"
)


def insert(
    db: Connection,
    *,
    upload_id: str,
    repository_key: int,
    principal_key: int,
    object_id: str,
    now_us: int,
    cipher: str = "none",
    data_key: bytes | None = None,
) -> None:
    """Name the object of a new upload, before its first byte."""
    db.run(
        "INSERT INTO upload (upload_id, repository_key, principal_key, object_id, cipher, data_key, offset_bytes,"
        " lease_until_us, created_us, touched_us) VALUES (:upload_id, :repository_key, :principal_key, :object_id,"
        " :cipher, :data_key, 0, 0, :now_us, :now_us)",
        upload_id=upload_id,
        repository_key=repository_key,
        principal_key=principal_key,
        object_id=object_id,
        cipher=cipher,
        data_key=data_key,
        now_us=now_us,
    )


_FIND = (
    f"SELECT {_COLUMNS} FROM upload u JOIN repository r ON r.id = u.repository_key"
    " JOIN registry g ON g.id = r.registry_key WHERE u.upload_id = :upload_id AND r.name = :name"
    " AND g.account_id = :account_id AND g.region = :region"
)


def find(db: Connection, registry: RegistryName, name: str, upload_id: str, *, lock: bool = False) -> Upload | None:
    """An upload of this repository; another repository's id finds nothing.

    Locked, nobody continues, completes, cancels or expires it until this transaction ends.
    """
    wanted: dict[str, Any] = {
        "upload_id": upload_id,
        "name": name,
        "account_id": registry.account_id,
        "region": registry.region,
    }
    found = db.locked_row("u", _FIND, **wanted) if lock else db.row(_FIND, **wanted)
    return None if found is None else Upload(*found)


def take_lease(
    db: Connection, upload: Upload, holder: str, until_us: int, now_us: int, *, object_id: str, kept_bytes: int
) -> bool:
    """Win the right to append; False where another won since the upload was read.

    Args:
        object_id: the upload's object, or the copy that takes its place.
        kept_bytes: the upload's offset, or less where its last bytes were lost with the server that held them.
    """
    if kept_bytes < upload.offset_bytes:
        _cut(db, upload.key, kept_bytes)
    return bool(
        db.run(
            "UPDATE upload SET lease_holder = :holder, lease_until_us = :until_us, touched_us = :now_us,"
            " object_id = :object_id, offset_bytes = :kept_bytes,"
            " sha256_state = CASE WHEN offset_bytes = :kept_bytes THEN sha256_state ELSE NULL END"
            " WHERE id = :key AND offset_bytes = :offset_bytes AND lease_until_us <= :seen",
            key=upload.key,
            holder=holder,
            until_us=until_us,
            now_us=now_us,
            object_id=object_id,
            kept_bytes=kept_bytes,
            offset_bytes=upload.offset_bytes,
            seen=upload.lease_until_us,
        )
    )


def renew_lease(db: Connection, upload_key: int, holder: str, until_us: int) -> bool:
    """Keep the lease while bytes flow; False where it was lost."""
    return bool(
        db.run(
            "UPDATE upload SET lease_until_us = :until_us WHERE id = :key AND lease_holder = :holder",
            key=upload_key,
            holder=holder,
            until_us=until_us,
        )
    )


def advance(
    db: Connection,
    upload_key: int,
    holder: str,
    *,
    offset_bytes: int,
    size_bytes: int,
    sha256: bytes | None,
    now_us: int,
) -> bool:
    """Count a segment of ``size_bytes`` at ``offset_bytes`` and let the lease go; False where the lease was lost.

    A negative size takes back bytes that were counted, and that the store could not hold after all.
    """
    kept = db.run(
        "UPDATE upload SET offset_bytes = :end_bytes, sha256_state = :sha256, lease_holder = NULL, lease_until_us = 0,"
        " touched_us = :now_us WHERE id = :key AND lease_holder = :holder AND offset_bytes = :offset_bytes",
        key=upload_key,
        holder=holder,
        offset_bytes=offset_bytes,
        end_bytes=offset_bytes + size_bytes,
        sha256=sha256,
        now_us=now_us,
    )
    if kept and size_bytes < 0:
        _cut(db, upload_key, offset_bytes + size_bytes)
    elif kept and size_bytes:
        db.run(
            "INSERT INTO upload_segment (upload_key, offset_bytes, size_bytes)"
            " VALUES (:key, :offset_bytes, :size_bytes)",
            key=upload_key,
            offset_bytes=offset_bytes,
            size_bytes=size_bytes,
        )
    return bool(kept)


def _cut(db: Connection, upload_key: int, kept_bytes: int) -> None:
    """Shorten the segments of an upload to the bytes that are left of it."""
    db.run(
        "DELETE FROM upload_segment WHERE upload_key = :key AND offset_bytes >= :kept_bytes",
        key=upload_key,
        kept_bytes=kept_bytes,
    )
    db.run(
        "UPDATE upload_segment SET size_bytes = :kept_bytes - offset_bytes WHERE upload_key = :key"
        " AND offset_bytes + size_bytes > :kept_bytes",
        key=upload_key,
        kept_bytes=kept_bytes,
    )


def has_short_segment(db: Connection, upload: Upload, least_bytes: int) -> bool:
    """Whether a segment other than the last is under the least size."""
    found = db.row(
        "SELECT 1 FROM upload_segment WHERE upload_key = :key AND size_bytes < :least_bytes"
        " AND offset_bytes + size_bytes < :end_bytes LIMIT 1",
        key=upload.key,
        least_bytes=least_bytes,
        end_bytes=upload.offset_bytes,
    )
    return found is not None


def delete(db: Connection, upload_key: int) -> None:
    """End an upload; its object is a blob's now, or was discarded.

    Raises:
        Raced: another transaction ended it meanwhile, and decided what becomes of its object.
    """
    db.run("DELETE FROM upload_segment WHERE upload_key = :key", key=upload_key)
    if not db.run("DELETE FROM upload WHERE id = :key", key=upload_key):
        raise Raced


def of_repository(db: Connection, repository_key: int, most: int) -> list[tuple[int, str]]:
    """(upload key, object id) of up to ``most`` open uploads of a repository that nobody is at, held."""
    rows = db.free_rows(
        "upload",
        "SELECT id, object_id FROM upload WHERE repository_key = :key ORDER BY id LIMIT :most",
        key=repository_key,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def untouched_since(db: Connection, before_us: int, now_us: int, most: int) -> list[tuple[int, str]]:
    """(upload key, object id) of uploads that nobody continued and nobody is writing to, held."""
    rows = db.free_rows(
        "upload",
        "SELECT id, object_id FROM upload WHERE touched_us < :before_us AND lease_until_us < :now_us"
        " ORDER BY touched_us LIMIT :most",
        before_us=before_us,
        now_us=now_us,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def discard_object(db: Connection, object_id: str, due_us: int) -> None:
    """Leave an object for the job that deletes it, once nobody can be writing to it any more."""
    db.run(
        "INSERT INTO discarded_object (object_id, due_us) VALUES (:object_id, :due_us) ON CONFLICT DO NOTHING",
        object_id=object_id,
        due_us=due_us,
    )


def keep_discarded(db: Connection, object_id: str, now_us: int) -> bool:
    """Take an object back from those to be deleted; False where it is due, and may be gone already."""
    return bool(
        db.run(
            "DELETE FROM discarded_object WHERE object_id = :object_id AND due_us > :now_us",
            object_id=object_id,
            now_us=now_us,
        )
    )


def hasten_discarded(db: Connection, object_id: str, due_us: int) -> None:
    """Let a discarded object go earlier; one that was never named is none."""
    db.run(
        "UPDATE discarded_object SET due_us = :due_us WHERE object_id = :object_id", object_id=object_id, due_us=due_us
    )


def discarded_objects(db: Connection, now_us: int, most: int) -> list[str]:
    """Objects that are due for deletion; none while somebody reads what a snapshot names."""
    if holds.in_force(db):
        return []
    rows = db.rows(
        "SELECT object_id FROM discarded_object WHERE due_us <= :now_us ORDER BY due_us LIMIT :most",
        now_us=now_us,
        most=most,
    )
    return [row[0] for row in rows]


def keep_object(db: Connection, object_id: str) -> bool:
    """Take an object back that was left for deletion; False where it is due, and may be gone."""
    return bool(
        db.run(
            "DELETE FROM discarded_object WHERE object_id = :object_id AND due_us > :now_us",
            object_id=object_id,
            now_us=db.clock_us(),
        )
    )


def forget_object(db: Connection, object_id: str) -> None:
    """A discarded object is gone from the store."""
    db.run("DELETE FROM discarded_object WHERE object_id = :object_id", object_id=object_id)
