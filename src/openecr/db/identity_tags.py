"""Tags of users and roles, and of whatever of IAM an ARN names."""

import json
from collections.abc import Mapping, Sequence

from openecr.db.connection import Connection, Row


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


def of_arn(db: Connection, arn: str) -> Mapping[str, str]:
    """The tags of the user, role, managed policy, OIDC provider or instance profile of an ARN; none where it is not
    there."""
    account_id, resource = (*arn.split(":", 5)[4:], "", "")[:2]
    kind, _, rest = resource.partition("/")
    name = rest.rpartition("/")[2].lower()
    if kind in ("user", "role"):
        return _of_identity(db, account_id, kind, name)
    if kind == "policy":
        return _of_policy(db, arn)
    if kind == "oidc-provider":
        return _of_provider(db, account_id, rest)
    return _of_instance_profile(db, account_id, name) if kind == "instance-profile" else {}


def _of_identity(db: Connection, account_id: str, kind: str, folded: str) -> Mapping[str, str]:
    rows = db.rows(
        "SELECT t.tag_key, t.tag_value FROM account a JOIN principal p ON p.account_key = a.id"
        " JOIN identity_tag t ON t.principal_key = p.id"
        " WHERE a.account_id = :account_id AND p.kind = :kind AND p.folded = :folded",
        account_id=account_id,
        kind=kind,
        folded=folded,
    )
    return dict(rows)


def _of_policy(db: Connection, arn: str) -> Mapping[str, str]:
    return _read(db.row("SELECT tags FROM managed_policy WHERE arn = :arn", arn=arn))


def _of_provider(db: Connection, account_id: str, url: str) -> Mapping[str, str]:
    return _read(
        db.row(
            "SELECT o.tags FROM account a JOIN oidc_provider o ON o.account_key = a.id"
            " WHERE a.account_id = :account_id AND o.url = :url",
            account_id=account_id,
            url=url,
        )
    )


def _of_instance_profile(db: Connection, account_id: str, folded: str) -> Mapping[str, str]:
    return _read(
        db.row(
            "SELECT i.tags FROM account a JOIN instance_profile i ON i.account_key = a.id"
            " WHERE a.account_id = :account_id AND i.folded = :folded",
            account_id=account_id,
            folded=folded,
        )
    )


def _read(row: Row | None) -> Mapping[str, str]:
    tags: Mapping[str, str] = {} if row is None else json.loads(row[0])
    return tags
