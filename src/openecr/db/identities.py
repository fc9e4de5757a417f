"""IAM's identities: users, roles and groups; what a new one begins with.

Who changes what an identity may do calls ``callers.changed`` in the same transaction.
"""

from dataclasses import dataclass

from openecr.db import pull_time_exclusions
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
    description: str = "",
    boundary_arn: str | None = None,
    trust_policy: str | None = None,
    session_seconds: int = 3600,
    administrator: bool = False,
) -> int | None:
    """Add an identity of an account; its key, None where the name is taken, in whatever case."""
    row = db.row(
        "INSERT INTO principal (account_key, kind, name, folded, path, unique_id, administrator, access_version,"
        " description, boundary_arn, trust_policy, session_seconds, created_us)"
        " VALUES (:account_key, :kind, :name, :folded, :path, :unique_id, :administrator, :version, :description,"
        " :boundary_arn, :trust_policy, :session_seconds, :now_us) ON CONFLICT DO NOTHING RETURNING id",
        account_key=account_key,
        kind=kind,
        name=name,
        folded=name.lower(),
        path=path,
        unique_id=unique_id,
        administrator=int(administrator),
        version=version,
        description=description,
        boundary_arn=boundary_arn,
        trust_policy=trust_policy,
        session_seconds=session_seconds,
        now_us=now_us,
    )
    if row is None:
        return None
    pull_time_exclusions.mark(db, int(row[0]))
    return int(row[0])


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


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, a group or a role, as its account sees it."""

    key: int
    kind: str
    name: str
    path: str
    unique_id: str
    description: str
    boundary_arn: str | None
    trust_policy: str | None
    session_seconds: int
    created_us: int


_IDENTITY = (
    "SELECT p.id, p.kind, p.name, p.path, p.unique_id, p.description, p.boundary_arn, p.trust_policy,"
    " p.session_seconds, p.created_us FROM account a JOIN principal p ON p.account_key = a.id"
    " WHERE a.account_id = :account_id AND p.kind = :kind"
)
_NAMED = f"{_IDENTITY} AND p.folded = :folded"


def find(db: Connection, account_id: str, kind: str, name: str, *, lock: bool = False) -> Identity | None:
    """The identity of this name, in whatever case; locked, what hangs on it changes in no other transaction."""
    if lock:
        row = db.locked_row("p", _NAMED, account_id=account_id, kind=kind, folded=name.lower())
    else:
        row = db.row(_NAMED, account_id=account_id, kind=kind, folded=name.lower())
    return None if row is None else Identity(*row)


def list_after(
    db: Connection, account_id: str, kind: str, *, path_prefix: str, after: str, most: int
) -> list[Identity]:
    """Up to ``most`` identities under a path, by name in lower case, after one.

    Args:
        path_prefix: ``/`` for all; what is under another is looked for among the account's, which a quota bounds.
    """
    rows = db.rows(
        f"{_IDENTITY} AND p.folded > :after AND p.path >= :path AND p.path < :path_end ORDER BY p.folded LIMIT :most",
        account_id=account_id,
        kind=kind,
        after=after,
        path=path_prefix,
        path_end=end_of_prefix(path_prefix),
        most=most,
    )
    return [Identity(*row) for row in rows]


def end_of_prefix(prefix: str) -> str:
    """The least text after all that begin so; paths have no character behind U+007E."""
    return f"{prefix}\N{DELETE}"


def count(db: Connection, account_key: int, kind: str) -> int:
    """How many identities of a kind an account has."""
    row = db.row(
        "SELECT COUNT(*) FROM principal WHERE account_key = :account_key AND kind = :kind",
        account_key=account_key,
        kind=kind,
    )
    return 0 if row is None else int(row[0])


def rename(db: Connection, key: int, *, name: str, path: str) -> None:
    """Give an identity another name and path."""
    db.run(
        "UPDATE principal SET name = :name, folded = :folded, path = :path WHERE id = :key",
        name=name,
        folded=name.lower(),
        path=path,
        key=key,
    )
    pull_time_exclusions.mark(db, key)


def set_boundary(db: Connection, key: int, policy_arn: str | None) -> None:
    """Bound what an identity may do by a managed policy, or no longer."""
    db.run("UPDATE principal SET boundary_arn = :policy_arn WHERE id = :key", policy_arn=policy_arn, key=key)


def set_trust(db: Connection, key: int, trust_policy: str) -> None:
    """Say who may assume a role."""
    db.run("UPDATE principal SET trust_policy = :trust_policy WHERE id = :key", trust_policy=trust_policy, key=key)


def describe(db: Connection, key: int, *, description: str, session_seconds: int) -> None:
    """Set a role's description and how long its sessions may last."""
    db.run(
        "UPDATE principal SET description = :description, session_seconds = :session_seconds WHERE id = :key",
        description=description,
        session_seconds=session_seconds,
        key=key,
    )


def hold(db: Connection, key: int) -> None:
    """Let nothing new refer to an identity until this transaction ends."""
    db.locked_row("p", "SELECT p.id FROM principal p WHERE p.id = :key", against_references=True, key=key)


def end_sessions(db: Connection, key: int) -> None:
    """Every session of a user or role is no more."""
    db.run("DELETE FROM session WHERE principal_key = :key", key=key)


def delete(db: Connection, key: int, unique_id: str) -> None:
    """Delete an identity that holds nothing but tags; nothing of it is left."""
    db.run("DELETE FROM identity_tag WHERE principal_key = :key", key=key)
    db.run("DELETE FROM access_key_use WHERE access_key_id = :unique_id", unique_id=unique_id)
    db.run("DELETE FROM principal WHERE id = :key", key=key)
