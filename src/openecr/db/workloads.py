"""Workloads: who gets a role's sessions by a bearer token, or by the network that it comes from.

Nothing here is kept in a server's memory: credentials are fetched a few times an hour, and what was deleted ends at
once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection

FIRST = ""
"""Before every name, for walks."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload, and its role as it is now."""

    key: int
    name: str
    service: str
    """The service that the role must trust: ``ec2.amazonaws.com`` for a node."""
    role_id: str
    session_seconds: int
    access_key_id: str | None
    """The session that is handed out."""
    sealed_session: bytes | None
    renew_us: int
    """From when on the next session is handed out."""
    created_us: int
    role_key: int | None
    """None, as everything below, where the role is gone."""
    account_id: str | None
    role_path: str | None
    role_name: str | None
    trust_policy: str | None

    @property
    def role_arn(self) -> str | None:
        """The role's ARN; None where it is gone."""
        if self.role_key is None:
            return None
        return f"arn:aws:iam::{self.account_id}:role{self.role_path}{self.role_name}"


_COLUMNS = (
    "w.id, w.name, w.service, w.role_id, w.session_seconds, w.access_key_id, w.sealed_session, w.renew_us,"
    " w.created_us, p.id, a.account_id, p.path, p.name, p.trust_policy"
)
_ROLE = "LEFT JOIN principal p ON p.unique_id = w.role_id LEFT JOIN account a ON a.id = p.account_key"


def find_by_token(db: Connection, token_digest: bytes, now_us: int) -> Workload | None:
    """The workload that a bearer token is of."""
    row = db.row(
        f"SELECT {_COLUMNS} FROM workload_token t JOIN workload w ON w.id = t.workload_key {_ROLE}"
        " WHERE t.token_digest = :token_digest AND (t.expires_us IS NULL OR t.expires_us > :now_us)",
        token_digest=token_digest,
        now_us=now_us,
    )
    return None if row is None else Workload(*row)


def find_by_source(db: Connection, networks: Sequence[str]) -> Workload | None:
    """The workload whose network comes first among these."""
    names = ", ".join(f":network_{number}" for number in range(len(networks)))
    rows = db.rows(
        f"SELECT s.network, {_COLUMNS} FROM workload_source s JOIN workload w ON w.id = s.workload_key {_ROLE}"
        f" WHERE s.network IN ({names})",
        **{f"network_{number}": network for number, network in enumerate(networks)},
    )
    if not rows:
        return None
    nearest = min(rows, key=lambda row: networks.index(row[0]))
    return Workload(*nearest[1:])


def find_by_name(db: Connection, name: str) -> Workload | None:
    """The workload of this name."""
    row = db.row(f"SELECT {_COLUMNS} FROM workload w {_ROLE} WHERE w.name = :name", name=name)
    return None if row is None else Workload(*row)


def page(db: Connection, after_name: str, most: int) -> list[Workload]:
    """The next workloads, by name."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM workload w {_ROLE} WHERE w.name > :after_name ORDER BY w.name LIMIT :most",
        after_name=after_name,
        most=most,
    )
    return [Workload(*row) for row in rows]


def insert(db: Connection, *, name: str, service: str, role_id: str, session_seconds: int, now_us: int) -> int | None:
    """Add a workload; its key, None where the name is taken."""
    row = db.row(
        "INSERT INTO workload (name, service, role_id, session_seconds, created_us)"
        " VALUES (:name, :service, :role_id, :session_seconds, :now_us) ON CONFLICT DO NOTHING RETURNING id",
        name=name,
        service=service,
        role_id=role_id,
        session_seconds=session_seconds,
        now_us=now_us,
    )
    return None if row is None else int(row[0])


def insert_token(db: Connection, workload_key: int, token_digest: bytes, now_us: int) -> None:
    """Add a bearer token."""
    db.run(
        "INSERT INTO workload_token (token_digest, workload_key, created_us)"
        " VALUES (:token_digest, :workload_key, :now_us)",
        token_digest=token_digest,
        workload_key=workload_key,
        now_us=now_us,
    )


def end_tokens(db: Connection, workload_key: int, expires_us: int) -> None:
    """Let a workload's tokens end then, those that would not end earlier."""
    db.run(
        "UPDATE workload_token SET expires_us = :expires_us WHERE workload_key = :workload_key"
        " AND (expires_us IS NULL OR expires_us > :expires_us)",
        workload_key=workload_key,
        expires_us=expires_us,
    )


def delete_ended_tokens(db: Connection, workload_key: int, now_us: int) -> None:
    """Forget a workload's tokens that have ended."""
    db.run(
        "DELETE FROM workload_token WHERE workload_key = :workload_key AND expires_us <= :now_us",
        workload_key=workload_key,
        now_us=now_us,
    )


def insert_source(db: Connection, workload_key: int, network: str) -> bool:
    """Bind a network to a workload; False where it is bound already."""
    return (
        db.run(
            "INSERT INTO workload_source (network, workload_key) VALUES (:network, :workload_key)"
            " ON CONFLICT DO NOTHING",
            network=network,
            workload_key=workload_key,
        )
        > 0
    )


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a bearer token, beside its digest."""

    created_us: int
    expires_us: int | None


def tokens_of(db: Connection, workload_key: int, most: int) -> list[Token]:
    """A workload's tokens, in the order that they were made."""
    rows = db.rows(
        "SELECT created_us, expires_us FROM workload_token WHERE workload_key = :workload_key"
        " ORDER BY workload_key, created_us LIMIT :most",
        workload_key=workload_key,
        most=most,
    )
    return [Token(*row) for row in rows]


def sources_of(db: Connection, workload_key: int, most: int) -> list[str]:
    """A workload's networks."""
    rows = db.rows(
        "SELECT network FROM workload_source WHERE workload_key = :workload_key"
        " ORDER BY workload_key, network LIMIT :most",
        workload_key=workload_key,
        most=most,
    )
    return [row[0] for row in rows]


def lock(db: Connection, key: int) -> None:
    """Hold a workload: one session is made for it at a time."""
    db.locked_row("workload", "SELECT id FROM workload WHERE id = :key", key=key)


def hand_out(db: Connection, key: int, *, access_key_id: str, sealed_session: bytes, renew_us: int) -> None:
    """Give this session to whoever asks from now on."""
    db.run(
        "UPDATE workload SET access_key_id = :access_key_id, sealed_session = :sealed_session, renew_us = :renew_us"
        " WHERE id = :key",
        key=key,
        access_key_id=access_key_id,
        sealed_session=sealed_session,
        renew_us=renew_us,
    )


def insert_session(db: Connection, workload_key: int, access_key_id: str) -> None:
    """Remember a session that was made for a workload, and forget those that are no more."""
    db.run(
        "DELETE FROM workload_session WHERE workload_key = :workload_key AND NOT EXISTS"
        " (SELECT 1 FROM session s WHERE s.access_key_id = workload_session.access_key_id)",
        workload_key=workload_key,
    )
    db.run(
        "INSERT INTO workload_session (access_key_id, workload_key) VALUES (:access_key_id, :workload_key)",
        access_key_id=access_key_id,
        workload_key=workload_key,
    )


def sessions_of(db: Connection, workload_key: int) -> list[str]:
    """The access key ids of a workload's sessions; there are few, for they are forgotten in time."""
    rows = db.rows("SELECT access_key_id FROM workload_session WHERE workload_key = :key", key=workload_key)
    return [row[0] for row in rows]


def delete(db: Connection, key: int) -> None:
    """Forget a workload, its tokens and its networks."""
    db.run("DELETE FROM workload_session WHERE workload_key = :key", key=key)
    db.run("DELETE FROM workload_token WHERE workload_key = :key", key=key)
    db.run("DELETE FROM workload_source WHERE workload_key = :key", key=key)
    db.run("DELETE FROM workload WHERE id = :key", key=key)
