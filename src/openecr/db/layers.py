"""Blobs, their digests, and the repositories' links to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection
from openecr.names import RegistryName

_LINK_LIVES = "(l.promised_until_us > :now_us OR EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = l.id))"
"""A link ends when no manifest of the repository and no promise holds it; the row may still be there (design §6)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A repository's link to a blob."""

    key: int
    digest: bytes
    blob_key: int
    object_id: str
    size_bytes: int
    promised_until_us: int
    cipher: str
    """How openecr itself encrypted the bytes; ``none`` where the store holds what clients must get."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store."""

    key: int
    object_id: str
    size_bytes: int


_COLUMNS = "l.id, l.digest, l.blob_key, b.object_id, b.size_bytes, l.promised_until_us, b.cipher"
_FIND_IN_REGISTRY = (
    f"SELECT {_COLUMNS} FROM registry g JOIN repository r ON r.registry_key = g.id"
    " JOIN layer l ON l.repository_key = r.id AND l.digest = :digest JOIN blob b ON b.id = l.blob_key"
    f" WHERE g.account_id = :account_id AND g.region = :region AND r.name = :name AND {_LINK_LIVES}"
)
_FIND = (
    f"SELECT {_COLUMNS} FROM layer l JOIN blob b ON b.id = l.blob_key"
    f" WHERE l.repository_key = :repository_key AND l.digest = :digest AND {_LINK_LIVES}"
)


def find_for_pull(db: Connection, registry: RegistryName, name: str, digest: bytes, now_us: int) -> Layer | None:
    """A live link by repository name, in one statement."""
    found = db.row(
        _FIND_IN_REGISTRY,
        account_id=registry.account_id,
        region=registry.region,
        name=name,
        digest=digest,
        now_us=now_us,
    )
    return None if found is None else Layer(*found)


def find(db: Connection, repository_key: int, digest: bytes, now_us: int) -> Layer | None:
    """A live link of a repository."""
    found = db.row(_FIND, repository_key=repository_key, digest=digest, now_us=now_us)
    return None if found is None else Layer(*found)


def find_blob(db: Connection, registry_key: int, encryption_key: str, digest: bytes) -> Blob | None:
    """The blob that has this digest, in the scope within which bytes are stored once."""
    found = db.row(
        "SELECT b.id, b.object_id, b.size_bytes FROM blob_digest d JOIN blob b ON b.id = d.blob_key"
        " WHERE d.registry_key = :registry_key AND d.encryption_key = :encryption_key AND d.digest = :digest",
        registry_key=registry_key,
        encryption_key=encryption_key,
        digest=digest,
    )
    return None if found is None else Blob(*found)


def scope_of(db: Connection, blob_key: int) -> tuple[int, str]:
    """(registry key, encryption key) of a blob: the scope within which repositories may link it."""
    found = db.row("SELECT registry_key, encryption_key FROM blob WHERE id = :key", key=blob_key)
    assert found is not None  # noqa: S101 - whoever names a blob holds it by a foreign key
    return int(found[0]), str(found[1])


def find_object(db: Connection, object_id: str) -> Blob | None:
    """The blob whose bytes an object holds: the row is the visibility."""
    found = db.row("SELECT id, object_id, size_bytes FROM blob WHERE object_id = :object_id", object_id=object_id)
    return None if found is None else Blob(*found)


def insert_blob(
    db: Connection,
    *,
    registry_key: int,
    encryption_key: str,
    object_id: str,
    size_bytes: int,
    digests: Sequence[bytes],
    now_us: int,
) -> Blob:
    """Make durable bytes visible under their digests."""
    found = db.row(
        "INSERT INTO blob (registry_key, encryption_key, object_id, cipher, size_bytes, created_us)"
        " VALUES (:registry_key, :encryption_key, :object_id, 'none', :size_bytes, :now_us) RETURNING id",
        registry_key=registry_key,
        encryption_key=encryption_key,
        object_id=object_id,
        size_bytes=size_bytes,
        now_us=now_us,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    blob = Blob(int(found[0]), object_id, size_bytes)
    for digest in digests:
        add_digest(db, registry_key, encryption_key, digest, blob.key)
    return blob


def add_digest(db: Connection, registry_key: int, encryption_key: str, digest: bytes, blob_key: int) -> None:
    """Give a blob one more digest; one it has is no error."""
    db.run(
        "INSERT INTO blob_digest (registry_key, encryption_key, digest, blob_key)"
        " VALUES (:registry_key, :encryption_key, :digest, :blob_key) ON CONFLICT DO NOTHING",
        registry_key=registry_key,
        encryption_key=encryption_key,
        digest=digest,
        blob_key=blob_key,
    )


def link(
    db: Connection, repository_key: int, digest: bytes, blob_key: int, *, promised_until_us: int, now_us: int
) -> int:
    """Link a blob into a repository, or make the link's promise longer; the link's key."""
    found = db.row(
        "INSERT INTO layer (repository_key, digest, blob_key, promised_until_us, linked_us)"
        " VALUES (:repository_key, :digest, :blob_key, :promised_until_us, :now_us)"
        " ON CONFLICT (repository_key, digest) DO UPDATE SET promised_until_us ="
        " CASE WHEN layer.promised_until_us > excluded.promised_until_us THEN layer.promised_until_us"
        " ELSE excluded.promised_until_us END RETURNING id",
        repository_key=repository_key,
        digest=digest,
        blob_key=blob_key,
        promised_until_us=promised_until_us,
        now_us=now_us,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    db.run("UPDATE blob SET unheld_us = NULL WHERE id = :blob_key AND unheld_us IS NOT NULL", blob_key=blob_key)
    return int(found[0])


def holders(db: Connection, registry_key: int, encryption_key: str, digest: bytes, now_us: int, most: int) -> list[str]:
    """Names of up to ``most`` repositories that hold a live link to this digest under this encryption, oldest first."""
    rows = db.rows(
        "SELECT r.name FROM blob_digest d JOIN layer l ON l.blob_key = d.blob_key AND l.digest = :digest"
        " JOIN repository r ON r.id = l.repository_key WHERE d.registry_key = :registry_key"
        " AND d.encryption_key = :encryption_key AND d.digest = :digest AND r.trashed_us IS NULL"
        f" AND {_LINK_LIVES} ORDER BY l.repository_key LIMIT :most",
        registry_key=registry_key,
        encryption_key=encryption_key,
        digest=digest,
        now_us=now_us,
        most=most,
    )
    return [row[0] for row in rows]


def extend_promise(db: Connection, layer_key: int, promised_until_us: int) -> None:
    """Promise a layer for longer."""
    db.run(
        "UPDATE layer SET promised_until_us = :until WHERE id = :key AND promised_until_us < :until",
        key=layer_key,
        until=promised_until_us,
    )


def media_type(db: Connection, layer_key: int) -> str | None:
    """The media type under which a manifest names the layer."""
    found = db.row("SELECT media_type FROM image_layer WHERE layer_key = :key LIMIT 1", key=layer_key)
    return None if found is None else str(found[0])


def of_image(db: Connection, image_key: int) -> list[tuple[int, bytes, int, str]]:
    """(position, digest, blob key, media type) of what an image needs, in manifest order."""
    rows = db.rows(
        "SELECT il.position, l.digest, l.blob_key, il.media_type FROM image_layer il"
        " JOIN layer l ON l.id = il.layer_key"
        " WHERE il.image_key = :key ORDER BY il.position",
        key=image_key,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
