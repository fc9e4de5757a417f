"""What only the S3 store has: uploads in parts that another process goes on with, states, take-overs, redirects."""

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.object_store import ObjectStore, fetch

from openecr.blobs.s3 import S3Store
from openecr.blobs.s3_location import parse
from openecr.blobs.s3_uploads import HELD_BYTES, PART_BYTES
from openecr.blobs.store import PIECE_BYTES, ObjectMissing, StoreFailed
from openecr.settings import SettingsError

MIB = 1024 * 1024
LARGE = hashlib.shake_256(b"large").digest(3 * PART_BYTES + HELD_BYTES + 12_345)
OTHER = hashlib.shake_256(b"other").digest(2 * PART_BYTES + 99)


@pytest.fixture
def opened(object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], S3Store]:
    """Opens the bucket as another process does: nothing is remembered."""
    for name, value in object_store.credentials.items():
        monkeypatch.setenv(name, value)
    return lambda: S3Store(parse(object_store.url(bucket)))


async def append(store: S3Store, object_id: str, offset_bytes: int, content: bytes) -> None:
    writer = await store.open_writer(object_id, offset_bytes)
    try:
        for start in range(0, len(content), PIECE_BYTES):
            writer.write(content[start : start + PIECE_BYTES])
            await writer.drain()
    finally:
        await writer.close()


async def content_of(store: S3Store, object_id: str, size_bytes: int) -> bytes:
    return b"".join([piece async for piece in store.read(object_id, 0, size_bytes)])


def keys_of(object_store: ObjectStore, bucket: str, object_id: str) -> list[str]:
    listed = object_store.client().list_objects_v2(Bucket=bucket, Prefix=f"layers/{object_id}")
    return [item["Key"].removeprefix(f"layers/{object_id}") for item in listed.get("Contents", ())]


def open_uploads(object_store: ObjectStore, bucket: str, object_id: str) -> int:
    listed = object_store.client().list_multipart_uploads(Bucket=bucket, Prefix=f"layers/{object_id}")
    return len(listed.get("Uploads", ()))


@pytest.mark.parametrize(
    "cuts",
    [
        (),
        (1,),
        (PART_BYTES,),
        (PART_BYTES + HELD_BYTES,),
        (PART_BYTES + HELD_BYTES - 1, PART_BYTES + HELD_BYTES),
        (5, 2 * PART_BYTES, 2 * PART_BYTES + 1, 3 * PART_BYTES),
        tuple(range(MIB, len(LARGE), 4 * MIB)),
    ],
)
def test_each_request_may_reach_another_process(
    opened: Callable[[], S3Store], object_store: ObjectStore, bucket: str, cuts: tuple[int, ...]
) -> None:
    edges = (0, *cuts, len(LARGE))

    async def scenario() -> bytes:
        object_id = str(uuid4())
        for start, end in itertools.pairwise(edges):
            await append(opened(), object_id, start, LARGE[start:end])
        await opened().seal(object_id, len(LARGE))
        assert keys_of(object_store, bucket, object_id) == [""]
        assert open_uploads(object_store, bucket, object_id) == 0
        return await content_of(opened(), object_id, len(LARGE))

    assert asyncio.run(scenario()) == LARGE


@pytest.mark.parametrize("counted", [3, PART_BYTES, 2 * PART_BYTES + HELD_BYTES, 2 * PART_BYTES + HELD_BYTES + 7])
@pytest.mark.parametrize("same_process", [True, False])
def test_what_a_broken_request_left_beyond_the_counted_bytes_is_cut_off(
    opened: Callable[[], S3Store], counted: int, same_process: bool
) -> None:
    expected = LARGE[:counted] + OTHER

    async def scenario() -> bytes:
        object_id = str(uuid4())
        first = opened()
        await append(first, object_id, 0, LARGE[:counted])
        await append(first, object_id, counted, LARGE[counted:])
        again = first if same_process else opened()
        await append(again, object_id, counted, OTHER)
        await again.seal(object_id, len(expected))
        return await content_of(again, object_id, len(expected))

    assert asyncio.run(scenario()) == expected


@pytest.mark.parametrize("cut", [0, 9, PART_BYTES - 1, 2 * PART_BYTES + 5])
def test_an_arbitrary_cut_takes_the_slow_way_and_is_right(opened: Callable[[], S3Store], cut: int) -> None:
    expected = LARGE[:cut] + OTHER

    async def scenario() -> bytes:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        await append(opened(), object_id, cut, OTHER)
        await opened().seal(object_id, len(expected))
        return await content_of(opened(), object_id, len(expected))

    assert asyncio.run(scenario()) == expected


@pytest.mark.parametrize("back", [1, 1000, HELD_BYTES])
def test_going_on_from_a_little_before_the_end_needs_no_copy(
    opened: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch, back: int
) -> None:
    offset = len(LARGE) - back

    async def scenario() -> bytes:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        again = opened()
        monkeypatch.setattr(again.bucket, "copy_part", None)
        await append(again, object_id, offset, OTHER)
        await again.seal(object_id, offset + len(OTHER))
        return await content_of(again, object_id, offset + len(OTHER))

    assert asyncio.run(scenario()) == LARGE[:offset] + OTHER


def test_beginning_again_voids_every_state_of_before(
    opened: Callable[[], S3Store], object_store: ObjectStore, bucket: str
) -> None:
    async def scenario() -> tuple[bytes, bytes]:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        await append(opened(), object_id, 0, OTHER)
        await append(opened(), object_id, 0, b"small")
        await append(opened(), object_id, 5, b" and on")
        await opened().seal(object_id, 12)
        small = await content_of(opened(), object_id, 12)
        await append(opened(), object_id, 0, OTHER)
        await opened().seal(object_id, len(OTHER))
        large = await content_of(opened(), object_id, len(OTHER))
        await opened().delete(object_id)
        assert keys_of(object_store, bucket, object_id) == []
        return small, large

    assert asyncio.run(scenario()) == (b"small and on", OTHER)


def test_sealing_is_the_same_twice_and_from_two_processes_at_once(opened: Callable[[], S3Store]) -> None:
    async def scenario() -> bytes:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        await asyncio.gather(*(opened().seal(object_id, len(LARGE)) for _ in range(2)))
        await opened().seal(object_id, len(LARGE))
        with pytest.raises(ObjectMissing):
            await opened().seal(object_id, len(LARGE) - 1)
        return await content_of(opened(), object_id, len(LARGE))

    assert asyncio.run(scenario()) == LARGE


def test_a_seal_of_another_size_is_refused_while_there_are_parts(opened: Callable[[], S3Store]) -> None:
    async def scenario() -> None:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        for wrong in (len(LARGE) - 1, len(LARGE) + 1):
            with pytest.raises(ObjectMissing):
                await opened().seal(object_id, wrong)
        await opened().seal(object_id, len(LARGE))

    asyncio.run(scenario())


def test_an_upload_goes_on_after_it_was_hashed_whole(opened: Callable[[], S3Store]) -> None:
    async def scenario() -> tuple[dict[str, bytes], bytes]:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE)
        digests = await opened().digests(object_id, ("sha256",))
        await append(opened(), object_id, len(LARGE), OTHER)
        await opened().seal(object_id, len(LARGE) + len(OTHER))
        return digests, await content_of(opened(), object_id, len(LARGE) + len(OTHER))

    digests, content = asyncio.run(scenario())
    assert digests == {"sha256": hashlib.sha256(LARGE).digest()}
    assert content == LARGE + OTHER


@pytest.mark.parametrize("taken", [5, PART_BYTES + HELD_BYTES + 1, len(LARGE)])
def test_a_writer_that_was_taken_over_can_do_no_harm(opened: Callable[[], S3Store], taken: int) -> None:
    """The old writer has parts on their way when another takes the counted bytes; then it goes on, and closes."""

    async def scenario() -> bytes:
        source, target = str(uuid4()), str(uuid4())
        await append(opened(), source, 0, LARGE[:taken])
        stalled = await opened().open_writer(source, taken)
        stalled.write(b"x" * (PART_BYTES + HELD_BYTES))
        await stalled.drain()
        await opened().copy_prefix(source, target, taken)
        with contextlib.suppress(StoreFailed):
            for _ in range(3):
                stalled.write(b"y" * PART_BYTES)
                await stalled.drain()
        with contextlib.suppress(StoreFailed):
            await stalled.close()
        await append(opened(), target, taken, OTHER)
        await opened().seal(target, taken + len(OTHER))
        return await content_of(opened(), target, taken + len(OTHER))

    assert asyncio.run(scenario()) == LARGE[:taken] + OTHER


def test_an_upload_can_be_taken_over_again_after_a_take_over_that_broke_off(
    opened: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch, object_store: ObjectStore, bucket: str
) -> None:
    def crash(*_arguments: object) -> None:
        raise StoreFailed("the process was killed here")

    async def scenario() -> bytes:
        source, lost, target = str(uuid4()), str(uuid4()), str(uuid4())
        await append(opened(), source, 0, LARGE)
        broken = opened()
        monkeypatch.setattr(broken.bucket, "copy_part", crash)
        with pytest.raises(StoreFailed):
            await broken.copy_prefix(source, lost, len(LARGE))
        assert keys_of(object_store, bucket, lost) == []
        assert open_uploads(object_store, bucket, lost) == 0
        await opened().copy_prefix(source, target, len(LARGE))
        await opened().seal(target, len(LARGE))
        await opened().delete(source)
        assert keys_of(object_store, bucket, source) == []
        return await content_of(opened(), target, len(LARGE))

    assert asyncio.run(scenario()) == LARGE


@pytest.mark.parametrize("rest", [b"", b"x", OTHER])
def test_parts_of_a_request_that_was_not_counted_are_not_in_the_object(
    opened: Callable[[], S3Store], rest: bytes
) -> None:
    counted = PART_BYTES + HELD_BYTES + 1

    async def scenario() -> bytes:
        object_id = str(uuid4())
        await append(opened(), object_id, 0, LARGE[:counted])
        await append(opened(), object_id, counted, LARGE + LARGE)
        await append(opened(), object_id, counted, rest)
        await opened().seal(object_id, counted + len(rest))
        return await content_of(opened(), object_id, counted + len(rest))

    assert asyncio.run(scenario()) == LARGE[:counted] + rest


def test_deleting_an_open_upload_gives_its_parts_back(
    opened: Callable[[], S3Store], object_store: ObjectStore, bucket: str
) -> None:
    async def scenario() -> None:
        killed, left = str(uuid4()), str(uuid4())
        await append(opened(), left, 0, LARGE)
        writer = await opened().open_writer(killed, 0)
        writer.write(LARGE)
        await writer.drain()  # and then its process is gone
        assert open_uploads(object_store, bucket, left) == 1
        assert open_uploads(object_store, bucket, killed) == 1
        await opened().delete_many([killed, left])
        for object_id in (killed, left):
            assert open_uploads(object_store, bucket, object_id) == 0
            assert keys_of(object_store, bucket, object_id) == []
        with contextlib.suppress(StoreFailed):
            await writer.close()

    asyncio.run(scenario())


def test_a_presigned_url_serves_the_object_without_openecr_until_it_expires(opened: Callable[[], S3Store]) -> None:
    async def scenario() -> str:
        object_id = str(uuid4())
        store = opened()
        await append(store, object_id, 0, OTHER)
        await store.seal(object_id, len(OTHER))
        url = store.url(object_id, 60)
        assert url is not None
        return url

    url = asyncio.run(scenario())
    assert fetch(url) == (200, OTHER)
    assert fetch(url, Range="bytes=5-9") == (206, OTHER[5:10])
    assert "X-Amz-Expires=60" in url
    assert fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))[0] == 403


def test_the_public_endpoint_is_what_clients_are_told(
    object_store: ObjectStore, bucket: str, opened: Callable[[], S3Store]
) -> None:
    public = S3Store(parse(object_store.url(bucket, public_endpoint="https://layers.example.com:8443")))
    off = S3Store(parse(object_store.url(bucket, redirect="off")))
    object_id = str(uuid4())
    assert str(public.url(object_id, 60)).startswith(f"https://layers.example.com:8443/{bucket}/layers/{object_id}?")
    assert off.url(object_id, 60) is None


def test_wrong_credentials_are_told_with_the_remedy(
    opened: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SettingsError, match="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        asyncio.run(opened().check(str(uuid4()), is_marked=False))


def test_a_bucket_that_is_not_there_is_told_with_the_remedy(
    object_store: ObjectStore, opened: Callable[[], S3Store]
) -> None:
    name = f"openecr-test-none-{uuid4().hex[:8]}"
    store = S3Store(parse(object_store.url(name)))
    with pytest.raises(SettingsError, match=f"there is no bucket {name} at .*; create it"):
        asyncio.run(store.check(str(uuid4()), is_marked=False))


def test_without_credentials_nobody_asks_the_machines_metadata(
    object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", object_store.endpoint)
    with pytest.raises(SettingsError, match="there are no credentials for s3://"):
        S3Store(parse(object_store.url(bucket))).connect()
