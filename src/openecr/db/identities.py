"""IAM's identities: users, roles and groups, and the long-term access keys of users.

Who changes what an identity may do calls ``callers.changed`` in the same transaction.
"""

from dataclasses import dataclass

from openecr.db.connection import Connection

USER, ROLE, GROUP = "user", "role", "group"


def insert(
    db: Connection,
    account_key: int,
    *,
    kind: str,
    name: str,
    unique_id: str,
    version: str,
    now_us: int,
    path: str = "/",
    administrator: bool = False,
) -> int | None:
    """Add an identity of an account; its key, None where the name is taken, in whatever case."""
    row = db.row(
        "INSERT INTO principal (account_key, kind, name, folded, path, unique_id, administrator, access_version,"
        " created_us) VALUES (:account_key, :kind, :name, :folded, :path, :unique_id, :administrator, :version,"
        " :now_us) ON CONFLICT DO NOTHING RETURNING id",
        account_key=account_key,
        kind=kind,
        name=name,
        folded=name.lower(),
        path=path,
        unique_id=unique_id,
        administrator=int(administrator),
        version=version,
        now_us=now_us,
    )
    return None if row is None else int(row[0])


def attach_policy(db: Connection, principal_key: int, *, policy_arn: str, policy_key: int | None, now_us: int) -> None:
    """Attach a managed policy, again or for the first time.

    Args:
        policy_key: its row; None for a policy of AWS.
    """
    db.run(
        "INSERT INTO attached_policy (principal_key, policy_arn, policy_key, attached_us)"
        " VALUES (:principal_key, :policy_arn, :policy_key, :now_us) ON CONFLICT DO NOTHING",
        principal_key=principal_key,
        policy_arn=policy_arn,
        policy_key=policy_key,
        now_us=now_us,
    )


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """What a policy's principal element may resolve to."""

    key: int
    account_id: str
    kind: str
    name: str
    path: str
    unique_id: str


def find_by_name(db: Connection, account_id: str, kind: str, name: str) -> PrincipalRecord | None:
    """The user or role of this name, in whatever case."""
    row = db.row(
        "SELECT p.id, a.account_id, p.kind, p.name, p.path, p.unique_id FROM account a"
        " JOIN principal p ON p.account_key = a.id"
        " WHERE a.account_id = :account_id AND p.kind = :kind AND p.folded = :folded",
        account_id=account_id,
        kind=kind,
        folded=name.lower(),
    )
    return None if row is None else PrincipalRecord(*row)


def find_by_unique_id(db: Connection, unique_id: str) -> PrincipalRecord | None:
    """The user or role of this unique id (``AIDA...``, ``AROA...``)."""
    row = db.row(
        "SELECT p.id, a.account_id, p.kind, p.name, p.path, p.unique_id FROM principal p"
        " JOIN account a ON a.id = p.account_key WHERE p.unique_id = :unique_id",
        unique_id=unique_id,
    )
    return None if row is None else PrincipalRecord(*row)


def insert_access_key(
    db: Connection, principal_key: int, *, access_key_id: str, sealed_secret: bytes, now_us: int
) -> None:
    """Add an active access key."""
    db.run(
        "INSERT INTO access_key (access_key_id, principal_key, sealed_secret, active, created_us)"
        " VALUES (:access_key_id, :principal_key, :sealed_secret, 1, :now_us)",
        access_key_id=access_key_id,
        principal_key=principal_key,
        sealed_secret=sealed_secret,
        now_us=now_us,
    )
