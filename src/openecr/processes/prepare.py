"""What the parent does before anything serves: lock, migrate, keys, the account and its administrator, the clock."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from openecr import data_dir
from openecr.access import aws_managed
from openecr.access.credentials import USER_ID, AccessKey, fresh_version, new_access_key, unique_id
from openecr.db import accounts, deployment, identities, vulnerability_data
from openecr.db.connection import Connection
from openecr.db.engines import migrate_database, open_database
from openecr.keyring import Keyring, create_missing_keys, load_root_keys, open_keyring, opening_root
from openecr.processes.lock import ServeLock
from openecr.processes.stores import check_stores
from openecr.services.kms.upkeep import adopt_named_keys
from openecr.settings import Settings, SettingsError

CREATED_US = "created_us"
_TRUE, _SHIFTED = "true", "shifted"
_CLOCK = re.compile(r"\+((?:[0-9]{1,6}[dhms])+)")
_UNIT_US = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data directory that is ready to be served."""

    lock: ServeLock
    is_new: bool
    clock_offset_us: int
    has_vulnerability_data: bool
    """Whether anything can be scanned."""


async def prepare(settings: Settings, environment: Mapping[str, str]) -> Prepared:
    """Check the data directory, take its lock, bring the database forward, and fill it at the first start.

    Raises:
        SettingsError, AlreadyServed, DatabaseUnusable, KeyringUnusable: one sentence with the remedy.
    """
    offset_us = None if settings.clock is None else clock_offset_us(settings.clock)
    data_dir.create(settings.data_dir)
    lock = ServeLock.take(settings.data_dir)
    await asyncio.to_thread(migrate_database, settings)
    database = await open_database(settings)
    try:
        restoring = await database.read(lambda db: deployment.find(db, deployment.RESTORING))
        if restoring is not None:
            raise SettingsError(
                f"filling this database from {restoring} was cut; run it again: openecr restore or migrate --to"
            )
        fresh = await database.read(lambda db: db.row("SELECT 1 FROM deployment_key") is None)
        if not fresh:
            roots = load_root_keys(settings.data_dir, environment, create=False)
            # What was committed before is opened too: a server that cannot open the keyring refuses to start.
            await database.read(lambda db: open_keyring(db, *roots))
        # Before any key is made: a start that fails for its stores leaves a database that any root key may begin.
        await check_stores(settings, database)
        if fresh:
            # A root key is made for a new deployment only: a lost one must not be replaced in silence.
            roots = load_root_keys(settings.data_dir, environment, create=True)
        now_us = time.time_ns() // 1000

        def fill(db: Connection) -> tuple[bool, int]:
            # Of several servers that start on an empty database at once, one fills it and the others find it full.
            deployment.lock(db)
            is_new = deployment.find(db, CREATED_US) is None
            if is_new:
                deployment.put(db, CREATED_US, str(now_us))
            shift_us = _set_clock(db, settings, offset_us, is_new=is_new)
            create_missing_keys(db, opening_root(db, *roots), now_us)
            keyring = open_keyring(db, *roots)
            adopt_named_keys(db, keyring, now_us)
            if accounts.find(db, settings.account_id) is None:
                create_account(db, keyring, settings.account_id, now_us)
            return is_new, shift_us

        is_new, shift_us = await database.write(fill)
        data = await database.read(vulnerability_data.current)
    finally:
        await database.close()
    return Prepared(lock, is_new, shift_us, data is not None)


def create_account(db: Connection, keyring: Keyring, account_id: str, now_us: int) -> AccessKey:
    """Add an account with an administrator and its access key, and tell the key."""
    account_key = accounts.insert(db, account_id, now_us)
    principal_key = identities.insert(
        db,
        account_key,
        kind=identities.USER,
        name="administrator",
        unique_id=unique_id(USER_ID),
        version=fresh_version(),
        administrator=True,
        now_us=now_us,
    )
    assert principal_key is not None  # noqa: S101 - the account is new
    identities.attach_policy(
        db, principal_key, policy_arn=aws_managed.ADMINISTRATOR_ACCESS, policy_key=None, now_us=now_us
    )
    made = new_access_key()
    sealed = keyring.seal(made.secret_access_key.encode(), context=made.access_key_id)
    identities.insert_access_key(
        db, principal_key, access_key_id=made.access_key_id, sealed_secret=sealed, now_us=now_us
    )
    return made


def administrator_key(db: Connection, keyring: Keyring, account_id: str) -> AccessKey | None:
    """The key of an account's administrator, opened."""
    found = accounts.administrator_key(db, account_id)
    if found is None:
        return None
    return AccessKey(found.access_key_id, keyring.unseal(found.sealed_secret, found.access_key_id).decode())


def clock_offset_us(text: str) -> int:
    """What ``--clock +181d`` means in µs; units are d, h, m and s."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise SettingsError(f"--clock '{text}' is not an offset; write it like +181d or +1d12h (d, h, m, s)")
    return sum(int(count) * _UNIT_US[unit] for count, unit in re.findall(r"([0-9]+)([dhms])", found[1]))


def _set_clock(db: Connection, settings: Settings, offset_us: int | None, *, is_new: bool) -> int:
    """Store the offset where it is allowed; the one in force."""
    if is_new:
        deployment.put(db, deployment.CLOCK, _TRUE if offset_us is None else _SHIFTED)
    if offset_us is not None:
        if deployment.find(db, deployment.CLOCK) != _SHIFTED:
            raise SettingsError(
                f"--clock works only on a data directory that was created with it, and {settings.data_dir} was not; "
                "choose a new one with --data-dir"
            )
        deployment.put(db, deployment.CLOCK_OFFSET_US, str(offset_us))
    return deployment.clock_offset_us(db)
