"""The contract of a blob store, clause by clause; every backend passes all of it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest
from tests.blob_writing import append

from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.store import PIECE_BYTES, BlobStore, ObjectMissing
from openecr.errors import StorageFull
from openecr.settings import SettingsError

CONTENT = hashlib.shake_256(b"openecr").digest(2 * PIECE_BYTES + 1000)
TRICKS = [
    "",
    ".",
    "..",
    "../../../../etc/passwd",
    "ab/../../x",
    "/etc/passwd",
    "00000000-0000-4000-8000-00000000000\x00",
    "00000000-0000-4000-8000-000000000000\n",
    "eu-west-1.",
    "eu-west-1/00000000-0000-4000-8000-000000000000",
    "../eu-west-1.00000000-0000-4000-8000-000000000000",
    "00000000-0000-4000-8000-000000000000/x",
    "00000000-0000-4000-8000-00000000000A",
    "00000000-0000-4000-8000-00000000000٠",
]


def new_id() -> str:
    return str(uuid4())


async def stored(store: BlobStore, content: bytes) -> str:
    object_id = new_id()
    await append(store, object_id, 0, content)
    await store.seal(object_id, len(content))
    return object_id


async def drain(pieces: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])


async def content_of(store: BlobStore, object_id: str, size_bytes: int) -> bytes:
    return await drain(store.read(object_id, 0, size_bytes))


def test_what_was_written_in_pieces_is_read_back_whole(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(store, object_id, 0, CONTENT[:10], CONTENT[10:11], CONTENT[11:])
        await store.seal(object_id, len(CONTENT))
        return await content_of(store, object_id, len(CONTENT))

    assert asyncio.run(scenario()) == CONTENT


def test_an_object_may_be_empty(store: BlobStore) -> None:
    async def scenario() -> tuple[bytes, dict[str, bytes]]:
        object_id = await stored(store, b"")
        return await content_of(store, object_id, 0), await store.digests(object_id, ("sha256",))

    content, digests = asyncio.run(scenario())
    assert content == b""
    assert digests == {"sha256": hashlib.sha256(b"").digest()}


def test_a_second_writer_continues_where_the_first_stopped(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(store, object_id, 0, CONTENT[:1000])
        await append(store, object_id, 1000, CONTENT[1000:])
        await store.seal(object_id, len(CONTENT))
        return await content_of(store, object_id, len(CONTENT))

    assert asyncio.run(scenario()) == CONTENT


def test_bytes_beyond_the_offset_are_cut_off(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(store, object_id, 0, b"kept", b"lost by a worker that died")
        await append(store, object_id, 4, b" and new")
        await store.seal(object_id, 12)
        return await content_of(store, object_id, 12)

    assert asyncio.run(scenario()) == b"kept and new"


def test_starting_again_at_zero_leaves_nothing_of_before(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(store, object_id, 0, b"before")
        await append(store, object_id, 0, b"now")
        await store.seal(object_id, 3)
        return await content_of(store, object_id, 3)

    assert asyncio.run(scenario()) == b"now"


def test_an_offset_past_the_end_is_refused_and_changes_nothing(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(store, object_id, 0, b"short")
        with pytest.raises(ObjectMissing):
            await store.open_writer(object_id, 6)
        return await content_of(store, object_id, 5)

    assert asyncio.run(scenario()) == b"short"


def test_continuing_an_object_that_is_not_there_is_refused(store: BlobStore) -> None:
    async def scenario() -> None:
        await store.open_writer(new_id(), 1)

    with pytest.raises(ObjectMissing):
        asyncio.run(scenario())


def test_closing_a_writer_twice_is_no_error(store: BlobStore) -> None:
    async def scenario() -> None:
        writer = await store.open_writer(new_id(), 0)
        await writer.close()
        await writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("claimed", [0, 4, 6])
def test_a_seal_of_another_size_is_refused(store: BlobStore, claimed: int) -> None:
    async def scenario() -> None:
        object_id = new_id()
        await append(store, object_id, 0, b"bytes")
        await store.seal(object_id, claimed)

    with pytest.raises(ObjectMissing):
        asyncio.run(scenario())


def test_sealing_twice_is_no_error(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = await stored(store, b"bytes")
        await store.seal(object_id, 5)
        return await content_of(store, object_id, 5)

    assert asyncio.run(scenario()) == b"bytes"


def test_digests_are_those_of_the_whole_object(store: BlobStore) -> None:
    async def scenario() -> dict[str, bytes]:
        return await store.digests(await stored(store, CONTENT), ("sha256", "sha512"))

    assert asyncio.run(scenario()) == {
        "sha256": hashlib.sha256(CONTENT).digest(),
        "sha512": hashlib.sha512(CONTENT).digest(),
    }


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 0),
        (0, 1),
        (1, 2),
        (PIECE_BYTES - 1, PIECE_BYTES),
        (PIECE_BYTES - 1, PIECE_BYTES + 1),
        (PIECE_BYTES, 2 * PIECE_BYTES),
        (5, PIECE_BYTES + 5),
        (len(CONTENT) - 1, len(CONTENT)),
        (len(CONTENT), len(CONTENT)),
        (0, len(CONTENT)),
    ],
)
def test_a_range_is_exactly_its_bytes(store: BlobStore, start: int, end: int) -> None:
    async def scenario() -> bytes:
        return await drain(store.read(await stored(store, CONTENT), start, end))

    assert asyncio.run(scenario()) == CONTENT[start:end]


def test_pieces_are_no_longer_than_promised(store: BlobStore) -> None:
    async def scenario() -> list[int]:
        object_id = await stored(store, CONTENT)
        return [len(piece) async for piece in store.read(object_id, 0, len(CONTENT))]

    assert asyncio.run(scenario()) == [PIECE_BYTES, PIECE_BYTES, 1000]


def test_a_range_past_the_end_is_refused_before_its_first_byte(store: BlobStore) -> None:
    async def scenario() -> None:
        object_id = await stored(store, b"bytes")
        await anext(store.read(object_id, 0, 6))

    with pytest.raises(ObjectMissing):
        asyncio.run(scenario())


def test_a_missing_object_is_told_when_iteration_begins(store: BlobStore) -> None:
    async def scenario() -> None:
        pieces = store.read(new_id(), 0, 1)
        with pytest.raises(ObjectMissing):
            await anext(pieces)

    asyncio.run(scenario())


def test_readers_at_once_each_get_their_own_range(store: BlobStore) -> None:
    ranges = [(start, start + PIECE_BYTES + 17) for start in range(0, PIECE_BYTES, PIECE_BYTES // 16)]

    async def scenario() -> list[bytes]:
        object_id = await stored(store, CONTENT)
        return await asyncio.gather(*(drain(store.read(object_id, start, end)) for start, end in ranges))

    assert asyncio.run(scenario()) == [CONTENT[start:end] for start, end in ranges]


def test_a_reader_that_began_finishes_though_the_object_is_deleted(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = await stored(store, CONTENT)
        async with aclosing(store.read(object_id, 0, len(CONTENT))) as pieces:
            first = await anext(pieces)
            await store.delete(object_id)
            return first + b"".join([piece async for piece in pieces])

    assert asyncio.run(scenario()) == CONTENT


def test_a_reader_may_stop_early(store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = await stored(store, CONTENT)
        async with aclosing(store.read(object_id, 0, len(CONTENT))) as pieces:
            await anext(pieces)
        return await content_of(store, object_id, len(CONTENT))

    assert asyncio.run(scenario()) == CONTENT


def test_a_deleted_object_is_missing_and_deleting_it_again_is_no_error(store: BlobStore) -> None:
    async def scenario() -> None:
        object_id = await stored(store, b"bytes")
        await store.delete(object_id)
        await store.delete(object_id)
        with pytest.raises(ObjectMissing):
            await content_of(store, object_id, 5)
        with pytest.raises(ObjectMissing):
            await store.seal(object_id, 5)
        with pytest.raises(ObjectMissing):
            await store.digests(object_id, ("sha256",))
        assert store.path(object_id) is None

    asyncio.run(scenario())


def test_many_are_deleted_at_once_and_those_that_are_gone_are_no_error(store: BlobStore) -> None:
    async def scenario() -> None:
        objects = [await stored(store, b"bytes") for _ in range(3)]
        kept = await stored(store, b"kept")
        await store.delete_many([*objects, new_id()])
        await store.delete_many(objects)
        await store.delete_many([])
        for object_id in objects:
            with pytest.raises(ObjectMissing):
                await content_of(store, object_id, 5)
        assert await content_of(store, kept, 4) == b"kept"

    asyncio.run(scenario())


def test_a_store_that_works_passes_its_check_and_keeps_the_deployments_mark(store: BlobStore) -> None:
    async def scenario() -> None:
        mark = new_id()
        await store.check(mark, is_marked=False)
        await store.check(mark, is_marked=True)
        with pytest.raises(SettingsError, match=r"deployment-.* is missing there; give the --blobs or --region-blobs"):
            await store.check(new_id(), is_marked=True)

    asyncio.run(scenario())


def test_a_copied_prefix_is_an_object_of_its_own(store: BlobStore) -> None:
    async def scenario() -> tuple[bytes, bytes]:
        source, target = new_id(), new_id()
        await append(store, source, 0, CONTENT)
        await store.copy_prefix(source, target, PIECE_BYTES + 7)
        await append(store, source, 0, b"the old writer goes on")
        await append(store, target, PIECE_BYTES + 7, b"the new one too")
        await store.seal(target, PIECE_BYTES + 22)
        return await content_of(store, source, 22), await content_of(store, target, PIECE_BYTES + 22)

    source, target = asyncio.run(scenario())
    assert source == b"the old writer goes on"
    assert target == CONTENT[: PIECE_BYTES + 7] + b"the new one too"


def test_an_empty_prefix_makes_an_empty_object(store: BlobStore) -> None:
    async def scenario() -> None:
        target = new_id()
        await store.copy_prefix(await stored(store, b"bytes"), target, 0)
        await store.seal(target, 0)

    asyncio.run(scenario())


def test_a_prefix_longer_than_its_source_is_refused_and_makes_nothing(store: BlobStore) -> None:
    async def scenario() -> None:
        source, target = await stored(store, b"bytes"), new_id()
        with pytest.raises(ObjectMissing):
            await store.copy_prefix(source, target, 6)
        with pytest.raises(ObjectMissing):
            await store.seal(target, 0)

    asyncio.run(scenario())


def test_a_prefix_never_replaces_an_object(store: BlobStore) -> None:
    async def scenario() -> bytes:
        source, target = await stored(store, b"source"), await stored(store, b"target")
        with pytest.raises(FileExistsError):
            await store.copy_prefix(source, target, 6)
        return await content_of(store, target, 6)

    assert asyncio.run(scenario()) == b"target"


@pytest.mark.parametrize("object_id", TRICKS)
def test_an_id_that_is_none_is_refused_everywhere(store: BlobStore, object_id: str) -> None:
    async def scenario() -> None:
        good = await stored(store, b"bytes")
        with pytest.raises(ValueError, match="is not an object id"):
            await store.open_writer(object_id, 0)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.copy_prefix(object_id, new_id(), 0)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.copy_prefix(good, object_id, 0)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.seal(object_id, 0)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.digests(object_id, ("sha256",))
        with pytest.raises(ValueError, match="is not an object id"):
            await anext(store.read(object_id, 0, 1))
        with pytest.raises(ValueError, match="is not an object id"):
            store.path(object_id)
        with pytest.raises(ValueError, match="is not an object id"):
            store.url(object_id, 60)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.delete(object_id)
        with pytest.raises(ValueError, match="is not an object id"):
            await store.delete_many([good, object_id])

    asyncio.run(scenario())


def test_a_path_holds_exactly_the_objects_bytes_where_there_is_one(store: BlobStore) -> None:
    async def scenario() -> Path | None:
        return store.path(await stored(store, CONTENT))

    path = asyncio.run(scenario())
    assert path is None or path.read_bytes() == CONTENT


def test_a_full_disk_keeps_the_pieces_before_and_nothing_of_the_one_that_failed(small_store: BlobStore) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        writer = await small_store.open_writer(object_id, 0)
        writer.write(b"kept")
        with pytest.raises(StorageFull):
            writer.write(bytes(2 * 1024 * 1024))
        writer.write(b" still")
        await writer.close()
        await small_store.seal(object_id, 10)
        return await content_of(small_store, object_id, 10)

    assert asyncio.run(scenario()) == b"kept still"


def test_a_full_disk_makes_no_half_copy(small_store: BlobStore) -> None:
    async def scenario() -> None:
        source, target = await stored(small_store, bytes(700 * 1024)), new_id()
        with pytest.raises(StorageFull):
            await small_store.copy_prefix(source, target, 700 * 1024)
        with pytest.raises(ObjectMissing):
            await small_store.seal(target, 0)

    asyncio.run(scenario())


def test_a_full_disk_takes_new_objects_once_others_are_deleted(small_store: BlobStore) -> None:
    async def scenario() -> None:
        first = await stored(small_store, bytes(700 * 1024))
        with pytest.raises(StorageFull):
            await stored(small_store, bytes(700 * 1024))
        await small_store.delete(first)
        await stored(small_store, bytes(300 * 1024))

    asyncio.run(scenario())


def test_a_sealed_object_survives_reopening(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        object_id = await stored(FilesystemStore(tmp_path / "objects"), CONTENT)
        return await content_of(FilesystemStore(tmp_path / "objects"), object_id, len(CONTENT))

    assert asyncio.run(scenario()) == CONTENT


def test_an_unsealed_object_is_continued_after_reopening(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        object_id = new_id()
        await append(FilesystemStore(tmp_path / "objects"), object_id, 0, b"first")
        again = FilesystemStore(tmp_path / "objects")
        await append(again, object_id, 5, b" second")
        await again.seal(object_id, 12)
        return await content_of(again, object_id, 12)

    assert asyncio.run(scenario()) == b"first second"


def test_an_object_says_how_long_it_is(store: BlobStore) -> None:
    async def scenario() -> tuple[int, int]:
        object_id = new_id()
        await append(store, object_id, 0, CONTENT[:PIECE_BYTES])
        first = await store.size_bytes(object_id)
        await append(store, object_id, PIECE_BYTES, CONTENT[PIECE_BYTES:])
        with pytest.raises(ObjectMissing):
            await store.size_bytes(new_id())
        return first, await store.size_bytes(object_id)

    assert asyncio.run(scenario()) == (PIECE_BYTES, len(CONTENT))


def test_a_closed_writer_has_kept_everything(store: BlobStore) -> None:
    async def scenario() -> int | None:
        writer = await store.open_writer(await stored(store, CONTENT), PIECE_BYTES + 5)
        writer.write(b"more")
        await writer.close()
        return writer.kept_bytes

    assert asyncio.run(scenario()) == PIECE_BYTES + 9


def test_a_writer_that_cannot_be_closed_says_what_the_object_still_holds(small_store: BlobStore) -> None:
    async def scenario() -> tuple[int | None, int]:
        object_id, filler = new_id(), new_id()
        await append(small_store, object_id, 0, bytes(700 * 1024))
        await append(small_store, filler, 0, bytes(250 * 1024))
        writer = await small_store.open_writer(object_id, 700 * 1024)
        try:
            writer.write(bytes(200 * 1024))
            await writer.close()
        except StorageFull:
            await writer.close()
        return writer.kept_bytes, await small_store.size_bytes(object_id)

    kept_bytes, size_bytes = asyncio.run(scenario())
    assert kept_bytes == size_bytes
    assert size_bytes < 900 * 1024
