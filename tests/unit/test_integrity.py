"""The scrub's pace and memory, and the hold that keeps objects, on a real database with a clock that the test moves."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openecr.blobs.memory import MemoryStore
from openecr.blobs.store import ObjectMissing
from openecr.db import deployment as facts
from openecr.db import holds, integrity, layers, registries, uploads
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteDatabase
from openecr.deployment import Deployment
from openecr.keyring import Keyring
from openecr.names import Digest, RegistryName
from openecr.services.ecr.integrity import scrub
from openecr.services.ecr.upkeep import delete_discarded_objects
from openecr.settings import Settings

DAY_US = 86_400 * 1_000_000
SIZE = 1000


@dataclass
class World:
    """A deployment without planes."""

    path: Path
    now_us: int = 1_800_000_000_000_000

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        migrate(self.path)

    def run(self, work: Callable[[Deployment], Awaitable[Any]]) -> Any:
        """Do something in a process of its own, as far as the database can tell."""

        async def inside() -> Any:
            database = SqliteDatabase(self.path, lambda: self.now_us)
            settings = Settings(data_dir=self.path.parent, scrub_days=10)
            deployment = Deployment(
                settings=settings,
                database=database,
                blobs=self.store,
                keyring=Keyring({}),
                now_us=database.clock_us,
                wall_us=database.clock_us,
                new_id=lambda: str(uuid.uuid4()),
                new_object_id=lambda _region: str(uuid.uuid4()),
                note_pull=lambda _key, _now_us: None,
            )
            try:
                return await work(deployment)
            finally:
                await database.close()

        return asyncio.run(inside())

    def decide(self, change: Callable[[Connection], Any]) -> Any:
        return self.run(lambda deployment: deployment.database.write(change))

    def add(self, number: int) -> str:
        """A layer that nothing damages yet; its object."""
        object_id, content = str(uuid.uuid4()), bytes([number]) * SIZE

        async def write(_: Deployment) -> None:
            writer = await self.store.open_writer(object_id, 0)
            writer.write(content)
            await writer.close()

        self.run(write)
        self.decide(
            lambda db: layers.insert_blob(
                db,
                registry_key=registries.require_key(db, RegistryName("123456789012", "us-east-1"), self.now_us),
                encryption_key="AES256:",
                object_id=object_id,
                size_bytes=SIZE,
                digests=[Digest.of(content).stored],
                now_us=self.now_us,
            )
        )
        return object_id

    def damage(self, object_id: str) -> None:
        async def write(_: Deployment) -> None:
            writer = await self.store.open_writer(object_id, SIZE - 1)
            writer.write(b"\xff")
            await writer.close()

        self.run(write)

    def scrub(self, most_bytes: int = 10**9) -> scrub.Scrubbed:
        done: scrub.Scrubbed = self.run(lambda deployment: scrub.scrub(deployment, most_bytes))
        return done

    def quarantined(self) -> int:
        return int(self.decide(integrity.count_quarantined))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "openecr.db")


def test_a_pass_reads_every_layer_once_at_the_pace_of_its_days(world: World) -> None:
    for number in range(20):
        world.add(number)
    assert world.scrub().blobs == 0

    world.now_us += DAY_US
    assert world.scrub().blobs == 2
    assert world.scrub().blobs == 0  # not before its time
    world.now_us += 4 * DAY_US
    assert world.scrub().blobs == 8
    assert world.decide(lambda db: facts.find(db, scrub.FINISHED_US)) is None
    world.now_us += 5 * DAY_US
    last = world.scrub()

    assert (last.blobs, last.ended_pass) == (10, True)
    assert world.decide(lambda db: facts.find(db, scrub.FINISHED_US)) == str(world.now_us)


def test_a_turn_is_bounded_in_bytes_and_the_next_goes_on_there(world: World) -> None:
    for number in range(20):
        world.add(number)
    world.scrub()
    world.now_us += 11 * DAY_US
    turns = []
    while not (turn := world.scrub(3 * SIZE)).ended_pass:
        turns.append(turn.blobs)
    assert turns == [3] * 6
    assert turn.blobs == 2


def test_what_is_damaged_is_quarantined(world: World) -> None:
    objects = [world.add(number) for number in range(4)]
    world.damage(objects[2])
    world.scrub()
    world.now_us += 10 * DAY_US

    assert world.scrub().damaged == 1

    assert world.quarantined() == 1
    assert world.decide(lambda db: layers.find_object(db, objects[2])) is None
    assert world.decide(lambda db: layers.find_object(db, objects[1])) is not None


def test_a_store_that_is_not_there_is_not_believed(world: World) -> None:
    for number in range(60):
        world.add(number)
    world.scrub()
    world.now_us += 10 * DAY_US
    world.store = MemoryStore()

    world.scrub()

    assert world.quarantined() == 0


def test_a_layer_that_is_gone_is_quarantined(world: World) -> None:
    objects = [world.add(number) for number in range(3)]
    world.scrub()
    world.now_us += 10 * DAY_US
    world.run(lambda deployment: deployment.blobs.delete(objects[0]))

    assert world.scrub().damaged == 1


def test_objects_stay_while_they_are_held_and_go_when_the_lease_of_a_dead_holder_ends(world: World) -> None:
    object_id = world.add(1)
    world.decide(lambda db: uploads.discard_object(db, object_id, world.now_us))
    world.decide(lambda db: holds.take(db, "a backup that is killed", 600 * 1_000_000))

    def delete() -> int:
        deleted: int = world.run(lambda deployment: delete_discarded_objects(deployment.database, deployment.blobs))
        return deleted

    world.now_us += 599 * 1_000_000
    assert delete() == 0
    world.now_us += 2 * 1_000_000
    assert not world.decide(lambda db: holds.renew(db, "a backup that is killed", 600 * 1_000_000))
    assert delete() == 1
    with pytest.raises(ObjectMissing):
        world.run(lambda deployment: deployment.blobs.seal(object_id, SIZE))
