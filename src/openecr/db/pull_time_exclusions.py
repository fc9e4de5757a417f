"""Principals whose pulls leave ``lastRecordedPullTime`` as it is, for each registry.

Whether a principal is excluded anywhere is part of its row in ``callers``; whoever changes the list forgets that.
"""

from openecr.db.connection import Connection
from openecr.names import RegistryName


def insert(db: Connection, registry_key: int, principal_arn: str, now_us: int) -> bool:
    """Add a principal; False where it is there already."""
    return bool(
        db.run(
            "INSERT INTO pull_time_exclusion (registry_key, principal_arn, created_us)"
            " VALUES (:registry_key, :principal_arn, :now_us) ON CONFLICT DO NOTHING",
            registry_key=registry_key,
            principal_arn=principal_arn,
            now_us=now_us,
        )
    )


def delete(db: Connection, registry_key: int, principal_arn: str) -> bool:
    """Remove a principal; False where it is not there."""
    return bool(
        db.run(
            "DELETE FROM pull_time_exclusion WHERE registry_key = :registry_key AND principal_arn = :principal_arn",
            registry_key=registry_key,
            principal_arn=principal_arn,
        )
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
