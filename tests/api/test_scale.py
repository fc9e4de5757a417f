"""A repository with many images: the last page costs the database what the first costs, counted in its own steps."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from openecr.db import images
from openecr.db.connection import Connection
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteConnection, SqliteDatabase
from tests.api.support import all_of, push
from tests.places import ON_EVERY_PLACE
from tests.registry_client import RegistryClient
from tests.rows import REGISTRY, make_repository
from tests.running import Server

pytestmark = ON_EVERY_PLACE

COUNT = 10_000
PAGE = 100


def digest_of(number: int) -> bytes:
    return b"\x01" + hashlib.sha256(b"%d" % number).digest()


def fill(db: Connection) -> None:
    """A repository of many images, each with a tag."""
    make_repository(db, "big/app", now_us=0)
    for number in range(COUNT):
        key = images.insert(
            db,
            repository_key=1,
            digest=digest_of(number),
            media_type="application/vnd.oci.image.manifest.v1+json",
            artifact_type=None,
            config_media_type=None,
            subject_digest=None,
            annotations=None,
            pushed_us=number // 10,
            manifest=b"{}",
            ever_tagged=True,
        )
        images.set_tag(db, 1, f"t{number:06}", key, 0)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteConnection]:
    path = tmp_path_factory.mktemp("scale") / "openecr.db"
    migrate(path)
    asyncio.run(write(path, fill))
    connection = SqliteConnection(path, read_only=True)
    yield connection
    connection.close()


async def write(path: Path, decide: Callable[[Connection], None]) -> None:
    database = SqliteDatabase(path)
    try:
        await database.write(decide)
    finally:
        await database.close()


def steps_of(db: SqliteConnection, read: Callable[[Connection], Any]) -> int:
    """How many steps of its virtual machine the database takes for a read: work, not time."""
    counted: list[int] = []

    def note(event: dict[str, Any]) -> None:
        counted.append(int(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]))

    db._raw.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    try:
        assert read(db)
    finally:
        db._raw.trace_v2(0, None)
    assert counted
    return sum(counted)


def test_the_last_page_of_images_costs_what_the_first_costs(big: SqliteConnection) -> None:
    in_order = sorted((number // 10, digest_of(number)) for number in range(COUNT))

    def page_after(position: tuple[int, bytes]) -> Callable[[Connection], Any]:
        def read(db: Connection) -> Any:
            found = images.list_after(db, 1, position, PAGE, status="ACTIVE", tagged=None)
            return images.tags_of_many(db, found)

        return read

    first = steps_of(big, page_after((-1, b"")))
    last = steps_of(big, page_after(in_order[-PAGE - 1]))

    assert last <= 1.5 * first


def test_the_last_page_of_tags_costs_what_the_first_costs(big: SqliteConnection) -> None:
    first = steps_of(big, lambda db: images.tags_after(db, 1, "", PAGE))
    last = steps_of(big, lambda db: images.tags_after(db, 1, f"t{COUNT - PAGE - 1:06}", PAGE))

    assert last <= 1.5 * first


@pytest.mark.parametrize("number", [0, COUNT // 2, COUNT - 1])
def test_a_pull_takes_the_same_few_steps_wherever_the_image_is(big: SqliteConnection, number: int) -> None:
    by_tag = steps_of(big, lambda db: images.pull_by_tag(db, REGISTRY, "big/app", f"t{number:06}"))
    by_digest = steps_of(big, lambda db: images.pull_by_digest(db, REGISTRY, "big/app", digest_of(number)))

    assert max(by_tag, by_digest) < 100


def test_every_image_of_a_large_repository_is_listed_once_in_order(
    ecr: Any, docker: RegistryClient, repository: str, server: Server
) -> None:
    push(docker, repository, "template", "template")

    def fill(db: Connection) -> None:
        for number in range(1, 3501):
            db.run(
                "INSERT INTO image (repository_key, digest, media_type, manifest_size_bytes, image_size_bytes,"
                " pushed_us, ever_tagged, status, manifest) SELECT m.repository_key, :digest, m.media_type,"
                " m.manifest_size_bytes, m.image_size_bytes, m.pushed_us + :later_us, 0, 'ACTIVE', m.manifest"
                " FROM image m JOIN repository r ON r.id = m.repository_key WHERE r.name = :name AND m.ever_tagged = 1",
                digest=b"\x01" + number.to_bytes(32, "big"),
                later_us=number // 7,
                name=repository,
            )

    server.write(fill)

    listed = all_of(ecr.list_images, "imageIds", repositoryName=repository, maxResults=1000)
    described = all_of(ecr.describe_images, "imageDetails", repositoryName=repository, maxResults=1000)

    numbered = [int(item["imageDigest"][7:], 16) for item in listed if "imageTag" not in item]
    assert numbered == list(range(1, 3501))
    assert [item["imageDigest"] for item in described] == [item["imageDigest"] for item in listed]
    assert len(listed) == 3501
