"""Instance profiles: what hands a role to a machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from openecr.db.connection import Connection
from openecr.db.identities import end_of_prefix


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    """An instance profile, and the name of its role."""

    key: int
    name: str
    path: str
    unique_id: str
    role_name: str | None
    tags_json: str
    created_us: int

    @property
    def tags(self) -> dict[str, str]:
        """The profile's tags."""
        found: dict[str, str] = json.loads(self.tags_json)
        return found


_COLUMNS = "SELECT i.id, i.name, i.path, i.unique_id, r.name, i.tags, i.created_us FROM"
_PROFILE = (
    f"{_COLUMNS} account a JOIN instance_profile i ON i.account_key = a.id LEFT JOIN principal r ON r.id = i.role_key"
    " WHERE a.account_id = :account_id"
)
_FIND = f"{_PROFILE} AND i.folded = :folded"


def find(db: Connection, account_id: str, name: str, *, lock: bool = False) -> InstanceProfile | None:
    """The profile of a name, in whatever case; locked, it changes in no other transaction."""
    if lock:
        row = db.locked_row("i", _FIND, account_id=account_id, folded=name.lower())
    else:
        row = db.row(_FIND, account_id=account_id, folded=name.lower())
    return None if row is None else InstanceProfile(*row)


def insert(
    db: Connection, account_key: int, *, name: str, path: str, unique_id: str, tags: Mapping[str, str], now_us: int
) -> bool:
    """Add a profile without a role; False where the name is taken, in whatever case."""
    return bool(
        db.run(
            "INSERT INTO instance_profile (account_key, name, folded, path, unique_id, tags, created_us)"
            " VALUES (:account_key, :name, :folded, :path, :unique_id, :tags, :now_us) ON CONFLICT DO NOTHING",
            account_key=account_key,
            name=name,
            folded=name.lower(),
            path=path,
            unique_id=unique_id,
            tags=json.dumps(dict(tags)),
            now_us=now_us,
        )
    )


def count(db: Connection, account_key: int) -> int:
    """How many profiles an account has."""
    row = db.row("SELECT COUNT(*) FROM instance_profile WHERE account_key = :account_key", account_key=account_key)
    return 0 if row is None else int(row[0])


def list_after(db: Connection, account_id: str, *, path_prefix: str, after: str, most: int) -> list[InstanceProfile]:
    """Up to ``most`` profiles of an account under a path, by name in lower case, after one."""
    rows = db.rows(
        f"{_PROFILE} AND i.folded > :after AND i.path >= :path AND i.path < :path_end ORDER BY i.folded LIMIT :most",
        account_id=account_id,
        after=after,
        path=path_prefix,
        path_end=end_of_prefix(path_prefix),
        most=most,
    )
    return [InstanceProfile(*row) for row in rows]


def of_role_after(db: Connection, role_key: int, after: int, most: int) -> list[InstanceProfile]:
    """Up to ``most`` profiles that hold a role, in the order they were made, after one."""
    rows = db.rows(
        f"{_COLUMNS} instance_profile i JOIN principal r ON r.id = i.role_key"
        " WHERE i.role_key = :role_key AND i.id > :after ORDER BY i.id LIMIT :most",
        role_key=role_key,
        after=after,
        most=most,
    )
    return [InstanceProfile(*row) for row in rows]


def set_role(db: Connection, key: int, role_key: int | None) -> None:
    """Give a profile its role, or take it away."""
    db.run("UPDATE instance_profile SET role_key = :role_key WHERE id = :key", role_key=role_key, key=key)


def put_tags(db: Connection, key: int, tags: Mapping[str, str]) -> None:
    """Set a profile's tags."""
    db.run("UPDATE instance_profile SET tags = :tags WHERE id = :key", tags=json.dumps(dict(tags)), key=key)


def delete(db: Connection, key: int) -> None:
    """Delete a profile that holds no role."""
    db.run("DELETE FROM instance_profile WHERE id = :key", key=key)
