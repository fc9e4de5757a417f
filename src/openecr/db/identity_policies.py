"""Policies of identities: inline ones, and managed ones that are attached."""

from dataclasses import dataclass

from openecr.db.connection import Connection

_SIZE = (
    "COALESCE(SUM(LENGTH(REPLACE(REPLACE(REPLACE(REPLACE(document, ' ', ''), :newline, ''), :tab, ''), :cr, ''))), 0)"
)


def put_inline(db: Connection, principal_key: int, name: str, document: str) -> None:
    """Add an inline policy, or replace the one of this name."""
    db.run(
        "INSERT INTO inline_policy (principal_key, name, document) VALUES (:principal_key, :name, :document)"
        " ON CONFLICT (principal_key, name) DO UPDATE SET document = excluded.document",
        principal_key=principal_key,
        name=name,
        document=document,
    )


def inline_characters(db: Connection, principal_key: int) -> int:
    """How long an identity's inline policies are together, without white space: what IAM's quotas count."""
    row = db.row(
        f"SELECT {_SIZE} FROM inline_policy WHERE principal_key = :principal_key",
        principal_key=principal_key,
        newline="\n",
        tab="\t",
        cr="\r",
    )
    return 0 if row is None else int(row[0])


def inline(db: Connection, principal_key: int, name: str) -> str | None:
    """The document of an inline policy."""
    row = db.row(
        "SELECT document FROM inline_policy WHERE principal_key = :principal_key AND name = :name",
        principal_key=principal_key,
        name=name,
    )
    return None if row is None else str(row[0])


def inline_names_after(db: Connection, principal_key: int, after: str, most: int) -> list[str]:
    """Up to ``most`` names of an identity's inline policies, after one."""
    rows = db.rows(
        "SELECT name FROM inline_policy WHERE principal_key = :principal_key AND name > :after"
        " ORDER BY name LIMIT :most",
        principal_key=principal_key,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def delete_inline(db: Connection, principal_key: int, name: str) -> bool:
    """Delete an inline policy; False where there is none of this name."""
    return bool(
        db.run(
            "DELETE FROM inline_policy WHERE principal_key = :principal_key AND name = :name",
            principal_key=principal_key,
            name=name,
        )
    )


def detach(db: Connection, principal_key: int, policy_arn: str) -> bool:
    """Detach a managed policy; False where it is not attached."""
    return bool(
        db.run(
            "DELETE FROM attached_policy WHERE principal_key = :principal_key AND policy_arn = :policy_arn",
            principal_key=principal_key,
            policy_arn=policy_arn,
        )
    )


def attached_after(db: Connection, principal_key: int, after: str, most: int) -> list[str]:
    """Up to ``most`` ARNs of an identity's attached policies, after one."""
    rows = db.rows(
        "SELECT policy_arn FROM attached_policy WHERE principal_key = :principal_key AND policy_arn > :after"
        " ORDER BY policy_arn LIMIT :most",
        principal_key=principal_key,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def count_attached(db: Connection, principal_key: int) -> int:
    """How many managed policies are attached to an identity."""
    row = db.row(
        "SELECT COUNT(*) FROM attached_policy WHERE principal_key = :principal_key", principal_key=principal_key
    )
    return 0 if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class Holder:
    """An identity that a managed policy weighs on."""

    key: int
    kind: str
    name: str
    path: str
    unique_id: str


_HOLDERS = "SELECT p.id, p.kind, p.name, p.path, p.unique_id FROM"


def attached_to_after(db: Connection, account_key: int, policy_arn: str, after: int, most: int) -> list[Holder]:
    """Up to ``most`` identities of an account that a policy is attached to, in the order they were made, after one."""
    rows = db.rows(
        f"{_HOLDERS} attached_policy t JOIN principal p ON p.id = t.principal_key"
        " WHERE t.policy_arn = :policy_arn AND t.principal_key > :after AND p.account_key = :account_key"
        " ORDER BY t.principal_key LIMIT :most",
        account_key=account_key,
        policy_arn=policy_arn,
        after=after,
        most=most,
    )
    return [Holder(*row) for row in rows]


def bounded_by_after(db: Connection, account_key: int, policy_arn: str, after: int, most: int) -> list[Holder]:
    """Up to ``most`` identities of an account whose boundary a policy is, in the order they were made, after one."""
    rows = db.rows(
        f"{_HOLDERS} principal p WHERE p.boundary_arn = :policy_arn AND p.id > :after AND p.account_key = :account_key"
        " ORDER BY p.id LIMIT :most",
        account_key=account_key,
        policy_arn=policy_arn,
        after=after,
        most=most,
    )
    return [Holder(*row) for row in rows]


def count_uses(db: Connection, account_key: int, policy_arn: str) -> tuple[int, int]:
    """(identities of an account that a policy is attached to, identities whose boundary it is)."""
    row = db.row(
        "SELECT (SELECT COUNT(*) FROM attached_policy t JOIN principal p ON p.id = t.principal_key"
        " WHERE t.policy_arn = :policy_arn AND p.account_key = :account_key),"
        " (SELECT COUNT(*) FROM principal b WHERE b.boundary_arn = :policy_arn AND b.account_key = :account_key)",
        policy_arn=policy_arn,
        account_key=account_key,
    )
    return (0, 0) if row is None else (int(row[0]), int(row[1]))
