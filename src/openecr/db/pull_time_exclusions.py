"""Principals whose pulls leave ``lastRecordedPullTime`` as it is, for each registry.

Whether a principal is excluded anywhere stands in its own row, which every request reads; whoever changes the list
forgets what is kept of it.
"""

import re

from openecr.db.connection import Connection
from openecr.names import RegistryName

_ARN = re.compile(r"arn:[^:]+:iam::([0-9]{12}):(user|role)/(?:.*/)?([^/]+)")
_IS_EXCLUDED = (
    "CASE WHEN EXISTS (SELECT 1 FROM pull_time_exclusion e WHERE e.principal_arn = 'arn:aws:iam::' ||"
    " (SELECT a.account_id FROM account a WHERE a.id = principal.account_key) || ':' || kind || path || name)"
    " THEN 1 ELSE 0 END"
)


def insert(db: Connection, registry_key: int, principal_arn: str, now_us: int) -> bool:
    """Add a principal; False where it is there already."""
    inserted = bool(
        db.run(
            "INSERT INTO pull_time_exclusion (registry_key, principal_arn, created_us)"
            " VALUES (:registry_key, :principal_arn, :now_us) ON CONFLICT DO NOTHING",
            registry_key=registry_key,
            principal_arn=principal_arn,
            now_us=now_us,
        )
    )
    _mark_named(db, principal_arn)
    return inserted


def delete(db: Connection, registry_key: int, principal_arn: str) -> bool:
    """Remove a principal; False where it is not there."""
    deleted = bool(
        db.run(
            "DELETE FROM pull_time_exclusion WHERE registry_key = :registry_key AND principal_arn = :principal_arn",
            registry_key=registry_key,
            principal_arn=principal_arn,
        )
    )
    _mark_named(db, principal_arn)
    return deleted


def mark(db: Connection, principal_key: int) -> None:
    """Write down whether a principal that got a name or a path is excluded."""
    db.run(f"UPDATE principal SET pull_time_excluded = {_IS_EXCLUDED} WHERE id = :key", key=principal_key)


def _mark_named(db: Connection, principal_arn: str) -> None:
    """The same for the principal of an ARN, where there is one."""
    named = _ARN.fullmatch(principal_arn)
    account_id, kind, name = named.groups() if named else ("", "", "")
    db.run(
        f"UPDATE principal SET pull_time_excluded = {_IS_EXCLUDED} WHERE kind = :kind AND name = :name"
        " AND account_key = (SELECT id FROM account WHERE account_id = :account_id)",
        account_id=account_id,
        kind=kind,
        name=name,
    )


def list_after(db: Connection, registry_key: int, after: str, most: int) -> list[str]:
    """Up to ``most`` excluded principals by ARN, after one."""
    rows = db.rows(
        "SELECT principal_arn FROM pull_time_exclusion WHERE registry_key = :registry_key"
        " AND principal_arn > :after ORDER BY principal_arn LIMIT :most",
        registry_key=registry_key,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def is_excluded(db: Connection, registry: RegistryName, principal_arn: str) -> bool:
    """Whether a registry excludes a principal."""
    found = db.row(
        "SELECT 1 FROM registry g JOIN pull_time_exclusion e ON e.registry_key = g.id"
        " AND e.principal_arn = :principal_arn WHERE g.account_id = :account_id AND g.region = :region",
        account_id=registry.account_id,
        region=registry.region,
        principal_arn=principal_arn,
    )
    return found is not None
