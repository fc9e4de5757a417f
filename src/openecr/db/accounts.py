"""Queries of accounts, their principals and access keys."""

from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """An account that this deployment serves."""

    key: int
    account_id: str
    created_us: int


@dataclass(frozen=True, slots=True)
class SealedAccessKey:
    """An access key as stored: the secret opens only with the deployment's keyring, in this key's own context."""

    access_key_id: str
    sealed_secret: bytes


def find(db: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    row = db.row("SELECT id, account_id, created_us FROM account WHERE account_id = :account_id", account_id=account_id)
    return None if row is None else Account(*row)


def every(db: Connection) -> list[Account]:
    """All accounts, by id. A deployment has few: they are made one by one by its operator."""
    return [Account(*row) for row in db.rows("SELECT id, account_id, created_us FROM account ORDER BY account_id")]


def insert(db: Connection, account_id: str, now_us: int) -> int:
    """Add an account; its key."""
    row = db.row(
        "INSERT INTO account (account_id, created_us) VALUES (:account_id, :now_us) RETURNING id",
        account_id=account_id,
        now_us=now_us,
    )
    assert row is not None  # noqa: S101 - an INSERT returns its row
    return int(row[0])


def insert_principal(
    db: Connection, account_key: int, *, kind: str, name: str, unique_id: str, administrator: bool, now_us: int
) -> int:
    """Add a principal of an account; its key."""
    row = db.row(
        "INSERT INTO principal (account_key, kind, name, unique_id, administrator, created_us)"
        " VALUES (:account_key, :kind, :name, :unique_id, :administrator, :now_us) RETURNING id",
        account_key=account_key,
        kind=kind,
        name=name,
        unique_id=unique_id,
        administrator=int(administrator),
        now_us=now_us,
    )
    assert row is not None  # noqa: S101 - an INSERT returns its row
    return int(row[0])


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


def administrator_key(db: Connection, account_id: str) -> SealedAccessKey | None:
    """The oldest active access key of an account's administrator."""
    row = db.row(
        "SELECT k.access_key_id, k.sealed_secret"
        " FROM account a JOIN principal p ON p.account_key = a.id JOIN access_key k ON k.principal_key = p.id"
        " WHERE a.account_id = :account_id AND p.administrator = 1 AND k.active = 1"
        " ORDER BY p.id, k.id LIMIT 1",
        account_id=account_id,
    )
    return None if row is None else SealedAccessKey(*row)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """An active access key: whose account it is, and its secret, sealed."""

    access_key_id: str
    account_id: str
    sealed_secret: bytes


def find_signing_secret(db: Connection, access_key_id: str) -> SigningSecret | None:
    """The active access key of this id, to check a signature with."""
    row = db.kept_row(
        _scope(access_key_id),
        "SELECT k.access_key_id, a.account_id, k.sealed_secret FROM access_key k"
        " JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key"
        " WHERE k.access_key_id = :access_key_id AND k.active = 1",
        access_key_id=access_key_id,
    )
    return None if row is None else SigningSecret(*row)


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The principal that an active access key belongs to."""

    principal_key: int
    access_key_id: str
    account_id: str
    kind: str
    name: str
    unique_id: str
    administrator: int
    """1 where the principal may do everything in its account."""


_KEY_OWNER = (
    "SELECT p.id, k.access_key_id, a.account_id, p.kind, p.name, p.unique_id, p.administrator"
    " FROM access_key k JOIN principal p ON p.id = k.principal_key JOIN account a ON a.id = p.account_key"
    " WHERE k.access_key_id = :access_key_id AND k.active = 1"
)


def find_key_owner(db: Connection, access_key_id: str) -> KeyOwner | None:
    """The principal behind an active access key: asked at every request, so that a deleted key ends at once."""
    row = db.kept_row(_scope(access_key_id), _KEY_OWNER, access_key_id=access_key_id)
    return None if row is None else KeyOwner(*row)


def _scope(access_key_id: str) -> str:
    """Whoever changes an access key or its principal forgets this scope."""
    return f"access key {access_key_id}"
