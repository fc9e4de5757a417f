"""Registries and their settings."""

from openecr.db.connection import Connection
from openecr.names import RegistryName


def find_key(db: Connection, registry: RegistryName) -> int | None:
    """The surrogate key of a registry that has been used."""
    found = db.row(
        "SELECT id FROM registry WHERE account_id = :account_id AND region = :region",
        account_id=registry.account_id,
        region=registry.region,
    )
    return None if found is None else int(found[0])


def require_key(db: Connection, registry: RegistryName, now_us: int) -> int:
    """The surrogate key of a registry, made at its first use by a write decision."""
    db.run(
        "INSERT INTO registry (account_id, region, created_us) VALUES (:account_id, :region, :now_us)"
        " ON CONFLICT DO NOTHING",
        account_id=registry.account_id,
        region=registry.region,
        now_us=now_us,
    )
    found = find_key(db, registry)
    assert found is not None  # noqa: S101 - inserted above in this transaction
    return found


def hold(db: Connection, registry_key: int) -> None:
    """Let no other decision that holds the registry run until this transaction ends."""
    db.locked_row("registry", "SELECT id FROM registry WHERE id = :registry_key", registry_key=registry_key)


def setting(db: Connection, registry: RegistryName, name: str) -> str | None:
    """The stored value of an account setting."""
    found = db.row(
        "SELECT s.value FROM account_setting s JOIN registry g ON g.id = s.registry_key"
        " WHERE g.account_id = :account_id AND g.region = :region AND s.name = :name",
        account_id=registry.account_id,
        region=registry.region,
        name=name,
    )
    return None if found is None else str(found[0])


def put_setting(db: Connection, registry_key: int, name: str, value: str) -> None:
    """Store an account setting."""
    db.run(
        "INSERT INTO account_setting (registry_key, name, value) VALUES (:registry_key, :name, :value)"
        " ON CONFLICT (registry_key, name) DO UPDATE SET value = excluded.value",
        registry_key=registry_key,
        name=name,
        value=value,
    )


def set_policy(db: Connection, registry_key: int, text: str | None) -> None:
    """Replace the policy; whoever does forgets what is kept of the registry."""
    db.run("UPDATE registry SET policy = :text WHERE id = :registry_key", registry_key=registry_key, text=text)


def account_exists(db: Connection, account_id: str) -> bool:
    """Whether this deployment has the account."""
    return db.row("SELECT 1 FROM account WHERE account_id = :account_id", account_id=account_id) is not None
