"""One store for each region that has its own: object ids say which."""

import asyncio
from pathlib import Path

import pytest

from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.memory import MemoryStore
from openecr.blobs.regions import RegionStores
from openecr.blobs.store import BlobStore, ObjectMissing, StoreFailed


async def stored(store: BlobStore, object_id: str, content: bytes) -> None:
    writer = await store.open_writer(object_id, 0)
    writer.write(content)
    await writer.close()
    await store.seal(object_id, len(content))


async def content_of(store: BlobStore, object_id: str, size_bytes: int) -> bytes:
    return b"".join([piece async for piece in store.read(object_id, 0, size_bytes)])


def test_new_objects_of_a_region_go_to_the_last_store_that_it_has() -> None:
    none = RegionStores(MemoryStore(), {})
    moved = RegionStores(MemoryStore(), {"eu-west-1": MemoryStore(), "eu-west-1_2": MemoryStore()})
    assert "." not in none.new_object_id("eu-west-1")
    assert moved.new_object_id("eu-west-1").startswith("eu-west-1_2.")
    assert "." not in moved.new_object_id("us-east-1")


def test_objects_stay_readable_where_they_are_after_their_region_moved(tmp_path: Path) -> None:
    async def scenario() -> None:
        default, first, second = (FilesystemStore(tmp_path / name) for name in ("default", "first", "second"))
        stages = [
            RegionStores(default, {}),
            RegionStores(default, {"eu-west-1": first}),
            RegionStores(default, {"eu-west-1": first, "eu-west-1_2": second}),
        ]
        made = [stage.new_object_id("eu-west-1") for stage in stages]
        for stage, object_id in zip(stages, made, strict=True):
            await stored(stage, object_id, object_id.encode())
        for object_id in made:
            assert await content_of(stages[-1], object_id, len(object_id)) == object_id.encode()
        assert [len(list((tmp_path / name).rglob("*-*-*"))) for name in ("default", "first", "second")] == [1, 1, 1]
        await stages[-1].delete_many(made)
        for object_id in made:
            with pytest.raises(ObjectMissing):
                await content_of(stages[-1], object_id, 1)

    asyncio.run(scenario())


def test_a_store_that_no_setting_names_is_told_with_the_remedy() -> None:
    lost = RegionStores(MemoryStore(), {"eu-west-1": MemoryStore()}).new_object_id("eu-west-1")
    with pytest.raises(StoreFailed, match="in the store eu-west-1, which no setting names; give --region-blobs"):
        asyncio.run(RegionStores(MemoryStore(), {}).delete(lost))


def test_an_upload_that_began_before_its_region_moved_is_taken_over_into_the_new_store(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        stores = RegionStores(FilesystemStore(tmp_path), {"eu-west-1": MemoryStore()})
        old, new = stores.new_object_id("us-east-1"), stores.new_object_id("eu-west-1")
        writer = await stores.open_writer(old, 0)
        writer.write(b"counted, and not counted")
        await writer.close()
        await stores.copy_prefix(old, new, 7)
        writer = await stores.open_writer(new, 7)
        writer.write(b" on")
        await writer.close()
        await stores.seal(new, 10)
        return await content_of(stores, new, 10)

    assert asyncio.run(scenario()) == b"counted on"


def test_a_take_over_that_fails_makes_no_object() -> None:
    async def scenario() -> None:
        stores = RegionStores(MemoryStore(), {"eu-west-1": MemoryStore()})
        old, new = stores.new_object_id("us-east-1"), stores.new_object_id("eu-west-1")
        await stored(stores, old, b"short")
        with pytest.raises(ObjectMissing):
            await stores.copy_prefix(old, new, 6)
        with pytest.raises(ObjectMissing):
            await stores.seal(new, 0)

    asyncio.run(scenario())
