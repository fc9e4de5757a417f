"""Repositories and their resource tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openecr.db import images
from openecr.db.connection import Connection, Row
from openecr.names import RegistryName


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository's row."""

    key: int
    registry_key: int
    registry: RegistryName
    name: str
    created_us: int
    tag_mutability: str
    mutability_filters: str
    scan_on_push: bool
    encryption_type: str
    kms_key: str | None
    """The full ARN of the KMS key that its layers are encrypted under; None with AES256."""
    kms_state: str | None
    """That key's state; None where there is no such key (any more)."""

    @property
    def encryption_key(self) -> str:
        """What deduplication is scoped to: blobs under different keys are never shared."""
        return f"{self.encryption_type}:{self.kms_key or ''}"


_COLUMNS = (
    "r.id, r.registry_key, g.account_id, g.region, r.name, r.created_us, r.tag_mutability, r.mutability_filters,"
    " r.scan_on_push, r.encryption_type, r.kms_key, k.state"
)
_TABLES = "registry g JOIN repository r ON r.registry_key = g.id LEFT JOIN kms_key k ON k.arn = r.kms_key"
_FIND = (
    f"SELECT {_COLUMNS} FROM {_TABLES}"
    " WHERE g.account_id = :account_id AND g.region = :region AND r.name = :name AND r.trashed_us IS NULL"
)
_BY_KEY = f"SELECT {_COLUMNS} FROM {_TABLES} WHERE r.id = :key AND r.trashed_us IS NULL"
_LIST = (
    f"SELECT {_COLUMNS} FROM {_TABLES}"
    " WHERE g.account_id = :account_id AND g.region = :region AND r.name > :after"
    " AND r.trashed_us IS NULL ORDER BY r.name LIMIT :most"
)


def find(db: Connection, registry: RegistryName, name: str, *, lock: bool = False) -> Repository | None:
    """The repository of this name; locked, no other decision that locks it runs until this transaction ends."""
    wanted: dict[str, Any] = {"account_id": registry.account_id, "region": registry.region, "name": name}
    found = db.locked_row("r", _FIND, **wanted) if lock else db.row(_FIND, **wanted)
    return None if found is None else _record(found)


def find_by_key(db: Connection, key: int, *, lock: bool = False) -> Repository | None:
    """The repository of a key, unless it is in the trash; locked as ``find`` does."""
    found = db.locked_row("r", _BY_KEY, key=key) if lock else db.row(_BY_KEY, key=key)
    return None if found is None else _record(found)


def list_after(db: Connection, registry: RegistryName, after: str, most: int) -> list[Repository]:
    """Up to ``most`` repositories by name, after a name."""
    rows = db.rows(_LIST, account_id=registry.account_id, region=registry.region, after=after, most=most)
    return [_record(row) for row in rows]


def insert(
    db: Connection,
    *,
    registry_key: int,
    name: str,
    now_us: int,
    tag_mutability: str,
    mutability_filters: str,
    scan_on_push: bool,
    encryption_type: str,
    kms_key: str | None,
) -> bool:
    """Make a repository; False where the name is taken, whoever races."""
    return bool(
        db.run(
            "INSERT INTO repository (registry_key, name, created_us, tag_mutability, mutability_filters, scan_on_push,"
            " encryption_type, kms_key) VALUES (:registry_key, :name, :now_us, :tag_mutability, :mutability_filters,"
            " :scan_on_push, :encryption_type, :kms_key) ON CONFLICT (registry_key, name) DO NOTHING",
            registry_key=registry_key,
            name=name,
            now_us=now_us,
            tag_mutability=tag_mutability,
            mutability_filters=mutability_filters,
            scan_on_push=int(scan_on_push),
            encryption_type=encryption_type,
            kms_key=kms_key,
        )
    )


@dataclass(frozen=True, slots=True)
class UnmadeKey:
    """A KMS key that repositories of a registry name, and that was never made."""

    registry_key: int
    account_id: str
    region: str
    arn: str


def unmade_kms_keys(db: Connection) -> list[UnmadeKey]:
    """The KMS keys that were named before there was a KMS; read once a deployment."""
    rows = db.rows(
        "SELECT DISTINCT g.id, g.account_id, g.region, r.kms_key FROM repository r JOIN registry g"
        " ON g.id = r.registry_key WHERE r.kms_key IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM kms_key k WHERE k.arn = r.kms_key)"
    )
    return [UnmadeKey(*row) for row in rows]


def replace_kms_key(db: Connection, registry_key: int, old_arn: str, new_arn: str) -> None:
    """Let a registry's repositories, and the blobs that they share, name another key."""
    db.run(
        "UPDATE repository SET kms_key = :new_arn WHERE registry_key = :registry_key AND kms_key = :old_arn",
        registry_key=registry_key,
        old_arn=old_arn,
        new_arn=new_arn,
    )
    for kind in ("KMS", "KMS_DSSE"):
        for table in ("blob", "blob_digest"):
            db.run(
                f"UPDATE {table} SET encryption_key = :new WHERE registry_key = :registry_key"
                " AND encryption_key = :old",
                registry_key=registry_key,
                old=f"{kind}:{old_arn}",
                new=f"{kind}:{new_arn}",
            )


def policy(db: Connection, key: int) -> str | None:
    """The policy of a repository, as it is stored."""
    found = db.row("SELECT policy FROM repository WHERE id = :key", key=key)
    return None if found is None else found[0]


def set_policy(db: Connection, key: int, text: str | None) -> None:
    """Replace the policy; whoever does forgets what is kept of the repository."""
    db.run("UPDATE repository SET policy = :text WHERE id = :key", key=key, text=text)


def set_mutability(db: Connection, key: int, tag_mutability: str, mutability_filters: str) -> None:
    """Replace the tag mutability and its exclusion filters."""
    db.run(
        "UPDATE repository SET tag_mutability = :tag_mutability, mutability_filters = :mutability_filters"
        " WHERE id = :key",
        key=key,
        tag_mutability=tag_mutability,
        mutability_filters=mutability_filters,
    )


def set_scan_on_push(db: Connection, key: int, scan_on_push: bool) -> None:
    """Replace the repository's own scan-on-push flag."""
    db.run("UPDATE repository SET scan_on_push = :on WHERE id = :key", key=key, on=int(scan_on_push))


def move_to_trash(db: Connection, key: int, now_us: int) -> None:
    """Hide a repository with all that it holds, in one row: ``#`` is in no name that a client can spell."""
    db.run(
        "UPDATE repository SET name = name || '#' || id, trashed_us = :now_us WHERE id = :key", key=key, now_us=now_us
    )


def purge_images(db: Connection, key: int, most: int) -> int:
    """Remove up to ``most`` images of a trashed repository with all their references, in any order; how many."""
    found = [
        row[0] for row in db.rows("SELECT id FROM image WHERE repository_key = :key LIMIT :most", key=key, most=most)
    ]
    for image_key in found:
        db.run("DELETE FROM image_child WHERE child_key = :image_key", image_key=image_key)
        images.delete(db, image_key)
    return len(found)


def purge_links(db: Connection, key: int, most: int) -> list[int]:
    """Remove up to ``most`` links of a trashed repository that has no images any more; the blobs they held."""
    found = db.rows("SELECT id, blob_key FROM layer WHERE repository_key = :key LIMIT :most", key=key, most=most)
    for layer_key, _ in found:
        db.run("DELETE FROM layer WHERE id = :layer_key", layer_key=layer_key)
    return [row[1] for row in found]


def purge(db: Connection, key: int) -> None:
    """Remove a trashed repository that holds nothing any more."""
    db.run("DELETE FROM resource_tag WHERE repository_key = :key", key=key)
    db.run("DELETE FROM repository WHERE id = :key AND trashed_us IS NOT NULL", key=key)


def is_trashed(db: Connection, key: int) -> bool:
    """Whether a repository lies in the trash."""
    return db.row("SELECT 1 FROM repository WHERE id = :key AND trashed_us IS NOT NULL", key=key) is not None


def restore(db: Connection, key: int, name: str) -> bool:
    """Take a repository out of the trash under its name; False where the name is taken meanwhile."""
    taken = db.row(
        "SELECT 1 FROM repository WHERE name = :name AND registry_key ="
        " (SELECT registry_key FROM repository WHERE id = :key)",
        name=name,
        key=key,
    )
    if taken is not None:
        return False
    return bool(db.run("UPDATE repository SET name = :name, trashed_us = NULL WHERE id = :key", key=key, name=name))


def resource_tags(db: Connection, key: int) -> list[tuple[str, str]]:
    """(key, value) of every resource tag, in the order they were first given."""
    rows = db.rows(
        "SELECT tag_key, tag_value FROM resource_tag WHERE repository_key = :key ORDER BY position, tag_key", key=key
    )
    return [(row[0], row[1]) for row in rows]


def put_resource_tags(db: Connection, key: int, tags: Sequence[tuple[str, str]]) -> None:
    """Add tags, or overwrite the values of those whose key is there."""
    for position, (tag_key, tag_value) in enumerate(tags):
        db.run(
            "INSERT INTO resource_tag (repository_key, tag_key, tag_value, position) VALUES (:key, :tag_key,"
            " :tag_value, (SELECT COALESCE(MAX(position), 0) + 1 FROM resource_tag WHERE repository_key = :key)"
            " + :position) ON CONFLICT (repository_key, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
            key=key,
            tag_key=tag_key,
            tag_value=tag_value,
            position=position,
        )


def delete_resource_tags(db: Connection, key: int, tag_keys: Sequence[str]) -> None:
    """Remove tags by key; one that is not there is no error."""
    for tag_key in tag_keys:
        db.run("DELETE FROM resource_tag WHERE repository_key = :key AND tag_key = :tag_key", key=key, tag_key=tag_key)


def _record(row: Row) -> Repository:
    return Repository(
        key=row[0],
        registry_key=row[1],
        registry=RegistryName(row[2], row[3]),
        name=row[4],
        created_us=row[5],
        tag_mutability=row[6],
        mutability_filters=row[7],
        scan_on_push=bool(row[8]),
        encryption_type=row[9],
        kms_key=row[10],
        kms_state=row[11],
    )
