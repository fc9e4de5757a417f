"""The end of an upload while another request of its owner still writes to it: the layer has the bytes of its digest."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rows import REGISTRY, make_repository

from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.store import PIECE_BYTES
from openecr.db import layers, repositories
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteDatabase
from openecr.deployment import Deployment
from openecr.errors import InvalidLayerPart
from openecr.keyring import create_missing_keys, open_keyring
from openecr.names import Digest
from openecr.origin import OCI, Origin
from openecr.processes.prepare import create_account
from openecr.services.ecr.upload_completion import complete_upload
from openecr.services.ecr.upload_parts import append
from openecr.services.ecr.uploads import begin
from openecr.settings import Settings
from openecr.waist import Flow, Waist

ACCOUNT = "123456789012"
ROOT = bytes(32)
FIRST, SECOND = b"first " * 1000, b"second " * 1000


class Meddled(FilesystemStore):
    """A store in which something else happens just before an upload is made durable."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.before_seal: Callable[[], Awaitable[None]] | None = None

    async def seal(self, object_id: str, size_bytes: int) -> None:
        meddle, self.before_seal = self.before_seal, None
        if meddle is not None:
            await meddle()
        await super().seal(object_id, size_bytes)


class World:
    """A deployment without planes, and one upload in it."""

    def __init__(self, folder: Path, encryption: str) -> None:
        migrate(folder / "openecr.db")
        self.database = SqliteDatabase(folder / "openecr.db")
        self.store = Meddled(folder / "blobs")
        self.settings = Settings(data_dir=folder, encryption=encryption)

    async def start(self) -> None:
        """Make the account, the repository and the upload."""
        self.flow, self.target = await self._begin()

    async def _begin(self) -> tuple[Flow, dict[str, Any]]:
        def fill(db: Connection) -> str:
            create_missing_keys(db, ROOT, 0)
            key = create_account(db, open_keyring(db, ROOT), ACCOUNT, 1)
            make_repository(db)
            return key.access_key_id

        access_key_id = await self.database.write(fill)
        self.deployment = Deployment(
            settings=self.settings,
            database=self.database,
            blobs=self.store,
            keyring=await self.database.read(lambda db: open_keyring(db, ROOT)),
            now_us=self.database.clock_us,
            wall_us=self.database.clock_us,
            new_id=lambda: str(uuid.uuid4()),
            new_object_id=lambda _region: str(uuid.uuid4()),
            note_pull=lambda _key, _now_us: None,
        )
        origin = Origin("request", access_key_id, REGISTRY, "http://localhost", self.database.clock_us(), OCI)
        flow = Flow(Waist(self.deployment), origin)
        upload_id = await flow.run(begin, repository_name="app", upload_id=str(uuid.uuid4()))
        return flow, {"repository_name": "app", "upload_id": upload_id}

    async def patch(self, content: bytes, told_bytes: int | None = None) -> None:
        """Append to the upload, as a request does."""

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        await append(self.flow, **self.target, pieces=pieces(), told_bytes=told_bytes)

    async def complete(self, *digests: Digest) -> Digest:
        """End the upload."""
        spare_id = self.deployment.new_object_id("us-east-1")
        return await self.flow.run(complete_upload, **self.target, digests=digests, spare_id=spare_id)

    async def stored(self, digest: Digest) -> bytes:
        """The bytes that the layer is served with."""

        def find(db: Connection) -> layers.Blob | None:
            repository = repositories.find(db, REGISTRY, "app")
            assert repository is not None
            return layers.find_blob(db, repository.registry_key, repository.encryption_key, digest.stored)

        blob = await self.database.read(find)
        assert blob is not None
        store = await self.deployment.store_of(blob.data_key)
        assert await store.size_bytes(blob.object_id) == blob.size_bytes
        return b"".join([piece async for piece in store.read(blob.object_id, 0, blob.size_bytes)])


@pytest.fixture(params=["on", "storage"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


def play(world: World, scenario: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(30):
            await world.start()
            await scenario()
            await world.database.close()

    asyncio.run(timed())


def test_a_request_that_appends_while_the_upload_is_sealed_costs_no_byte(world: World) -> None:
    both = Digest.of(FIRST + SECOND)

    async def scenario() -> None:
        await world.patch(FIRST)
        with pytest.raises(InvalidLayerPart):
            await world.patch(b"left behind " * 100, told_bytes=7)  # bytes beyond what is counted
        world.store.before_seal = lambda: world.patch(SECOND)
        assert await world.complete(Digest.of(FIRST), both) == both
        assert await world.stored(both) == FIRST + SECOND

    play(world, scenario)


def test_what_a_refused_part_left_is_no_part_of_the_layer(world: World) -> None:
    async def scenario() -> None:
        await world.patch(FIRST)
        with pytest.raises(InvalidLayerPart):
            await world.patch(b"left behind " * 100, told_bytes=7)
        assert await world.complete(Digest.of(FIRST)) == Digest.of(FIRST)
        assert await world.stored(Digest.of(FIRST)) == FIRST

    play(world, scenario)


def test_another_algorithm_than_the_one_that_was_counted_hashes_the_counted_bytes(world: World) -> None:
    sha512 = Digest.from_raw("sha512", hashlib.sha512(FIRST).digest())

    async def scenario() -> None:
        await world.patch(FIRST)
        with pytest.raises(InvalidLayerPart):
            await world.patch(b"left behind " * 100, told_bytes=7)
        assert await world.complete(sha512) == sha512
        assert await world.stored(Digest.of(FIRST)) == FIRST

    play(world, scenario)


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_layers_of_any_size_are_sealed(world: World, size_bytes: int) -> None:
    content = bytes(size_bytes)

    async def scenario() -> None:
        if size_bytes:
            await world.patch(content)
        assert await world.complete(Digest.of(content)) == Digest.of(content)
        assert await world.stored(Digest.of(content)) == content

    play(world, scenario)
