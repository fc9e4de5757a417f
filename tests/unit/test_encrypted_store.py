"""An encrypted object: nothing of it is plain, and nothing that was changed is ever handed on."""

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.blob_writing import append

from openecr.blobs.encrypted import SEGMENT_BYTES, EncryptedStore, plain_size_bytes, stored_size_bytes
from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.store import BlobDamaged, ObjectMissing

KEY = bytes(range(32))
CONTENT = random.Random(1).randbytes(3 * SEGMENT_BYTES + 5000)
STORED_SEGMENT = SEGMENT_BYTES + 28


class Object:
    """An object of ``CONTENT`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.inner = FilesystemStore(folder)
        self.store = EncryptedStore(self.inner, KEY)
        self.id = str(uuid4())
        run(append(self.store, self.id, 0, CONTENT))
        found = self.inner.path(self.id)
        assert found is not None
        self.file = found

    def read(self, start: int = 0, end: int = len(CONTENT), store: EncryptedStore | None = None) -> bytes:
        """What a reader is handed before it ends, or before it is told of damage."""
        handed = bytearray()

        async def scenario() -> None:
            async with aclosing((store or self.store).read(self.id, start, end)) as pieces:
                async for piece in pieces:
                    handed.extend(piece)

        try:
            run(scenario())
        except BlobDamaged as damaged:
            damaged.args = (*damaged.args, bytes(handed))
            raise
        return bytes(handed)


@pytest.fixture
def stored(tmp_path: Path) -> Object:
    return Object(tmp_path / "objects")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_no_plain_bytes_are_stored(stored: Object) -> None:
    held = stored.file.read_bytes()

    assert len(held) == stored_size_bytes(len(CONTENT))
    assert not any(CONTENT[at : at + 16] in held for at in range(0, len(CONTENT) - 16, 4099))


@pytest.mark.parametrize("size", [0, 1, 5, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 7 * SEGMENT_BYTES + 3])
def test_the_two_sizes_belong_together(size: int) -> None:
    assert plain_size_bytes(stored_size_bytes(size)) == size


@pytest.mark.parametrize("segment", range(4))
@pytest.mark.parametrize("where", ["nonce", "bytes", "tag"])
def test_one_flipped_bit_is_told_and_nothing_from_its_segment_on_is_handed_on(
    stored: Object, segment: int, where: str
) -> None:
    held = bytearray(stored.file.read_bytes())
    end = min((segment + 1) * STORED_SEGMENT, len(held))
    held[{"nonce": segment * STORED_SEGMENT, "bytes": end - 1000, "tag": end - 1}[where]] ^= 0x10
    stored.file.write_bytes(held)

    with pytest.raises(BlobDamaged, match=f"segment {segment} of object {stored.id}") as told:
        stored.read()

    assert told.value.args[1] == CONTENT[: segment * SEGMENT_BYTES]
    with pytest.raises(BlobDamaged):
        run(stored.store.digests(stored.id, ("sha256",)))


def test_damage_costs_only_the_ranges_that_touch_it(stored: Object) -> None:
    held = bytearray(stored.file.read_bytes())
    held[STORED_SEGMENT + 500] ^= 1
    stored.file.write_bytes(held)

    assert stored.read(0, SEGMENT_BYTES) == CONTENT[:SEGMENT_BYTES]
    assert stored.read(2 * SEGMENT_BYTES, len(CONTENT)) == CONTENT[2 * SEGMENT_BYTES :]
    with pytest.raises(BlobDamaged):
        stored.read(SEGMENT_BYTES + 3, SEGMENT_BYTES + 4)


def swap(held: bytes) -> bytes:
    return held[STORED_SEGMENT : 2 * STORED_SEGMENT] + held[:STORED_SEGMENT] + held[2 * STORED_SEGMENT :]


def leave_one_out(held: bytes) -> bytes:
    return held[:STORED_SEGMENT] + held[2 * STORED_SEGMENT :]


def repeat_one(held: bytes) -> bytes:
    return held[:STORED_SEGMENT] * 2 + held[2 * STORED_SEGMENT :]


@pytest.mark.parametrize("change", [swap, repeat_one])
def test_segments_in_another_order_are_told(stored: Object, change: Callable[[bytes], bytes]) -> None:
    stored.file.write_bytes(change(stored.file.read_bytes()))

    with pytest.raises(BlobDamaged):
        stored.read()


@pytest.mark.parametrize("cut", [1, 28, 5000, 5028, 6000, STORED_SEGMENT])
def test_an_object_that_was_cut_is_missing_what_its_row_says(stored: Object, cut: int) -> None:
    os.truncate(stored.file, stored.file.stat().st_size - cut)

    with pytest.raises(ObjectMissing):
        stored.read()
    with pytest.raises(ObjectMissing):
        run(stored.store.seal(stored.id, len(CONTENT)))


def test_a_segment_that_was_left_out_makes_the_object_too_short(stored: Object) -> None:
    stored.file.write_bytes(leave_one_out(stored.file.read_bytes()))

    with pytest.raises(ObjectMissing):
        stored.read()


def test_another_key_opens_nothing(stored: Object) -> None:
    with pytest.raises(BlobDamaged):
        stored.read(0, 10, EncryptedStore(stored.inner, bytes(32)))


def test_a_segment_of_another_object_is_told(stored: Object, tmp_path: Path) -> None:
    other = EncryptedStore(stored.inner, bytes(32))
    other_id = str(uuid4())
    run(append(other, other_id, 0, CONTENT))
    path = stored.inner.path(other_id)
    assert path is not None
    stored.file.write_bytes(path.read_bytes()[:STORED_SEGMENT] + stored.file.read_bytes()[STORED_SEGMENT:])

    with pytest.raises(BlobDamaged):
        stored.read()


def test_no_nonce_is_used_twice_when_a_segment_is_written_again(stored: Object) -> None:
    before = stored.file.read_bytes()[3 * STORED_SEGMENT :][:12]

    run(append(stored.store, stored.id, len(CONTENT), b"more"))

    assert stored.file.read_bytes()[3 * STORED_SEGMENT :][:12] != before
    assert stored.read(0, len(CONTENT) + 4) == CONTENT + b"more"


def test_a_writer_that_was_killed_leaves_whole_segments_and_says_so(stored: Object) -> None:
    """The incomplete last segment is in the memory of the writer only: as kill -9 leaves it."""
    kept = 3 * SEGMENT_BYTES

    async def scenario() -> None:
        writer = await stored.store.open_writer(stored.id, len(CONTENT))
        writer.write(b"never closed")
        assert writer.kept_bytes == kept
        assert await stored.store.size_bytes(stored.id) == kept
        with pytest.raises(ObjectMissing):
            await stored.store.open_writer(stored.id, len(CONTENT))
        with pytest.raises(ObjectMissing):
            await stored.store.copy_prefix(stored.id, str(uuid4()), len(CONTENT))
        target = str(uuid4())
        await stored.store.copy_prefix(stored.id, target, kept)
        await append(stored.store, target, kept, CONTENT[kept:])
        stored.id = target

    run(scenario())
    assert stored.read() == CONTENT


def test_a_last_segment_that_was_half_written_is_not_continued(stored: Object) -> None:
    os.truncate(stored.file, stored.file.stat().st_size - 100)

    with pytest.raises(BlobDamaged):
        run(stored.store.open_writer(stored.id, 3 * SEGMENT_BYTES + 100))
    with pytest.raises(BlobDamaged):
        run(stored.store.copy_prefix(stored.id, str(uuid4()), 3 * SEGMENT_BYTES + 100))
    run(stored.store.open_writer(stored.id, 3 * SEGMENT_BYTES))


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_appends_and_cuts_reads_back(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    store = EncryptedStore(FilesystemStore(tmp_path / "objects"), KEY)
    object_id, content = str(uuid4()), b""

    async def scenario() -> None:
        nonlocal content
        for _ in range(12):
            offset = choose.choice([len(content), choose.randint(0, len(content))])
            pieces = [choose.randbytes(choose.choice([1, 1000, SEGMENT_BYTES, 1_500_000])) for _ in range(3)]
            await append(store, object_id, offset, *pieces)
            content = content[:offset] + b"".join(pieces)
            start = choose.randint(0, len(content))
            end = choose.randint(start, len(content))
            read = b"".join([piece async for piece in store.read(object_id, start, end)])
            assert read == content[start:end]

    run(scenario())
