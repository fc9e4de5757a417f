"""Deleted repositories, images and tags: read by undelete, and by purging, and by nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from openecr.db.connection import Connection

REPOSITORY, IMAGE, TAG = "repository", "image", "tag"


@dataclass(frozen=True, slots=True)
class Trashed:
    """One deletion."""

    key: int
    kind: str
    repository_name: str
    digest: bytes | None
    tags: tuple[str, ...]
    document: dict[str, object]
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


def newest(db: Connection, registry_key: int, repository_name: str, most: int) -> list[Trashed]:
    """What was deleted from a repository, newest first."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM trash WHERE registry_key = :registry_key"
        " AND repository_name = :repository_name ORDER BY deleted_us DESC, id DESC LIMIT :most",
        registry_key=registry_key,
        repository_name=repository_name,
        most=most,
    )
    return [
        Trashed(
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
        for row in rows
    ]


def layers_of(db: Connection, trash_key: int) -> list[tuple[bytes, int, str]]:
    """(digest, blob key, media type) of what a trashed image needs, in manifest order."""
    rows = db.rows(
        "SELECT digest, blob_key, media_type FROM trash_layer WHERE trash_key = :key ORDER BY position", key=trash_key
    )
    return [(row[0], row[1], row[2]) for row in rows]


def delete(db: Connection, trash_key: int) -> None:
    """Remove a deletion that was undone, or is purged."""
    db.run("DELETE FROM trash_layer WHERE trash_key = :key", key=trash_key)
    db.run("DELETE FROM trash WHERE id = :key", key=trash_key)
