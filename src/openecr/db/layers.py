"""Blobs, their digests, and the repositories' links to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection, Raced
from openecr.names import RegistryName

_LINK_LIVES = "(l.promised_until_us > :now_us OR EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = l.id))"
"""A link ends when no manifest of the repository and no promise holds it; the row may still be there (design §6)."""
_IS_SOUND = "b.quarantined_us IS NULL"
"""A blob whose bytes are known to be damaged is as good as not there: it is served to nobody, and pushed again."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A repository's link to a blob."""

    key: int
    digest: bytes
    blob_key: int
    object_id: str
    size_bytes: int
    promised_until_us: int
    archived: int = 0
    """1 where images name it, and none of them is active."""


@dataclass(frozen=True, slots=True)
class PulledLayer:
    """What a pull of a layer needs, in one read."""

    object_id: str
    kms_key: str | None
    kms_state: str | None
    """The repository's KMS key, and its state."""
    data_key: bytes | None
    archived: int = 0
    """1 where images name the layer, and none of them is active."""

    @property
    def is_encrypted(self) -> bool:
        """Whether openecr itself encrypted the bytes, so that nobody else can serve them."""
        return self.data_key is not None


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store."""

    key: int
    object_id: str
    size_bytes: int
    encryption_key: str
    """What it is deduplicated by: the encryption type, and the KMS key's ARN where there is one."""
    data_key: bytes | None
    """The object's data key, wrapped; None where the object is stored as it is."""
    quarantined_us: int | None = None
    """Since when its bytes are known to be damaged; None where they are not."""


_IS_ARCHIVED = (
    "COALESCE((SELECT il.archived FROM image_layer il WHERE il.layer_key = l.id ORDER BY il.archived LIMIT 1), 0)"
)
_COLUMNS = f"l.id, l.digest, l.blob_key, b.object_id, b.size_bytes, l.promised_until_us, {_IS_ARCHIVED}"
_BLOB = "b.id, b.object_id, b.size_bytes, b.encryption_key, b.data_key, b.quarantined_us"
_FIND_IN_REGISTRY = (
    f"SELECT b.object_id, r.kms_key, k.state, b.data_key, {_IS_ARCHIVED}"
    " FROM registry g JOIN repository r ON r.registry_key = g.id"
    " JOIN layer l ON l.repository_key = r.id AND l.digest = :digest JOIN blob b ON b.id = l.blob_key"
    " LEFT JOIN kms_key k ON k.arn = r.kms_key"
    f" WHERE g.account_id = :account_id AND g.region = :region AND r.name = :name AND {_IS_SOUND} AND {_LINK_LIVES}"
)
_FIND = (
    f"SELECT {_COLUMNS} FROM layer l JOIN blob b ON b.id = l.blob_key"
    f" WHERE l.repository_key = :repository_key AND l.digest = :digest AND {_IS_SOUND} AND {_LINK_LIVES}"
)


def find_for_pull(db: Connection, registry: RegistryName, name: str, digest: bytes, now_us: int) -> PulledLayer | None:
    """A live link by repository name, in one statement."""
    found = db.row(
        _FIND_IN_REGISTRY,
        account_id=registry.account_id,
        region=registry.region,
        name=name,
        digest=digest,
        now_us=now_us,
    )
    return None if found is None else PulledLayer(*found)


def find(db: Connection, repository_key: int, digest: bytes, now_us: int) -> Layer | None:
    """A live link of a repository."""
    found = db.row(_FIND, repository_key=repository_key, digest=digest, now_us=now_us)
    return None if found is None else Layer(*found)


def find_blob(db: Connection, registry_key: int, encryption_key: str, digest: bytes) -> Blob | None:
    """The blob that has this digest, sound or not, in the scope within which bytes are stored once."""
    found = db.row(
        f"SELECT {_BLOB} FROM blob_digest d JOIN blob b ON b.id = d.blob_key"
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
    """The sound blob whose bytes an object holds, or held before they were encrypted: the row is the visibility."""
    found = db.row(f"SELECT {_BLOB} FROM blob b WHERE b.object_id = :object_id AND {_IS_SOUND}", object_id=object_id)
    if found is None:
        # Its bytes may have moved to another object meanwhile, encrypted.
        found = db.row(
            f"SELECT {_BLOB} FROM blob b WHERE b.former_object_id = :object_id AND {_IS_SOUND}", object_id=object_id
        )
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
    cipher: str = "none",
    data_key: bytes | None = None,
) -> Blob:
    """Make durable bytes visible under their digests, of which the sha256 comes first.

    Raises:
        Raced: another transaction made the same bytes visible meanwhile.
    """
    found = db.row(
        "INSERT INTO blob (registry_key, encryption_key, object_id, cipher, data_key, size_bytes, created_us) VALUES"
        " (:registry_key, :encryption_key, :object_id, :cipher, :data_key, :size_bytes, :now_us) RETURNING id",
        registry_key=registry_key,
        encryption_key=encryption_key,
        object_id=object_id,
        cipher=cipher,
        data_key=data_key,
        size_bytes=size_bytes,
        now_us=now_us,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    blob = Blob(int(found[0]), object_id, size_bytes, encryption_key, data_key)
    for digest in digests:
        if not add_digest(db, registry_key, encryption_key, digest, blob.key) and digest == digests[0]:
            raise Raced
    return blob


def add_digest(db: Connection, registry_key: int, encryption_key: str, digest: bytes, blob_key: int) -> bool:
    """Give a blob one more digest; False where a blob has it."""
    return bool(
        db.run(
            "INSERT INTO blob_digest (registry_key, encryption_key, digest, blob_key)"
            " VALUES (:registry_key, :encryption_key, :digest, :blob_key) ON CONFLICT DO NOTHING",
            registry_key=registry_key,
            encryption_key=encryption_key,
            digest=digest,
            blob_key=blob_key,
        )
    )


def take_place(db: Connection, damaged_key: int, sound_key: int, now_us: int) -> None:
    """Give a damaged blob's digests and holders to one with the same bytes.

    The damaged row keeps what is left of the bytes, and is nobody's any more.

    Raises:
        Raced: another transaction did so before.
    """
    keys = {"damaged": damaged_key, "sound": sound_key}
    if not db.run("UPDATE blob_digest SET blob_key = :sound WHERE blob_key = :damaged", **keys):
        raise Raced
    db.run("UPDATE layer SET blob_key = :sound WHERE blob_key = :damaged", **keys)
    db.run("UPDATE trash_layer SET blob_key = :sound WHERE blob_key = :damaged", **keys)
    db.run("UPDATE blob SET unheld_us = :now_us WHERE id = :damaged", damaged=damaged_key, now_us=now_us)


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
        " JOIN blob b ON b.id = d.blob_key JOIN repository r ON r.id = l.repository_key"
        " WHERE d.registry_key = :registry_key"
        " AND d.encryption_key = :encryption_key AND d.digest = :digest AND r.trashed_us IS NULL"
        f" AND {_IS_SOUND} AND {_LINK_LIVES} ORDER BY l.repository_key LIMIT :most",
        registry_key=registry_key,
        encryption_key=encryption_key,
        digest=digest,
        now_us=now_us,
        most=most,
    )
    return [row[0] for row in rows]


def extend_promise(db: Connection, layer_key: int, promised_until_us: int) -> bool:
    """Promise a layer for longer; False where the link ended meanwhile."""
    return bool(
        db.run(
            "UPDATE layer SET promised_until_us = CASE WHEN promised_until_us < :until THEN :until"
            " ELSE promised_until_us END WHERE id = :key",
            key=layer_key,
            until=promised_until_us,
        )
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
