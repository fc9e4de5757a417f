"""Which users are in which groups."""

from openecr.db.connection import Connection
from openecr.db.identities import Identity

_COLUMNS = (
    "p.id, p.kind, p.name, p.path, p.unique_id, p.description, p.boundary_arn, p.trust_policy, p.session_seconds,"
    " p.created_us"
)


def add(db: Connection, group_key: int, principal_key: int) -> bool:
    """Put a user into a group; False where it is in it."""
    return bool(
        db.run(
            "INSERT INTO group_member (group_key, principal_key) VALUES (:group_key, :principal_key)"
            " ON CONFLICT DO NOTHING",
            group_key=group_key,
            principal_key=principal_key,
        )
    )


def remove(db: Connection, group_key: int, principal_key: int) -> bool:
    """Take a user out of a group; False where it is not in it."""
    return bool(
        db.run(
            "DELETE FROM group_member WHERE group_key = :group_key AND principal_key = :principal_key",
            group_key=group_key,
            principal_key=principal_key,
        )
    )


def members_after(db: Connection, group_key: int, after: int, most: int) -> list[Identity]:
    """Up to ``most`` users of a group in the order they were made, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM group_member m JOIN principal p ON p.id = m.principal_key"
        " WHERE m.group_key = :group_key AND m.principal_key > :after ORDER BY m.principal_key LIMIT :most",
        group_key=group_key,
        after=after,
        most=most,
    )
    return [Identity(*row) for row in rows]


def of_user_after(db: Connection, principal_key: int, after: int, most: int) -> list[Identity]:
    """Up to ``most`` groups of a user in the order they were made, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM group_member m JOIN principal p ON p.id = m.group_key"
        " WHERE m.principal_key = :principal_key AND m.group_key > :after ORDER BY m.group_key LIMIT :most",
        principal_key=principal_key,
        after=after,
        most=most,
    )
    return [Identity(*row) for row in rows]
