"""Long-term access keys of users, and when keys and roles were last used."""

from collections.abc import Iterable
from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class AccessKeyRecord:
    """An access key without its secret."""

    access_key_id: str
    active: bool
    created_us: int


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One use of an access key, of a session's too."""

    access_key_id: str
    service: str
    region: str
    used_us: int


def of_user(db: Connection, principal_key: int) -> list[AccessKeyRecord]:
    """A user's keys, the oldest first. A quota bounds them."""
    rows = db.rows(
        "SELECT access_key_id, active, created_us FROM access_key WHERE principal_key = :principal_key ORDER BY id",
        principal_key=principal_key,
    )
    return [AccessKeyRecord(access_key_id, bool(active), created_us) for access_key_id, active, created_us in rows]


def owner_of(db: Connection, account_id: str, access_key_id: str) -> tuple[str, str] | None:
    """(path, name) of the user of an account that has this key."""
    row = db.row(
        "SELECT p.path, p.name FROM access_key k JOIN principal p ON p.id = k.principal_key"
        " JOIN account a ON a.id = p.account_key"
        " WHERE k.access_key_id = :access_key_id AND a.account_id = :account_id",
        access_key_id=access_key_id,
        account_id=account_id,
    )
    return None if row is None else (row[0], row[1])


def set_active(db: Connection, principal_key: int, access_key_id: str, *, active: bool) -> bool:
    """Let a user's key be used, or not; False where the user has no such key."""
    return bool(
        db.run(
            "UPDATE access_key SET active = :active"
            " WHERE access_key_id = :access_key_id AND principal_key = :principal_key",
            active=int(active),
            access_key_id=access_key_id,
            principal_key=principal_key,
        )
    )


def delete(db: Connection, principal_key: int, access_key_id: str) -> bool:
    """Delete a user's key and what is known of its use; False where the user has no such key."""
    deleted = db.run(
        "DELETE FROM access_key WHERE access_key_id = :access_key_id AND principal_key = :principal_key",
        access_key_id=access_key_id,
        principal_key=principal_key,
    )
    if deleted:
        db.run("DELETE FROM access_key_use WHERE access_key_id = :access_key_id", access_key_id=access_key_id)
    return bool(deleted)


def last_use(db: Connection, user: str) -> KeyUse | None:
    """When an access key, or a role by its unique id, was last used."""
    row = db.row(
        "SELECT access_key_id, service, region, used_us FROM access_key_use WHERE access_key_id = :user", user=user
    )
    return None if row is None else KeyUse(*row)


_NOTE = (
    " WHERE {wanted} = :access_key_id ON CONFLICT (access_key_id) DO UPDATE"
    " SET used_us = excluded.used_us, service = excluded.service, region = excluded.region"
    " WHERE access_key_use.used_us < excluded.used_us"
)
_NOTE_KEY = (
    "INSERT INTO access_key_use (access_key_id, used_us, service, region)"
    " SELECT k.access_key_id, :used_us, :service, :region FROM access_key k" + _NOTE.format(wanted="k.access_key_id")
)
_NOTE_ROLE = (
    "INSERT INTO access_key_use (access_key_id, used_us, service, region)"
    " SELECT p.unique_id, :used_us, :service, :region FROM session s JOIN principal p ON p.id = s.principal_key"
    + _NOTE.format(wanted="p.kind = 'role' AND s.access_key_id")
)


def note_uses(db: Connection, uses: Iterable[KeyUse]) -> None:
    """Write down uses; that of a session is its role's, that of a key or session that is gone is passed over."""
    for use in uses:
        for statement in (_NOTE_KEY, _NOTE_ROLE):
            db.run(
                statement,
                access_key_id=use.access_key_id,
                used_us=use.used_us,
                service=use.service,
                region=use.region,
            )
