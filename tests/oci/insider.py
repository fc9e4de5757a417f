"""A test's way into a running server's database and keyring: what no API offers yet, or no client could make."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from openecr.access import tokens
from openecr.access.aws_managed import ADMINISTRATOR_ACCESS
from openecr.db import accounts, callers, identities
from openecr.db.connection import Connection
from openecr.keyring import Keyring, load_root_keys, open_keyring
from tests.running import Server

T = TypeVar("T")


@dataclass(frozen=True)
class Insider:
    """Reads and changes what a server that runs has stored."""

    server: Server

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change in a transaction of its own."""
        return self.server.write(change)

    @property
    def keyring(self) -> Keyring:
        """The deployment's keys, opened."""
        roots = load_root_keys(self.server.data_dir, os.environ, create=False)
        return self.write(lambda db: open_keyring(db, *roots))

    def access_key(self, account_id: str) -> str:
        """The id of an account's administrator's access key."""
        found = self.write(lambda db: accounts.administrator_key(db, account_id))
        assert found is not None
        return found.access_key_id

    def password(self, access_key_id: str, seconds: float = 3600) -> str:
        """A registry password that is good for so long from now; a negative time makes one that has expired."""
        return tokens.issue(self.keyring, access_key_id, int((time.time() + seconds) * 1_000_000))

    def add_principal(self, account_id: str, name: str, *, administrator: bool) -> str:
        """Add a principal to an account; the id of its access key."""
        access_key_id = f"AKIA{name.upper():X<16}"[:20]
        sealed = self.keyring.seal(b"a secret that no test uses", access_key_id)
        now_us = time.time_ns() // 1000

        def add(db: Connection) -> None:
            account = db.row("SELECT id FROM account WHERE account_id = :account_id", account_id=account_id)
            assert account is not None
            principal_key = identities.insert(
                db,
                int(account[0]),
                kind="user",
                name=name,
                unique_id=f"AIDA{name.upper()}",
                version=name,
                now_us=now_us,
            )
            assert principal_key is not None
            if administrator:
                identities.attach_policy(
                    db, principal_key, policy_arn=ADMINISTRATOR_ACCESS, policy_key=None, now_us=now_us
                )
            identities.insert_access_key(
                db, principal_key, access_key_id=access_key_id, sealed_secret=sealed, now_us=now_us
            )

        self.write(add)
        return access_key_id

    def deactivate(self, access_key_id: str) -> None:
        """Make an access key inactive."""

        def change(db: Connection) -> None:
            db.run("UPDATE access_key SET active = 0 WHERE access_key_id = :id", id=access_key_id)
            callers.forget(db)

        self.write(change)
