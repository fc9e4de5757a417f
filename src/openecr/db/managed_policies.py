"""Customers' managed policies and their versions; those of AWS are in ``access/aws_managed.py``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from openecr.db.connection import Connection
from openecr.db.identities import end_of_prefix


@dataclass(frozen=True, slots=True)
class Policy:
    """A managed policy of an account, without its documents."""

    key: int
    arn: str
    name: str
    path: str
    unique_id: str
    description: str
    default_version: int
    newest_version: int
    tags_json: str
    created_us: int
    updated_us: int

    @property
    def tags(self) -> dict[str, str]:
        """The policy's tags."""
        found: dict[str, str] = json.loads(self.tags_json)
        return found


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a managed policy."""

    number: int
    document: str
    created_us: int


_POLICY = (
    "SELECT m.id, m.arn, m.name, m.path, m.unique_id, m.description, m.default_version, m.newest_version, m.tags,"
    " m.created_us, m.updated_us FROM"
)
_FIND = f"{_POLICY} managed_policy m WHERE m.arn = :arn"


def find(db: Connection, arn: str, *, lock: bool = False, to_delete: bool = False) -> Policy | None:
    """The policy of an ARN; locked, it stays as it is, and to delete it nothing new refers to it."""
    if lock or to_delete:
        row = db.locked_row("m", _FIND, against_references=to_delete, arn=arn)
    else:
        row = db.row(_FIND, arn=arn)
    return None if row is None else Policy(*row)


def insert(
    db: Connection,
    account_key: int,
    *,
    arn: str,
    name: str,
    path: str,
    unique_id: str,
    description: str,
    tags: Mapping[str, str],
    document: str,
    now_us: int,
) -> bool:
    """Add a policy with its first version; False where the name is taken, in whatever case."""
    row = db.row(
        "INSERT INTO managed_policy (account_key, arn, name, folded, path, unique_id, description, default_version,"
        " newest_version, tags, created_us, updated_us) VALUES (:account_key, :arn, :name, :folded, :path, :unique_id,"
        " :description, 1, 1, :tags, :now_us, :now_us) ON CONFLICT DO NOTHING RETURNING id",
        account_key=account_key,
        arn=arn,
        name=name,
        folded=name.lower(),
        path=path,
        unique_id=unique_id,
        description=description,
        tags=json.dumps(dict(tags)),
        now_us=now_us,
    )
    if row is None:
        return False
    _insert_version(db, row[0], number=1, document=document, now_us=now_us)
    return True


def _insert_version(db: Connection, policy_key: int, *, number: int, document: str, now_us: int) -> None:
    db.run(
        "INSERT INTO managed_policy_version (policy_key, version, document, created_us)"
        " VALUES (:policy_key, :number, :document, :now_us)",
        policy_key=policy_key,
        number=number,
        document=document,
        now_us=now_us,
    )


def count(db: Connection, account_key: int) -> int:
    """How many policies an account has."""
    row = db.row("SELECT COUNT(*) FROM managed_policy WHERE account_key = :account_key", account_key=account_key)
    return 0 if row is None else int(row[0])


def list_after(
    db: Connection, account_id: str, *, path_prefix: str, after: str, most: int, attached_as: str = ""
) -> list[Policy]:
    """Up to ``most`` policies of an account under a path, by name in lower case, after one.

    Args:
        attached_as: only those that are attached (``policy``), are a boundary (``boundary``), or either (``any``).
    """
    rows = db.rows(
        f"{_POLICY} account a JOIN managed_policy m ON m.account_key = a.id WHERE a.account_id = :account_id"
        " AND m.folded > :after AND m.path >= :path AND m.path < :path_end AND (:attached_as = ''"
        " OR (:attached_as <> 'boundary' AND EXISTS (SELECT 1 FROM attached_policy t WHERE t.policy_key = m.id))"
        " OR (:attached_as <> 'policy' AND EXISTS (SELECT 1 FROM principal b WHERE b.boundary_arn = m.arn)))"
        " ORDER BY m.folded LIMIT :most",
        account_id=account_id,
        after=after,
        path=path_prefix,
        path_end=end_of_prefix(path_prefix),
        attached_as=attached_as,
        most=most,
    )
    return [Policy(*row) for row in rows]


def put_tags(db: Connection, key: int, tags: Mapping[str, str]) -> None:
    """Set a policy's tags."""
    db.run("UPDATE managed_policy SET tags = :tags WHERE id = :key", tags=json.dumps(dict(tags)), key=key)


def add_version(db: Connection, policy: Policy, document: str, *, is_default: bool, now_us: int) -> int:
    """Add a version to a locked policy; its number, which no earlier version had."""
    number = policy.newest_version + 1
    _insert_version(db, policy.key, number=number, document=document, now_us=now_us)
    db.run(
        "UPDATE managed_policy SET newest_version = :number, default_version = :default_version, updated_us = :now_us"
        " WHERE id = :key",
        number=number,
        default_version=number if is_default else policy.default_version,
        now_us=now_us,
        key=policy.key,
    )
    return number


def set_default(db: Connection, key: int, number: int, now_us: int) -> None:
    """Say which version of a policy is in force."""
    db.run(
        "UPDATE managed_policy SET default_version = :number, updated_us = :now_us WHERE id = :key",
        number=number,
        now_us=now_us,
        key=key,
    )


def version(db: Connection, policy_key: int, number: int) -> Version | None:
    """A version of a policy."""
    row = db.row(
        "SELECT version, document, created_us FROM managed_policy_version"
        " WHERE policy_key = :policy_key AND version = :number",
        policy_key=policy_key,
        number=number,
    )
    return None if row is None else Version(*row)


def versions_before(db: Connection, policy_key: int, before: int, most: int) -> list[Version]:
    """Up to ``most`` versions of a policy, the newest first, before one."""
    rows = db.rows(
        "SELECT version, document, created_us FROM managed_policy_version WHERE policy_key = :policy_key"
        " AND version < :before ORDER BY version DESC LIMIT :most",
        policy_key=policy_key,
        before=before,
        most=most,
    )
    return [Version(*row) for row in rows]


def delete_version(db: Connection, policy_key: int, number: int) -> bool:
    """Delete a version; False where it is not there."""
    return bool(
        db.run(
            "DELETE FROM managed_policy_version WHERE policy_key = :policy_key AND version = :number",
            policy_key=policy_key,
            number=number,
        )
    )


def delete(db: Connection, key: int) -> None:
    """Delete a policy that nothing refers to, with its versions."""
    db.run("DELETE FROM managed_policy_version WHERE policy_key = :key", key=key)
    db.run("DELETE FROM managed_policy WHERE id = :key", key=key)
