"""Keys of the local KMS, and their aliases."""

from dataclasses import dataclass

from openecr.db.connection import Connection
from openecr.names import RegistryName

ENABLED, DISABLED, PENDING_DELETION, DELETED = "Enabled", "Disabled", "PendingDeletion", "Deleted"
AWS_MANAGED, CUSTOMER_MANAGED = "AWS", "CUSTOMER"


@dataclass(frozen=True, slots=True)
class Key:
    """A key's row without its material."""

    key: int
    arn: str
    description: str
    manager: str
    state: str
    created_us: int
    deletion_us: int | None


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias, and the ARN of the key that it stands for."""

    name: str
    key_arn: str
    created_us: int


_COLUMNS = "k.id, k.arn, k.description, k.manager, k.state, k.created_us, k.deletion_us"


_FIND = f"SELECT {_COLUMNS} FROM kms_key k WHERE k.arn = :arn AND k.state <> 'Deleted'"


def find(db: Connection, arn: str, *, lock: bool = False) -> Key | None:
    """The key of an ARN; a deleted one is not there. Locked, its state stays until this transaction ends."""
    found = db.locked_row("k", _FIND, arn=arn) if lock else db.row(_FIND, arn=arn)
    return None if found is None else Key(*found)


def was_made(db: Connection, arn: str) -> bool:
    """Whether there is or was a key of this ARN."""
    return db.row("SELECT 1 FROM kms_key WHERE arn = :arn", arn=arn) is not None


def find_by_alias(db: Connection, owner: RegistryName, name: str) -> Key | None:
    """The key that an alias stands for."""
    found = db.row(
        f"SELECT {_COLUMNS} FROM kms_alias a JOIN kms_key k ON k.id = a.kms_key"
        " WHERE a.account_id = :account_id AND a.region = :region AND a.name = :name",
        account_id=owner.account_id,
        region=owner.region,
        name=name,
    )
    return None if found is None else Key(*found)


def material(db: Connection, arn: str) -> tuple[str, bytes | None] | None:
    """(state, sealed material) of a key."""
    found = db.row("SELECT state, sealed_material FROM kms_key WHERE arn = :arn", arn=arn)
    return None if found is None else (found[0], found[1])


def state_of(db: Connection, arn: str) -> str | None:
    """A key's state; None where there is no such key."""
    found = db.row("SELECT state FROM kms_key WHERE arn = :arn", arn=arn)
    return None if found is None else str(found[0])


def insert(
    db: Connection,
    owner: RegistryName,
    *,
    arn: str,
    description: str,
    manager: str,
    sealed_material: bytes,
    now_us: int,
) -> None:
    """Store a new key, enabled."""
    db.run(
        "INSERT INTO kms_key (arn, account_id, region, description, manager, state, sealed_material, created_us)"
        " VALUES (:arn, :account_id, :region, :description, :manager, 'Enabled', :sealed_material, :now_us)",
        arn=arn,
        account_id=owner.account_id,
        region=owner.region,
        description=description,
        manager=manager,
        sealed_material=sealed_material,
        now_us=now_us,
    )


def set_state(db: Connection, key: int, state: str, deletion_us: int | None = None) -> None:
    """Move a key to another state, with the instant of its deletion where that is pending."""
    db.run(
        "UPDATE kms_key SET state = :state, deletion_us = :deletion_us WHERE id = :key AND state <> 'Deleted'",
        key=key,
        state=state,
        deletion_us=deletion_us,
    )


def list_after(db: Connection, owner: RegistryName, after: int, most: int) -> list[Key]:
    """Up to ``most`` keys of an account and region in the order they were made, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM kms_key k WHERE k.account_id = :account_id AND k.region = :region AND k.id > :after"
        " AND k.state <> 'Deleted' ORDER BY k.id LIMIT :most",
        account_id=owner.account_id,
        region=owner.region,
        after=after,
        most=most,
    )
    return [Key(*row) for row in rows]


def insert_alias(db: Connection, owner: RegistryName, name: str, key: int, now_us: int) -> bool:
    """Give a key a name; False where the name is taken."""
    return bool(
        db.run(
            "INSERT INTO kms_alias (account_id, region, name, kms_key, created_us)"
            " VALUES (:account_id, :region, :name, :key, :now_us) ON CONFLICT (account_id, region, name) DO NOTHING",
            account_id=owner.account_id,
            region=owner.region,
            name=name,
            key=key,
            now_us=now_us,
        )
    )


def aliases_after(db: Connection, owner: RegistryName, after: str, most: int) -> list[Alias]:
    """Up to ``most`` aliases of an account and region by name, after one."""
    rows = db.rows(
        "SELECT a.name, k.arn, a.created_us FROM kms_alias a JOIN kms_key k ON k.id = a.kms_key"
        " WHERE a.account_id = :account_id AND a.region = :region AND a.name > :after ORDER BY a.name LIMIT :most",
        account_id=owner.account_id,
        region=owner.region,
        after=after,
        most=most,
    )
    return [Alias(*row) for row in rows]


def aliases_of(db: Connection, key: int, after: str, most: int) -> list[Alias]:
    """Up to ``most`` aliases of one key by name, after one."""
    rows = db.rows(
        "SELECT a.name, k.arn, a.created_us FROM kms_key k JOIN kms_alias a ON a.kms_key = k.id"
        " WHERE k.id = :key AND a.name > :after ORDER BY a.name LIMIT :most",
        key=key,
        after=after,
        most=most,
    )
    return [Alias(*row) for row in rows]


def due_for_deletion(db: Connection, now_us: int, most: int) -> list[int]:
    """Keys whose pending deletion is due."""
    rows = db.rows(
        "SELECT id FROM kms_key WHERE state = 'PendingDeletion' AND deletion_us <= :now_us"
        " ORDER BY deletion_us LIMIT :most",
        now_us=now_us,
        most=most,
    )
    return [row[0] for row in rows]


def destroy(db: Connection, key: int, now_us: int) -> bool:
    """Destroy a key's material and its aliases, if its deletion is still due; nothing that it wrapped opens again."""
    destroyed = db.run(
        "UPDATE kms_key SET state = 'Deleted', sealed_material = NULL WHERE id = :key AND state = 'PendingDeletion'"
        " AND deletion_us <= :now_us",
        key=key,
        now_us=now_us,
    )
    if destroyed:
        db.run("DELETE FROM kms_alias WHERE kms_key = :key", key=key)
    return bool(destroyed)
