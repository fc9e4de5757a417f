"""Tags of users and roles."""

from collections.abc import Mapping, Sequence

from openecr.db.connection import Connection


def put(db: Connection, principal_key: int, tags: Mapping[str, str]) -> None:
    """Add tags, or overwrite those of the same key in whatever case: IAM keeps one of them."""
    for key, value in tags.items():
        _delete_folded(db, principal_key, key)
        db.run(
            "INSERT INTO identity_tag (principal_key, tag_key, tag_value)"
            " VALUES (:principal_key, :tag_key, :tag_value)",
            principal_key=principal_key,
            tag_key=key,
            tag_value=value,
        )


def delete(db: Connection, principal_key: int, keys: Sequence[str]) -> None:
    """Remove tags by key."""
    for key in keys:
        _delete_folded(db, principal_key, key)


def _delete_folded(db: Connection, principal_key: int, key: str) -> None:
    db.run(
        "DELETE FROM identity_tag WHERE principal_key = :principal_key AND lower(tag_key) = lower(:tag_key)",
        principal_key=principal_key,
        tag_key=key,
    )
