"""Storage quotas, and what the service quotas count.

What is used is known without a row that every push writes: a job measures (``used_bytes``, up to the key ``position``),
and whoever asks adds what has a larger key, in bounded time because the job comes back every minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection, Row
from openecr.names import RegistryName


@dataclass(frozen=True, slots=True)
class Quota:
    """A storage quota and what was last measured."""

    account_id: str
    region: str
    """Empty: the whole account."""
    repository_name: str
    """Empty: the whole registry, or account."""
    limit_bytes: int
    used_bytes: int
    position: int
    measured_us: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        where = f"{self.account_id}.{self.region}" if self.region else self.account_id
        return f"{where}/{self.repository_name}" if self.repository_name else where


_COLUMNS = "account_id, region, repository_name, limit_bytes, used_bytes, position, measured_us"
_NAMED = " WHERE account_id = :account_id AND region = :region AND repository_name = :repository_name"
_LINK_LIVES = "({0}.promised_until_us > :now_us OR EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = {0}.id))"


def put(db: Connection, account_id: str, region: str, repository_name: str, limit_bytes: int) -> None:
    """Set a limit; what was measured under an earlier one stays."""
    db.run(
        f"INSERT INTO storage_quota ({_COLUMNS}) VALUES (:account_id, :region, :repository_name, :limit_bytes, 0, 0, 0)"
        " ON CONFLICT (account_id, region, repository_name) DO UPDATE SET limit_bytes = excluded.limit_bytes",
        account_id=account_id,
        region=region,
        repository_name=repository_name,
        limit_bytes=limit_bytes,
    )


def find(db: Connection, account_id: str, region: str, repository_name: str) -> Quota | None:
    """One quota."""
    found = db.row(
        f"SELECT {_COLUMNS} FROM storage_quota{_NAMED}",
        account_id=account_id,
        region=region,
        repository_name=repository_name,
    )
    return None if found is None else _record(found)


def delete(db: Connection, account_id: str, region: str, repository_name: str) -> bool:
    """Lift a quota; False where there was none."""
    return bool(
        db.run(
            f"DELETE FROM storage_quota{_NAMED}", account_id=account_id, region=region, repository_name=repository_name
        )
    )


def list_after(db: Connection, after: tuple[str, str, str], most: int) -> list[Quota]:
    """Up to ``most`` quotas by account, region and repository, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM storage_quota WHERE (account_id, region, repository_name)"
        " > (:account_id, :region, :repository_name) ORDER BY account_id, region, repository_name LIMIT :most",
        account_id=after[0],
        region=after[1],
        repository_name=after[2],
        most=most,
    )
    return [_record(row) for row in rows]


def applying(db: Connection, registry: RegistryName, repository_name: str) -> Sequence[Quota]:
    """The quotas that a push into a repository must keep, in one statement: its own, its registry's, its account's."""
    select = f"SELECT {_COLUMNS} FROM storage_quota WHERE account_id = :account_id"
    rows = db.rows(
        f"{select} AND region = :region AND repository_name = :repository_name"
        f" UNION ALL {select} AND region = :region AND repository_name = ''"
        f" UNION ALL {select} AND region = '' AND repository_name = ''",
        account_id=registry.account_id,
        region=registry.region,
        repository_name=repository_name,
    )
    return [_record(row) for row in rows]


def note_measured(db: Connection, quota: Quota, used_bytes: int, position: int, now_us: int) -> None:
    """Write down what a quota's scope held, counting the rows up to a key."""
    db.run(
        "UPDATE storage_quota SET used_bytes = :used_bytes, position = :position, measured_us = :now_us" + _NAMED,
        used_bytes=used_bytes,
        position=position,
        now_us=now_us,
        account_id=quota.account_id,
        region=quota.region,
        repository_name=quota.repository_name,
    )


def linked_since(db: Connection, repository_key: int, position: int) -> int:
    """Bytes of what a repository was given since a measurement, each blob once."""
    found = db.row(
        "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blob WHERE id IN"
        " (SELECT blob_key FROM layer WHERE repository_key = :repository_key AND id > :position)",
        repository_key=repository_key,
        position=position,
    )
    return int(found[0]) if found is not None else 0


def stored_since(db: Connection, registry_key: int, position: int) -> int:
    """Bytes that a registry stored since a measurement."""
    found = db.row(
        "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blob WHERE registry_key = :registry_key"
        " AND id > :position",
        registry_key=registry_key,
        position=position,
    )
    return int(found[0]) if found is not None else 0


def registries_of(db: Connection, account_id: str, region: str | None) -> list[int]:
    """Keys of an account's registries: one where a region is named, else every one."""
    if region is not None:
        rows = db.rows(
            "SELECT id FROM registry WHERE account_id = :account_id AND region = :region",
            account_id=account_id,
            region=region,
        )
    else:
        rows = db.rows("SELECT id FROM registry WHERE account_id = :account_id", account_id=account_id)
    return [row[0] for row in rows]


def last_blob(db: Connection) -> int:
    """The largest key of a blob."""
    found = db.row("SELECT MAX(id) FROM blob")
    return int(found[0] or 0) if found is not None else 0


def last_link(db: Connection) -> int:
    """The largest key of a link."""
    found = db.row("SELECT MAX(id) FROM layer")
    return int(found[0] or 0) if found is not None else 0


def weigh_links(
    db: Connection, repository_key: int, after: int, until: int, now_us: int, most: int
) -> list[tuple[int, int]]:
    """(link's key, bytes) of up to ``most`` links of a repository by key, each blob counted at its first live link."""
    rows = db.rows(
        f"SELECT l.id, CASE WHEN {_LINK_LIVES.format('l')} AND NOT EXISTS (SELECT 1 FROM blob_digest d"
        " JOIN layer o ON o.repository_key = l.repository_key AND o.digest = d.digest"
        f" WHERE d.blob_key = l.blob_key AND o.id < l.id AND {_LINK_LIVES.format('o')})"
        " THEN b.size_bytes ELSE 0 END FROM layer l JOIN blob b ON b.id = l.blob_key"
        " WHERE l.repository_key = :repository_key AND l.id > :after AND l.id <= :until ORDER BY l.id LIMIT :most",
        repository_key=repository_key,
        after=after,
        until=until,
        now_us=now_us,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def weigh_blobs(
    db: Connection, registry_key: int, after: int, until: int, now_us: int, most: int
) -> list[tuple[int, int]]:
    """(blob's key, bytes) of up to ``most`` blobs of a registry by key; what no live link holds weighs nothing."""
    rows = db.rows(
        "SELECT b.id, CASE WHEN EXISTS (SELECT 1 FROM layer l JOIN repository r ON r.id = l.repository_key"
        f" WHERE l.blob_key = b.id AND r.trashed_us IS NULL AND {_LINK_LIVES.format('l')})"
        " THEN b.size_bytes ELSE 0 END FROM blob b"
        " WHERE b.registry_key = :registry_key AND b.id > :after AND b.id <= :until ORDER BY b.id LIMIT :most",
        registry_key=registry_key,
        after=after,
        until=until,
        now_us=now_us,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def has_repositories(db: Connection, registry_key: int, count: int) -> bool:
    """Whether a registry has so many repositories; those in the trash do not count."""
    found = db.row(
        "SELECT COUNT(*) FROM (SELECT 1 FROM repository WHERE registry_key = :registry_key AND trashed_us IS NULL"
        " LIMIT :count) AS counted",
        registry_key=registry_key,
        count=count,
    )
    return found is not None and int(found[0]) >= count


def has_images(db: Connection, repository_key: int, count: int) -> bool:
    """Whether a repository has so many images."""
    found = db.row(
        "SELECT COUNT(*) FROM (SELECT 1 FROM image WHERE repository_key = :repository_key LIMIT :count) AS counted",
        repository_key=repository_key,
        count=count,
    )
    return found is not None and int(found[0]) >= count


def count_images_between(db: Connection, repository_key: int, first: bytes, last: bytes, most: int) -> int:
    """How many of a repository's images have a digest in a range, its ends included; counts to ``most``."""
    found = db.row(
        "SELECT COUNT(*) FROM (SELECT 1 FROM image WHERE repository_key = :repository_key AND digest >= :first"
        " AND digest <= :last LIMIT :most) AS counted",
        repository_key=repository_key,
        first=first,
        last=last,
        most=most,
    )
    return int(found[0]) if found is not None else 0


def _record(row: Row) -> Quota:
    return Quota(*row)
