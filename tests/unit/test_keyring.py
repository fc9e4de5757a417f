"""The keyring: what is sealed opens only here, keys rotate with overlap, and a bad root key is told in one sentence."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr import keyring
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteDatabase
from openecr.keyring import (
    RENEW_SECONDS,
    ROOT_KEY_VARIABLE,
    SIGNS_AFTER_US,
    USES,
    Keyring,
    KeyringUnusable,
    load_root_keys,
)

T = TypeVar("T")
ROOT = b"r" * 32
RING = Keyring({use: {1: use.encode().ljust(32, b"1"), 2: use.encode().ljust(32, b"2")} for use in USES})


class TestSecrets:
    @given(st.binary(max_size=200), st.text(max_size=20))
    def test_what_was_sealed_opens_in_its_own_context(self, plain: bytes, context: str) -> None:
        try:
            sealed = RING.seal(plain, context)
        except UnicodeEncodeError:
            return
        assert RING.unseal(sealed, context) == plain
        assert len(plain) < 8 or plain not in sealed
        with pytest.raises(KeyringUnusable):
            RING.unseal(sealed, context + "x")

    @given(st.data())
    def test_a_changed_byte_closes_it(self, data: st.DataObject) -> None:
        sealed = bytearray(RING.seal(b"a secret", "row"))
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
        with pytest.raises(KeyringUnusable):
            RING.unseal(bytes(sealed), "row")

    @given(st.binary(max_size=60))
    def test_any_bytes_are_refused(self, sealed: bytes) -> None:
        with pytest.raises(KeyringUnusable):
            RING.unseal(sealed, "row")

    def test_one_secret_is_never_sealed_twice_alike(self) -> None:
        assert RING.seal(b"a secret", "row") != RING.seal(b"a secret", "row")


class TestSignatures:
    @given(st.sampled_from(USES), st.binary(max_size=50))
    def test_the_newest_key_signs(self, use: str, message: bytes) -> None:
        key_id, signature = RING.sign(use, message)
        assert key_id == 2
        assert RING.verifies(use, key_id, message, signature)
        assert not RING.verifies(use, 1, message, signature)
        assert not RING.verifies(use, 3, message, signature)
        assert not RING.verifies(use, key_id, message + b"x", signature)
        assert not any(RING.verifies(other, key_id, message, signature) for other in USES if other != use)


def opened(path: Path, root: bytes, *changes: str) -> Keyring:
    """The keyring of a database, after some statements."""

    async def run() -> Keyring:
        database = SqliteDatabase(path)

        def change(db: Connection) -> None:
            keyring.create_missing_keys(db, ROOT, now_us=1)
            for use in changes:
                keyring.add_key(db, ROOT, use, now_us=2)

        try:
            await database.write(change)
            return await database.read(lambda db: keyring.open_keyring(db, root))
        finally:
            await database.close()

    return asyncio.run(run())


class TestDeploymentKeys:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        migrate(tmp_path / "openecr.db")
        return tmp_path / "openecr.db"

    def test_every_use_has_a_key_and_keeps_it(self, path: Path) -> None:
        first = opened(path, ROOT)
        assert set(first.keys) == set(USES)
        assert all(len(keys) == 1 for keys in first.keys.values())
        assert opened(path, ROOT) == first
        assert len({key for keys in first.keys.values() for key in keys.values()}) == len(USES)

    def test_a_new_key_signs_and_the_old_one_still_verifies(self, path: Path) -> None:
        key_id, signature = opened(path, ROOT).sign("registry-token", b"message")
        rotated = opened(path, ROOT, "registry-token")
        assert rotated.sign("registry-token", b"message")[0] > key_id
        assert rotated.verifies("registry-token", key_id, b"message", signature)

    def test_another_root_key_opens_nothing(self, path: Path) -> None:
        with pytest.raises(KeyringUnusable, match="the root key does not open this database's keys"):
            opened(path, b"s" * 32)

    def test_the_database_holds_no_key_as_it_is(self, path: Path) -> None:
        ring = opened(path, ROOT)
        content = b"".join(each.read_bytes() for each in path.parent.glob("openecr.db*") if each.is_file())
        assert not any(key in content for keys in ring.keys.values() for key in keys.values())


class TestRootKey:
    def test_it_is_made_once_and_is_its_owners_alone(self, tmp_path: Path) -> None:
        made = load_root_keys(tmp_path, {}, create=True)
        assert load_root_keys(tmp_path, {}, create=False) == made
        assert load_root_keys(tmp_path, {}, create=True) == made
        assert keyring.root_key_path(tmp_path).stat().st_mode & 0o777 == 0o600

    def test_the_environments_comes_first(self, tmp_path: Path) -> None:
        load_root_keys(tmp_path, {}, create=True)
        assert load_root_keys(tmp_path, {ROOT_KEY_VARIABLE: "ab" * 32}, create=False) == (b"\xab" * 32,)

    def test_none_is_told_with_its_remedy(self, tmp_path: Path) -> None:
        with pytest.raises(KeyringUnusable, match=f"restore it, or set {ROOT_KEY_VARIABLE}"):
            load_root_keys(tmp_path, {}, create=False)

    def test_one_that_others_can_read_is_told_with_its_remedy(self, tmp_path: Path) -> None:
        load_root_keys(tmp_path, {}, create=True)
        keyring.root_key_path(tmp_path).chmod(0o640)
        with pytest.raises(KeyringUnusable, match="chmod 600"):
            load_root_keys(tmp_path, {}, create=False)

    @pytest.mark.parametrize("text", ["", "xy", "ab" * 31, "ab" * 33, "g" * 64])
    def test_one_that_is_malformed_is_told(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(KeyringUnusable, match="64 hex digits"):
            load_root_keys(tmp_path, {ROOT_KEY_VARIABLE: text}, create=False)


class TestRenewal:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        migrate(tmp_path / "openecr.db")
        return tmp_path / "openecr.db"

    def change(self, path: Path, work: Callable[[Connection], T], now_us: int = 0) -> T:
        async def run() -> T:
            database = SqliteDatabase(path, lambda: now_us)
            try:
                return await database.write(work)
            finally:
                await database.close()

        return asyncio.run(run())

    def test_a_new_key_verifies_at_once_and_signs_when_everybody_has_read_it(self, path: Path) -> None:
        self.change(path, lambda db: keyring.create_missing_keys(db, ROOT, 0))
        ring = self.change(path, lambda db: keyring.open_keyring(db, ROOT))
        before = ring.sign("layer-url", b"message")
        new = self.change(path, lambda db: keyring.add_key(db, ROOT, "layer-url", 100))

        self.change(path, lambda db: keyring.renew(ring, db, lambda: [ROOT]), now_us=100 + SIGNS_AFTER_US - 1)
        assert ring.sign("layer-url", b"message") == before
        assert new in ring.keys["layer-url"]

        self.change(path, lambda db: keyring.renew(ring, db, lambda: [ROOT]), now_us=100 + SIGNS_AFTER_US)
        assert ring.sign("layer-url", b"message")[0] == new
        assert ring.verifies("layer-url", before[0], b"message", before[1])

    def test_the_signing_age_is_longer_than_two_renewals(self) -> None:
        assert SIGNS_AFTER_US / 1_000_000 > 2 * RENEW_SECONDS

    def test_what_is_open_stays_open_under_a_new_root_key_and_what_is_new_needs_it(self, path: Path) -> None:
        other = b"s" * 32
        self.change(path, lambda db: keyring.create_missing_keys(db, ROOT, 0))
        ring = self.change(path, lambda db: keyring.open_keyring(db, ROOT))
        before = dict(ring.keys)

        assert self.change(path, lambda db: keyring.rewrap(db, [ROOT], other)) == len(USES)
        self.change(path, lambda db: keyring.renew(ring, db, lambda: [ROOT]))
        assert dict(ring.keys) == before
        new = self.change(path, lambda db: keyring.add_key(db, other, "secrets", 0))
        with pytest.raises(KeyringUnusable):
            self.change(path, lambda db: keyring.renew(ring, db, lambda: [ROOT]))
        assert dict(ring.keys) == before
        self.change(path, lambda db: keyring.renew(ring, db, lambda: [other, ROOT]))
        assert new in ring.keys["secrets"]

    def test_a_rotation_that_ends_anywhere_leaves_a_root_key_that_opens(self, path: Path) -> None:
        """The file holds both before the keys are wrapped anew, and the new one alone after."""
        other = b"s" * 32
        self.change(path, lambda db: keyring.create_missing_keys(db, ROOT, 0))
        keyring.write_root_keys(path.parent, [other, ROOT])
        both = load_root_keys(path.parent, {}, create=False)
        assert both == (other, ROOT)
        opened = self.change(path, lambda db: keyring.open_keyring(db, *both))
        assert self.change(path, lambda db: keyring.opening_root(db, *both)) == ROOT

        self.change(path, lambda db: keyring.rewrap(db, both, other))
        assert self.change(path, lambda db: keyring.open_keyring(db, *both)) == opened
        assert self.change(path, lambda db: keyring.opening_root(db, *both)) == other
        with pytest.raises(KeyringUnusable):
            self.change(path, lambda db: keyring.open_keyring(db, ROOT))
