"""Queries of accounts, their principals and access keys."""

from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """An account that this deployment serves."""

    key: int
    account_id: str
    created_us: int
    organization_id: str | None
    """What ``aws:PrincipalOrgID`` is for its principals."""
    alias: str | None
    """A name instead of the number."""


@dataclass(frozen=True, slots=True)
class SealedAccessKey:
    """An access key as stored: the secret opens only with the deployment's keyring, in this key's own context."""

    access_key_id: str
    sealed_secret: bytes


_COLUMNS = "id, account_id, created_us, organization_id, alias"


def find(db: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    row = db.row(f"SELECT {_COLUMNS} FROM account WHERE account_id = :account_id", account_id=account_id)
    return None if row is None else Account(*row)


def hold(db: Connection, account_id: str) -> int | None:
    """The key of an account, which no other transaction changes or holds until this one ends: quotas are counted so."""
    row = db.locked_row("a", "SELECT a.id FROM account a WHERE a.account_id = :account_id", account_id=account_id)
    return None if row is None else int(row[0])


def set_organization(db: Connection, account_id: str, organization_id: str | None) -> bool:
    """Say what organization an account belongs to; False where there is no such account."""
    return bool(
        db.run(
            "UPDATE account SET organization_id = :organization_id WHERE account_id = :account_id",
            organization_id=organization_id,
            account_id=account_id,
        )
    )


def alias_is_free(db: Connection, alias: str) -> bool:
    """Whether no account has this alias."""
    return db.row("SELECT 1 FROM account WHERE alias = :alias", alias=alias) is None


def set_alias(db: Connection, account_id: str, alias: str | None) -> None:
    """Give an account its alias, or take it away."""
    db.run("UPDATE account SET alias = :alias WHERE account_id = :account_id", alias=alias, account_id=account_id)


def every(db: Connection) -> list[Account]:
    """All accounts, by id. A deployment has few: they are made one by one by its operator."""
    return [Account(*row) for row in db.rows(f"SELECT {_COLUMNS} FROM account ORDER BY account_id")]


def insert(db: Connection, account_id: str, now_us: int) -> int:
    """Add an account; its key."""
    row = db.row(
        "INSERT INTO account (account_id, created_us) VALUES (:account_id, :now_us) RETURNING id",
        account_id=account_id,
        now_us=now_us,
    )
    assert row is not None  # noqa: S101 - an INSERT returns its row
    return int(row[0])


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
