"""Deleted repositories, images and tags: read by undelete, and by purging, and by nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from openecr.db.connection import Connection, Row

REPOSITORY, IMAGE, TAG, PURGING = "repository", "image", "tag", "purging"


@dataclass(frozen=True, slots=True)
class Trashed:
    """One deletion."""

    key: int
    kind: str
    repository_name: str
    digest: bytes | None
    tags: tuple[str, ...]
    document: dict[str, Any]
    manifest: bytes | None
    deleted_us: int
    deleted_by: str
    reason: str


def put(
    db: Connection,
    *,
    registry_key: int,
    repository_name: str,
    kind: str,
    digest: bytes | None,
    tags: Sequence[str],
    document: dict[str, object],
    manifest: bytes | None,
    layers: Iterable[tuple[int, bytes, int, str]],
    deleted_us: int,
    deleted_by: str,
    reason: str,
) -> None:
    """Keep what is being deleted: ``layers`` are (position, digest, blob key, media type)."""
    found = db.row(
        "INSERT INTO trash (registry_key, repository_name, kind, digest, tags, document, manifest, deleted_us,"
        " deleted_by, reason) VALUES (:registry_key, :repository_name, :kind, :digest, :tags, :document, :manifest,"
        " :deleted_us, :deleted_by, :reason) RETURNING id",
        registry_key=registry_key,
        repository_name=repository_name,
        kind=kind,
        digest=digest,
        tags=orjson.dumps(list(tags)).decode(),
        document=orjson.dumps(document).decode(),
        manifest=manifest,
        deleted_us=deleted_us,
        deleted_by=deleted_by,
        reason=reason,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    for position, layer_digest, blob_key, media_type in layers:
        db.run(
            "INSERT INTO trash_layer (trash_key, position, digest, blob_key, media_type)"
            " VALUES (:trash_key, :position, :digest, :blob_key, :media_type)",
            trash_key=found[0],
            position=position,
            digest=layer_digest,
            blob_key=blob_key,
            media_type=media_type,
        )


_COLUMNS = "id, kind, repository_name, digest, tags, document, manifest, deleted_us, deleted_by, reason"


def find(db: Connection, trash_key: int) -> Trashed | None:
    """One deletion that can still be undone; held, so that no purge begins before this transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM trash WHERE id = :key AND kind <> 'purging'"
    found = db.locked_row("trash", sql, against_references=True, key=trash_key)
    return None if found is None else _record(found)


def newest_repository(db: Connection, registry_key: int, repository_name: str) -> int | None:
    """The key of the last deletion of a repository of this name."""
    found = db.row(
        "SELECT id FROM trash WHERE registry_key = :registry_key AND repository_name = :repository_name"
        " AND kind = 'repository' ORDER BY deleted_us DESC, id DESC LIMIT 1",
        registry_key=registry_key,
        repository_name=repository_name,
    )
    return None if found is None else int(found[0])


def newest_image(db: Connection, registry_key: int, repository_name: str, digest: bytes) -> int | None:
    """The key of the last deletion of an image."""
    found = db.row(
        "SELECT id FROM trash WHERE registry_key = :registry_key AND repository_name = :repository_name"
        " AND digest = :digest AND kind = 'image' ORDER BY deleted_us DESC, id DESC LIMIT 1",
        registry_key=registry_key,
        repository_name=repository_name,
        digest=digest,
    )
    return None if found is None else int(found[0])


def tags_before(
    db: Connection, registry_key: int, repository_name: str, before: tuple[int, int], most: int
) -> list[tuple[int, int, tuple[str, ...]]]:
    """(instant, key, tags) of up to ``most`` deletions in a repository, newest first, before an (instant, key)."""
    rows = db.rows(
        "SELECT deleted_us, id, tags FROM trash WHERE registry_key = :registry_key"
        " AND repository_name = :repository_name AND (deleted_us, id) < (:deleted_us, :key)"
        " ORDER BY deleted_us DESC, id DESC LIMIT :most",
        registry_key=registry_key,
        repository_name=repository_name,
        deleted_us=before[0],
        key=before[1],
        most=most,
    )
    return [(row[0], row[1], tuple(orjson.loads(row[2]))) for row in rows]


def _record(row: Row) -> Trashed:
    return Trashed(
        key=row[0],
        kind=row[1],
        repository_name=row[2],
        digest=row[3],
        tags=tuple(orjson.loads(row[4])),
        document=orjson.loads(row[5]),
        manifest=row[6],
        deleted_us=row[7],
        deleted_by=row[8],
        reason=row[9],
    )


def layers_of(db: Connection, trash_key: int) -> list[tuple[bytes, int, str]]:
    """(digest, blob key, media type) of what a trashed image needs, in manifest order."""
    rows = db.rows(
        "SELECT digest, blob_key, media_type FROM trash_layer WHERE trash_key = :key ORDER BY position", key=trash_key
    )
    return [(row[0], row[1], row[2]) for row in rows]


def due(db: Connection, until_us: int, most: int) -> list[tuple[int, str, int | None]]:
    """(key, kind, repository key) of up to ``most`` deletions until an instant, the oldest first."""
    rows = db.rows(
        "SELECT id, kind, document FROM trash WHERE deleted_us <= :until_us ORDER BY deleted_us LIMIT :most",
        until_us=until_us,
        most=most,
    )
    return [(row[0], row[1], orjson.loads(row[2]).get("repositoryKey")) for row in rows]


def count_due(db: Connection, until_us: int) -> int:
    """How many deletions lie in the trash since an instant or earlier."""
    found = db.row("SELECT COUNT(*) FROM trash WHERE deleted_us <= :until_us", until_us=until_us)
    return int(found[0]) if found is not None else 0


def start_purging(db: Connection, trash_key: int) -> None:
    """Give a repository's deletion up for undoing: its rows go in several transactions."""
    db.run("UPDATE trash SET kind = 'purging' WHERE id = :key", key=trash_key)


def delete(db: Connection, trash_key: int) -> None:
    """Remove a deletion that was undone, or is purged."""
    db.run("DELETE FROM trash_layer WHERE trash_key = :key", key=trash_key)
    db.run("DELETE FROM trash WHERE id = :key", key=trash_key)
