"""What a collection takes, and what it must leave: on a real database, with a clock that the test moves."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engines import Engine
from tests.rows import REGISTRY, make_repository

from openecr.blobs.memory import MemoryStore
from openecr.blobs.store import ObjectMissing
from openecr.db import images, layers, repositories, trash, uploads
from openecr.db.connection import Connection, Database
from openecr.db.images import Reference
from openecr.names import Digest
from openecr.services.ecr import garbage
from openecr.services.ecr.garbage import Collected
from openecr.settings import Settings

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US
CONTENT = b"the bytes of a layer"
DIGEST = Digest.of(CONTENT).stored
OBJECT = "0b6bbd06-9c52-4e65-8c5e-580c80c9dc36"


@dataclass
class World:
    """A deployment without planes."""

    database: Database
    store: MemoryStore
    settings: Settings
    now_us: int = 1_800_000_000_000_000

    def decide(self, change: Any) -> Any:
        async def write() -> Any:
            return await self.database.write(change)

        return run(write())

    def collect(self) -> Collected:
        collected: Collected = run(garbage.collect(self.database, self.store, self.settings))
        return collected

    def holds_bytes(self) -> bool:
        async def read() -> bytes:
            return b"".join([piece async for piece in self.store.read(OBJECT, 0, len(CONTENT))])

        try:
            return bool(run(read()) == CONTENT)
        except ObjectMissing:
            return False


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> Iterator[World]:
    made = World(engine.database(lambda: made.now_us), MemoryStore(), Settings(data_dir=tmp_path))
    run(_store_layer(made))
    yield made
    run(made.database.close())


async def _store_layer(world: World) -> None:
    """A repository with one layer, promised for a day."""
    writer = await world.store.open_writer(OBJECT, 0)
    writer.write(CONTENT)
    await writer.close()
    await world.store.seal(OBJECT, len(CONTENT))

    def insert(db: Connection) -> None:
        repository = make_repository(db, "app", now_us=world.now_us)
        blob = layers.insert_blob(
            db,
            registry_key=repository.registry_key,
            encryption_key=repository.encryption_key,
            object_id=OBJECT,
            size_bytes=len(CONTENT),
            digests=[DIGEST],
            now_us=world.now_us,
        )
        _link(db, world, repository.key, blob.key)

    await world.database.write(insert)


def _repository(db: Connection, name: str = "app") -> repositories.Repository:
    found = repositories.find(db, REGISTRY, name)
    assert found is not None
    return found


def _link(db: Connection, world: World, repository_key: int, blob_key: int) -> int:
    until_us = world.now_us + DAY_US
    return layers.link(db, repository_key, DIGEST, blob_key, promised_until_us=until_us, now_us=world.now_us)


def _push_image(world: World, tag: str = "v1") -> None:
    def insert(db: Connection) -> None:
        repository = _repository(db)
        layer = layers.find(db, repository.key, DIGEST, world.now_us)
        assert layer is not None
        key = images.insert(
            db,
            repository_key=repository.key,
            digest=Digest.of(tag.encode()).stored,
            media_type="m",
            artifact_type=None,
            config_media_type=None,
            subject_digest=None,
            annotations=None,
            pushed_us=world.now_us,
            manifest=tag.encode(),
            ever_tagged=True,
        )
        images.insert_references(db, repository.key, key, [Reference(0, DIGEST, "m", layer_key=layer.key)])
        images.set_tag(db, repository.key, tag, key, world.now_us)

    world.decide(insert)


def _delete_image(world: World, tag: str = "v1") -> None:
    def delete(db: Connection) -> None:
        repository = _repository(db)
        image = images.find_tagged(db, repository.key, tag)
        assert image is not None
        _to_trash(db, world, repository, trash.IMAGE, layers.of_image(db, image.key), {})
        images.delete(db, image.key)

    world.decide(delete)


def _to_trash(
    db: Connection, world: World, repository: repositories.Repository, kind: str, held: Any, document: dict[str, object]
) -> None:
    trash.put(
        db,
        registry_key=repository.registry_key,
        repository_name=repository.name,
        kind=kind,
        digest=DIGEST,
        tags=(),
        document=document,
        manifest=b"",
        layers=held,
        deleted_us=world.now_us,
        deleted_by="test",
        reason="test",
    )


def test_a_promised_layer_stays(world: World) -> None:
    world.now_us += DAY_US - 1

    assert world.collect() == Collected()
    assert world.holds_bytes()


def test_a_layer_that_an_image_names_stays_however_old(world: World) -> None:
    _push_image(world)
    world.now_us += 400 * DAY_US

    assert world.collect() == Collected()
    assert world.holds_bytes()


def test_an_abandoned_layer_goes_once_the_last_presigned_url_ended(world: World) -> None:
    world.now_us += DAY_US + 1
    assert world.collect() == Collected(links=1)
    assert world.holds_bytes()

    world.now_us += HOUR_US - 1
    assert world.collect() == Collected()
    assert world.holds_bytes()

    world.now_us += 1
    assert world.collect() == Collected(blobs=1, size_bytes=len(CONTENT))
    assert not world.holds_bytes()


def test_the_trash_keeps_a_deleted_images_layers_for_its_days(world: World) -> None:
    _push_image(world)
    _delete_image(world)
    world.now_us += 7 * DAY_US - 1

    assert world.collect() == Collected(links=1)
    assert world.holds_bytes()

    world.now_us += 1
    assert world.collect() == Collected(deletions=1)
    world.now_us += HOUR_US
    assert world.collect() == Collected(blobs=1, size_bytes=len(CONTENT))
    assert not world.holds_bytes()


def test_a_blob_that_is_linked_again_while_it_waits_stays(world: World) -> None:
    world.now_us += DAY_US + 1
    world.collect()

    def link_again(db: Connection) -> None:
        repository = _repository(db)
        blob = layers.find_blob(db, repository.registry_key, repository.encryption_key, DIGEST)
        assert blob is not None
        _link(db, world, repository.key, blob.key)

    world.decide(link_again)
    world.now_us += 2 * HOUR_US

    assert world.collect() == Collected()
    assert world.holds_bytes()


def test_the_wait_begins_anew_when_a_blob_was_held_in_between(world: World) -> None:
    test_a_blob_that_is_linked_again_while_it_waits_stays(world)
    world.now_us += DAY_US

    assert world.collect() == Collected(links=1)
    world.now_us += HOUR_US - 1
    assert world.collect() == Collected()
    assert world.holds_bytes()


def test_a_blob_that_another_repository_links_stays(world: World) -> None:
    def share(db: Connection) -> None:
        other = make_repository(db, "other", now_us=world.now_us)
        layer = layers.find(db, _repository(db).key, DIGEST, world.now_us)
        assert layer is not None
        key = layers.link(
            db, other.key, DIGEST, layer.blob_key, promised_until_us=world.now_us + 90 * DAY_US, now_us=world.now_us
        )
        assert key != layer.key

    world.decide(share)
    world.now_us += 2 * DAY_US
    assert world.collect() == Collected(links=1)
    world.now_us += 2 * DAY_US

    assert world.collect() == Collected()
    assert world.holds_bytes()


def test_a_trashed_repository_goes_whole_with_indexes_uploads_and_tags(world: World) -> None:
    _push_image(world)
    _push_image(world, "v2")

    def trash_it(db: Connection) -> None:
        repository = _repository(db)
        first, second = (images.find_tagged(db, repository.key, tag) for tag in ("v1", "v2"))
        assert first is not None
        assert second is not None
        images.insert_references(db, repository.key, first.key, [Reference(1, b"", "m", child_key=second.key)])
        uploads.insert(
            db,
            upload_id="u",
            repository_key=repository.key,
            principal_key=1,
            object_id="11111111-1111-4111-8111-111111111111",
            now_us=world.now_us,
        )
        _to_trash(db, world, repository, trash.REPOSITORY, (), {"repositoryKey": repository.key})
        repositories.move_to_trash(db, repository.key, world.now_us)

    world.decide(trash_it)
    world.now_us += 7 * DAY_US

    assert world.collect() == Collected(deletions=1)
    world.now_us += HOUR_US
    assert world.collect() == Collected(blobs=1, size_bytes=len(CONTENT))
    for table in ("repository", "image", "tag", "layer", "image_layer", "image_child", "upload", "trash", "blob"):
        assert asyncio.run(world.database.read(lambda db, table=table: db.rows(f"SELECT 1 FROM {table}"))) == []  # type: ignore[misc]


def test_a_repository_that_was_taken_back_is_left_alone(world: World) -> None:
    _push_image(world)

    def trash_and_restore(db: Connection) -> None:
        repository = _repository(db)
        _to_trash(db, world, repository, trash.REPOSITORY, (), {"repositoryKey": repository.key})
        repositories.move_to_trash(db, repository.key, world.now_us)
        assert repositories.restore(db, repository.key, "app")

    world.decide(trash_and_restore)
    world.now_us += 30 * DAY_US

    assert world.collect() == Collected(deletions=1)
    assert world.holds_bytes()
    assert asyncio.run(world.database.read(lambda db: images.find_tagged(db, _repository(db).key, "v1"))) is not None


def test_a_plan_says_what_a_collection_then_does_and_changes_nothing(world: World) -> None:
    world.now_us += DAY_US + 1
    planned, _ = asyncio.run(world.database.read(lambda db: garbage.plan(db, world.settings)))
    assert planned == world.collect() == Collected(links=1)

    world.now_us += HOUR_US // 2
    planned, waiting = asyncio.run(world.database.read(lambda db: garbage.plan(db, world.settings)))
    assert (planned.blobs, waiting.blobs, waiting.size_bytes) == (0, 1, len(CONTENT))

    world.now_us += HOUR_US
    planned, _ = asyncio.run(world.database.read(lambda db: garbage.plan(db, world.settings)))
    assert planned == world.collect() == Collected(blobs=1, size_bytes=len(CONTENT))
