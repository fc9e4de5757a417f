"""Temporary credentials of STS: a row a session, from its making until no registry token of it can live any more.

Who takes a session away calls ``callers.forget`` in the same transaction, which ``revoke`` does itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db import callers
from openecr.db.connection import Connection

FIRST = 0
"""Before every row, for walks."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """What is kept of a session; the JSON texts are as ``db/migrations/0006_identity.sql`` says."""

    access_key_id: str
    principal_key: int
    sealed_secret: bytes
    token_digest: bytes
    """SHA-256 of the session token, which is kept nowhere."""
    name: str
    policies: str
    tags: str
    transitive_tags: str
    source_identity: str
    provider: str
    chained: int
    created_us: int
    expires_us: int
    kept_until_us: int


_COLUMNS = (
    "access_key_id",
    "principal_key",
    "sealed_secret",
    "token_digest",
    "name",
    "policies",
    "tags",
    "transitive_tags",
    "source_identity",
    "provider",
    "chained",
    "created_us",
    "expires_us",
    "kept_until_us",
)


def insert(db: Connection, session: NewSession) -> None:
    """Add a session: it works on every server from this commit on, for a row that was not there is kept by none."""
    db.run(
        f"INSERT INTO session ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})",
        **{name: getattr(session, name) for name in _COLUMNS},
    )


@dataclass(frozen=True, slots=True)
class AssumableRole:
    """A role as STS needs it."""

    key: int
    account_id: str
    path: str
    name: str
    unique_id: str
    trust_policy: str | None
    session_seconds: int
    """The longest that a session of it may last."""

    @property
    def arn(self) -> str:
        """The role's ARN."""
        return f"arn:aws:iam::{self.account_id}:role{self.path}{self.name}"


def find_role(db: Connection, account_id: str, name: str) -> AssumableRole | None:
    """The role of this name, in whatever case."""
    row = db.row(
        "SELECT p.id, a.account_id, p.path, p.name, p.unique_id, p.trust_policy, p.session_seconds FROM account a"
        " JOIN principal p ON p.account_key = a.id"
        " WHERE a.account_id = :account_id AND p.kind = 'role' AND p.folded = :folded",
        account_id=account_id,
        folded=name.lower(),
    )
    return None if row is None else AssumableRole(*row)


def transitive_tags(db: Connection, session_key: int) -> tuple[str, str]:
    """(tags, the keys of those that a chained session inherits) of a session, as JSON."""
    row = db.row("SELECT tags, transitive_tags FROM session WHERE id = :session_key", session_key=session_key)
    return ("", "") if row is None else (row[0], row[1])


def account_of_key(db: Connection, access_key_id: str) -> str | None:
    """The account that an access key or session is of, active or not."""
    row = db.row(
        "SELECT a.account_id FROM access_key k JOIN principal p ON p.id = k.principal_key"
        " JOIN account a ON a.id = p.account_key WHERE k.access_key_id = :access_key_id"
        " UNION ALL"
        " SELECT a.account_id FROM session s JOIN principal p ON p.id = s.principal_key"
        " JOIN account a ON a.id = p.account_key WHERE s.access_key_id = :access_key_id",
        access_key_id=access_key_id,
    )
    return None if row is None else str(row[0])


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as an operator sees it."""

    key: int
    access_key_id: str
    account_id: str
    kind: str
    principal: str
    name: str
    source_identity: str
    provider: str
    created_us: int
    expires_us: int
    kept_until_us: int


_LISTED = (
    "SELECT s.id, s.access_key_id, a.account_id, p.kind, p.name, s.name, s.source_identity, s.provider, s.created_us,"
    " s.expires_us, s.kept_until_us FROM session s JOIN principal p ON p.id = s.principal_key"
    " JOIN account a ON a.id = p.account_key"
)


def page(db: Connection, after_key: int, most: int) -> list[ListedSession]:
    """The next sessions of the deployment, in the order that they were made."""
    rows = db.rows(
        f"{_LISTED} WHERE s.id > :after_key ORDER BY s.id LIMIT :most",
        after_key=after_key,
        most=most,
    )
    return [ListedSession(*row) for row in rows]


def page_of(db: Connection, principal_key: int, after_key: int, most: int) -> list[ListedSession]:
    """The next sessions of a role or user, in the order that they were made."""
    rows = db.rows(
        f"{_LISTED} WHERE s.principal_key = :principal_key AND s.id > :after_key ORDER BY s.id LIMIT :most",
        principal_key=principal_key,
        after_key=after_key,
        most=most,
    )
    return [ListedSession(*row) for row in rows]


def revoke(db: Connection, access_key_id: str) -> bool:
    """End one session, and every registry token of it; whether there was one."""
    ended = db.run("DELETE FROM session WHERE access_key_id = :access_key_id", access_key_id=access_key_id)
    callers.forget(db)
    return ended > 0


def revoke_of(db: Connection, principal_key: int, most: int) -> int:
    """End sessions of a role or user, and every registry token of them, the oldest first; how many. Who deletes the
    principal does this until none is left."""
    ended = db.run(
        "DELETE FROM session WHERE id IN"
        " (SELECT id FROM session WHERE principal_key = :principal_key ORDER BY id LIMIT :most)",
        principal_key=principal_key,
        most=most,
    )
    callers.forget(db)
    return ended


def due(db: Connection, now_us: int, most: int) -> list[int]:
    """Sessions of which no credentials and no registry token can live any more."""
    rows = db.rows(
        "SELECT id FROM session WHERE kept_until_us <= :now_us ORDER BY kept_until_us LIMIT :most",
        now_us=now_us,
        most=most,
    )
    return [int(row[0]) for row in rows]


def delete(db: Connection, keys: Sequence[int]) -> None:
    """Forget sessions that nothing of can live any more: no server's memory of them does harm."""
    for key in keys:
        db.run("DELETE FROM session WHERE id = :key", key=key)


def managed_policy(db: Connection, account_id: str, arn: str) -> str | None:
    """The text of a customer's managed policy, of this account."""
    row = db.row(
        "SELECT v.document FROM managed_policy m JOIN account a ON a.id = m.account_key"
        " JOIN managed_policy_version v ON v.policy_key = m.id AND v.version = m.default_version"
        " WHERE m.arn = :arn AND a.account_id = :account_id",
        arn=arn,
        account_id=account_id,
    )
    return None if row is None else str(row[0])
