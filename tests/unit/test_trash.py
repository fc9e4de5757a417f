"""What undelete finds in a long trash, newest first."""

import pytest
from tests.engines import Engine

from openecr.db import registries, trash
from openecr.db.connection import Connection
from openecr.names import Digest, RegistryName
from openecr.services.ecr.undelete import UndeleteRefused, Wanted, locate, parse_wanted, undelete

REGISTRY = RegistryName("123456789012", "us-east-1")
IMAGE = Digest.of(b"image")


@pytest.fixture
def db(engine: Engine) -> Connection:
    return engine.connection()


def put(db: Connection, kind: str, *tags: str, at_us: int, name: str = "app", digest: Digest = IMAGE) -> int:
    """Put a deletion into the trash; its key."""
    trash.put(
        db,
        registry_key=registries.require_key(db, REGISTRY, 0),
        repository_name=name,
        kind=kind,
        digest=None if kind == trash.REPOSITORY else digest.stored,
        tags=tags,
        document={},
        manifest=None,
        layers=(),
        deleted_us=at_us,
        deleted_by="test",
        reason="test",
    )
    found = db.row("SELECT MAX(id) FROM trash")
    assert found is not None
    return int(found[0])


def test_a_tag_is_found_behind_many_deletions_of_the_same_instant(db: Connection) -> None:
    wanted = put(db, trash.TAG, "wanted", at_us=5)
    for number in range(1200):
        put(db, trash.TAG, f"other-{number}", at_us=5)

    assert locate(db, REGISTRY, Wanted("app", tag="wanted")) == wanted


def test_the_newest_deletion_of_a_tag_is_found_whether_it_was_a_tag_or_an_image(db: Connection) -> None:
    put(db, trash.TAG, "v1", at_us=1)
    image = put(db, trash.IMAGE, "v0", "v1", at_us=3)
    put(db, trash.TAG, "v1", at_us=2)

    assert locate(db, REGISTRY, Wanted("app", tag="v1")) == image


def test_the_newest_deletion_of_an_image_is_found_by_digest_and_no_tags(db: Connection) -> None:
    put(db, trash.IMAGE, "v1", at_us=1)
    newest = put(db, trash.IMAGE, at_us=2)
    put(db, trash.TAG, "v1", at_us=3)
    put(db, trash.IMAGE, at_us=4, digest=Digest.of(b"another"))

    assert locate(db, REGISTRY, Wanted("app", digest=IMAGE)) == newest


def test_a_repository_is_found_among_deletions_of_its_images(db: Connection) -> None:
    wanted = put(db, trash.REPOSITORY, at_us=1)
    put(db, trash.IMAGE, "v1", at_us=2)
    put(db, trash.REPOSITORY, at_us=3, name="app2")

    assert locate(db, REGISTRY, Wanted("app")) == wanted


@pytest.mark.parametrize("wanted", [Wanted("app"), Wanted("app", tag="v1"), Wanted("app", digest=IMAGE)], ids=str)
def test_what_the_trash_does_not_have(db: Connection, wanted: Wanted) -> None:
    put(db, trash.IMAGE, "v2", at_us=1, digest=Digest.of(b"another"))

    for registry in (REGISTRY, RegistryName("999988887777", "us-east-1")):
        with pytest.raises(UndeleteRefused, match=f"the trash of registry {registry} has no "):
            locate(db, registry, wanted)


def test_a_deletion_that_was_purged_between_finding_and_taking_is_told(db: Connection) -> None:
    key = put(db, trash.IMAGE, "v1", at_us=1)
    trash.delete(db, key)

    with pytest.raises(UndeleteRefused, match="app:v1 left the trash a moment ago"):
        undelete(db, REGISTRY, Wanted("app", tag="v1"), key, now_us=2, promise_us=1)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("app", Wanted("app")),
        ("team/app:v1.0", Wanted("team/app", tag="v1.0")),
        (f"app@{IMAGE}", Wanted("app", digest=IMAGE)),
    ],
)
def test_a_reference_is_read_and_written_alike(text: str, wanted: Wanted) -> None:
    assert parse_wanted(text) == wanted
    assert str(wanted) == text
