"""The job that encrypts what was stored before: it loses races, it never wins them wrongly."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.rows import REGISTRY, make_repository

from openecr.blobs.memory import MemoryStore
from openecr.db import encrypting, kms, layers, registries, repositories, uploads
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteDatabase
from openecr.deployment import Deployment
from openecr.keyring import create_missing_keys, open_keyring
from openecr.names import Digest
from openecr.services.ecr.encrypting import Encrypted, encrypt_stored
from openecr.services.kms import keys
from openecr.services.kms.upkeep import adopt_named_keys
from openecr.settings import Settings

T = TypeVar("T")
ROOT = bytes(32)
NOW_US = 1_800_000_000_000_000
HOUR_US = 3600 * 1_000_000
CONTENT = random.Random(1).randbytes(1_500_000)


class Watched(MemoryStore):
    """A store that lets a test act while an object is sealed."""

    before_seal: Callable[[], Any] | None = None

    async def seal(self, object_id: str, size_bytes: int) -> None:
        if self.before_seal is not None:
            await self.before_seal()
        await super().seal(object_id, size_bytes)


class World:
    """A deployment without planes."""

    def __init__(self, folder: Path) -> None:
        migrate(folder / "openecr.db")
        self.database = SqliteDatabase(folder / "openecr.db", lambda: NOW_US)
        self.store = Watched()
        self.decide(lambda db: create_missing_keys(db, ROOT, 0))
        self.deployment = Deployment(
            settings=Settings(data_dir=folder),
            database=self.database,
            blobs=self.store,
            keyring=self.decide(lambda db: open_keyring(db, ROOT)),
            now_us=lambda: NOW_US,
            wall_us=lambda: NOW_US,
            new_id=lambda: str(uuid.uuid4()),
            new_object_id=lambda _region: str(uuid.uuid4()),
            note_pull=lambda _key, _now_us: None,
        )

    def decide(self, change: Callable[[Connection], T]) -> T:
        async def write() -> T:
            return await self.database.write(change)

        return asyncio.run(write())

    def store_plain(self, content: bytes = CONTENT, encryption_key: str = "AES256:") -> str:
        """A plain blob; its object."""
        object_id = str(uuid.uuid4())

        async def append() -> None:
            writer = await self.store.open_writer(object_id, 0)
            writer.write(content)
            await writer.close()

        asyncio.run(append())
        self.decide(
            lambda db: layers.insert_blob(
                db,
                registry_key=registries.require_key(db, REGISTRY, NOW_US),
                encryption_key=encryption_key,
                object_id=object_id,
                size_bytes=len(content),
                digests=[Digest.of(content, "sha512").stored, Digest.of(content).stored],
                now_us=NOW_US,
            )
        )
        return object_id

    def encrypt(self) -> Encrypted:
        return asyncio.run(encrypt_stored(self.deployment))

    def read(self, object_id: str) -> bytes:
        """The bytes that a presigned URL of this object gets."""

        async def read() -> bytes:
            blob = await self.database.read(lambda db: layers.find_object(db, object_id))
            assert blob is not None
            store = await self.deployment.store_of(blob.data_key)
            return b"".join([piece async for piece in store.read(blob.object_id, 0, blob.size_bytes)])

        return asyncio.run(read())

    def discarded(self) -> dict[str, int]:
        rows = self.decide(lambda db: db.rows("SELECT object_id, due_us FROM discarded_object"))
        return {row[0]: row[1] for row in rows}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    asyncio.run(made.database.close())


def test_a_plain_layer_moves_into_an_encrypted_object_and_its_old_urls_find_it(world: World) -> None:
    old = world.store_plain()

    assert world.encrypt() == Encrypted(blobs=1, size_bytes=len(CONTENT))
    assert world.encrypt() == Encrypted()

    assert world.read(old) == CONTENT
    assert world.discarded() == {old: NOW_US + HOUR_US}
    (held,) = [content for object_id, content in world.store._objects.items() if object_id != old]
    assert CONTENT[:16] not in held


def test_every_layer_is_found_however_many_digests_and_steps_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openecr.services.ecr.encrypting._READ_BATCH", 2)
    old = [world.store_plain(bytes([number]) * 10) for number in range(5)]

    assert world.encrypt().blobs == 5
    assert [world.read(object_id) for object_id in old] == [bytes([number]) * 10 for number in range(5)]


def test_a_layer_that_is_collected_meanwhile_stays_collected(world: World) -> None:
    old = world.store_plain()

    def collect(db: Connection) -> None:
        db.run("DELETE FROM blob_digest WHERE blob_key = 1")
        db.run("DELETE FROM blob WHERE id = 1")
        uploads.discard_object(db, old, NOW_US)

    async def while_sealing() -> None:
        await world.database.write(collect)

    world.store.before_seal = while_sealing

    assert world.encrypt() == Encrypted(left=1)
    assert world.decide(lambda db: db.rows("SELECT id FROM blob")) == []
    discarded = world.discarded()
    assert set(discarded) == set(world.store._objects)
    assert set(discarded.values()) == {NOW_US}


def test_a_copy_that_took_too_long_is_not_named_by_the_row(world: World) -> None:
    """Whoever deletes what is due may have deleted it."""
    old = world.store_plain()

    async def while_sealing() -> None:
        await world.database.write(lambda db: db.run("UPDATE discarded_object SET due_us = :now_us", now_us=NOW_US))

    world.store.before_seal = while_sealing

    assert world.encrypt() == Encrypted(left=1)
    assert world.decide(lambda db: db.rows("SELECT object_id, cipher FROM blob")) == [(old, "none")]


def test_two_jobs_at_once_switch_a_row_once(world: World) -> None:
    world.store_plain()

    async def both() -> list[Encrypted]:
        return list(await asyncio.gather(encrypt_stored(world.deployment), encrypt_stored(world.deployment)))

    done = asyncio.run(both())
    assert sorted(item.blobs for item in done) == [0, 1]
    ((object_id,),) = world.decide(lambda db: db.rows("SELECT object_id FROM blob"))
    assert set(world.store._objects) - {object_id} == set(world.discarded())


def test_damage_is_not_sealed_as_good(world: World) -> None:
    old = world.store_plain()
    world.store._objects[old][7] ^= 1

    assert world.encrypt() == Encrypted(left=1)
    assert world.decide(lambda db: db.rows("SELECT object_id, cipher FROM blob")) == [(old, "none")]


def test_what_nothing_holds_is_left_to_the_collection(world: World) -> None:
    world.store_plain()
    world.decide(lambda db: db.run("UPDATE blob SET unheld_us = 1"))

    assert world.encrypt() == Encrypted()


def test_a_layer_under_a_disabled_key_waits_for_the_key(world: World) -> None:
    ring = world.deployment.keyring
    key = world.decide(lambda db: keys.make(db, ring, REGISTRY, kms.CUSTOMER_MANAGED, "", NOW_US))
    old = world.store_plain(encryption_key=f"KMS_DSSE:{key.arn}")
    world.decide(lambda db: kms.set_state(db, key.key, kms.DISABLED))
    assert world.encrypt() == Encrypted(left=1)

    world.decide(lambda db: kms.set_state(db, key.key, kms.ENABLED))
    assert world.encrypt().blobs == 1
    assert world.read(old) == CONTENT


def test_keys_that_were_named_before_there_was_a_kms_are_made_once(world: World) -> None:
    prefix = "arn:aws:kms:us-east-1:123456789012:"
    named = {"managed": f"{prefix}alias/aws/ecr", "mine": f"{prefix}alias/mine", "id": f"{prefix}key/k"}
    ring = world.deployment.keyring

    def prepare(db: Connection) -> None:
        for name, arn in named.items():
            make_repository(db, f"named/{name}", now_us=NOW_US, encryption_type="KMS", kms_key=arn)

    world.decide(prepare)
    world.store_plain(encryption_key=f"KMS:{named['mine']}")
    world.decide(lambda db: adopt_named_keys(db, ring, NOW_US))
    found = world.decide(lambda db: {name: repositories.find(db, REGISTRY, f"named/{name}") for name in named})
    for repository in found.values():
        assert repository is not None
        assert repository.kms_state == kms.ENABLED
        assert repository.kms_key is not None
        assert repository.kms_key.startswith(f"{prefix}key/")
    mine = found["mine"]
    assert mine is not None
    assert world.decide(lambda db: kms.find_by_alias(db, REGISTRY, "alias/mine")).arn == mine.kms_key  # type: ignore[union-attr]
    assert layers_scope(world) == {mine.encryption_key}
    before = world.decide(lambda db: kms.list_after(db, REGISTRY, 0, 10))
    world.decide(lambda db: adopt_named_keys(db, ring, NOW_US))
    assert world.decide(lambda db: kms.list_after(db, REGISTRY, 0, 10)) == before
    assert len(before) == 3
    assert world.encrypt().blobs == 1


def layers_scope(world: World) -> set[str]:
    rows = world.decide(
        lambda db: db.rows("SELECT encryption_key FROM blob UNION SELECT encryption_key FROM blob_digest")
    )
    return {row[0] for row in rows}


def test_stored_counts_what_is_stored_how(world: World) -> None:
    world.store_plain(b"one")
    world.store_plain(b"three")
    assert world.decide(encrypting.stored) == [encrypting.Stored("none", True, 2, 8)]
    world.encrypt()
    assert world.decide(encrypting.stored) == [encrypting.Stored("aes-256-gcm", True, 2, 8)]
