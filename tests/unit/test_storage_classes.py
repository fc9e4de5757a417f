"""Storage classes over each engine, without a server: what goes along, in what order, and what jobs do late."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.engines import Engine
from tests.rows import REGISTRY, make_repository

from openecr.db import images, layers
from openecr.db import storage_classes as rows
from openecr.db.connection import Connection, Database
from openecr.db.images import Image, Reference
from openecr.db.repositories import Repository
from openecr.names import Digest
from openecr.services.ecr import storage_classes
from openecr.services.ecr.storage_classes import Archived

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SECOND = 1_000_000


class Registry:
    """One repository; images by name."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.repository: Repository = make_repository(db)
        self.keys: dict[str, int] = {}

    def add(self, name: str, *, members: Sequence[str] = (), tag: str | None = None, subject: str | None = None) -> int:
        key = images.insert(
            self.db,
            repository_key=self.repository.key,
            digest=Digest.of(name.encode()).stored,
            media_type=INDEX if members else MANIFEST,
            artifact_type=None,
            config_media_type=None,
            subject_digest=None if subject is None else Digest.of(subject.encode()).stored,
            annotations=None,
            pushed_us=1,
            manifest=name.encode(),
            ever_tagged=tag is not None,
        )
        references = [
            Reference(number, Digest.of(member.encode()).stored, MANIFEST, child_key=self.keys[member])
            for number, member in enumerate(members)
        ]
        images.insert_references(self.db, self.repository.key, key, references)
        if tag is not None:
            images.set_tag(self.db, self.repository.key, tag, key, 1)
        self.keys[name] = key
        return key

    def image(self, name: str) -> Image:
        found = rows.find(self.db, self.keys[name])
        assert found is not None
        return found

    def archive(self, *names: str, now_us: int = 5 * SECOND) -> Archived:
        return storage_classes.archive(self.db, self.repository, [self.keys[name] for name in names], now_us)

    def statuses(self) -> dict[str, str]:
        return {name: self.image(name).status for name in self.keys}

    def owed(self, kind: str) -> list[dict[str, Any]]:
        return [
            json.loads(row[0]) for row in self.db.rows("SELECT args FROM job WHERE kind = :kind ORDER BY id", kind=kind)
        ]


@pytest.fixture
def registry(engine: Engine) -> Registry:
    return Registry(engine.connection())


@pytest.fixture
def database(engine: Engine) -> Database:
    return engine.database()


def test_an_index_and_its_members_come_in_any_order(registry: Registry) -> None:
    registry.add("tagged", tag="t")
    registry.add("index", members=["tagged"], tag="multi")

    done = registry.archive("tagged", "index")

    assert registry.statuses() == {"tagged": "ARCHIVED", "index": "ARCHIVED"}
    assert (set(done.archived), done.refused) == ({registry.keys["tagged"], registry.keys["index"]}, {})


def test_a_member_that_was_tagged_once_stays(registry: Registry) -> None:
    registry.add("never")
    registry.add("once", tag="t")
    images.delete_tag(registry.db, registry.repository.key, "t")
    registry.add("index", members=["never", "once"])

    registry.archive("index")

    assert registry.statuses() == {"never": "ARCHIVED", "once": "ACTIVE", "index": "ARCHIVED"}


def test_members_of_active_indexes_are_refused_with_their_indexes(registry: Registry) -> None:
    registry.add("member")
    registry.add("index", members=["member", "member"])

    done = registry.archive("member")

    assert registry.statuses() == {"member": "ACTIVE", "index": "ACTIVE"}
    assert done == Archived((), {registry.keys["member"]: (Digest.of(b"index"),)})


def test_indexes_of_indexes_go_whole_and_what_others_need_stays(registry: Registry) -> None:
    registry.add("own")
    registry.add("shared")
    registry.add("inner", members=["own", "shared"])
    registry.add("outer", members=["inner"], tag="outer")
    registry.add("other", members=["shared"], tag="other")

    done = registry.archive("outer")

    assert registry.statuses() == {
        "own": "ARCHIVED",
        "shared": "ACTIVE",
        "inner": "ARCHIVED",
        "outer": "ARCHIVED",
        "other": "ACTIVE",
    }
    assert len(done.archived) == 3
    registry.archive("other")
    storage_classes.activate(registry.db, registry.repository, registry.image("outer"), 9 * SECOND)
    assert [name for name, status in registry.statuses().items() if status == "ARCHIVED"] == ["other"]
    assert registry.image("own").activated_us == 9 * SECOND


def test_what_is_archived_or_gone_is_passed_over(registry: Registry) -> None:
    registry.add("one")
    registry.archive("one", now_us=5)

    done = storage_classes.archive(registry.db, registry.repository, [registry.keys["one"], 999_999], 7)

    assert done == Archived((), {})
    assert registry.image("one").archived_us == 5


def test_the_end_of_a_restore_finds_what_happened_meanwhile(registry: Registry, database: Database) -> None:
    registry.add("one")
    registry.archive("one")
    storage_classes.restore(registry.db, registry.repository, registry.image("one"), delay_us=3600 * SECOND)
    (args,) = registry.owed(storage_classes.RESTORE)

    def end(now_us: int) -> str:
        asyncio.run(storage_classes.end_restore(database, args, now_us))
        return registry.image("one").status

    assert registry.statuses() == {"one": "ACTIVATING"}
    assert end(6 * SECOND) == "ACTIVE"
    assert registry.image("one").activated_us == 6 * SECOND
    registry.archive("one", now_us=7 * SECOND)
    assert end(8 * SECOND) == "ARCHIVED"
    images.delete(registry.db, registry.keys.pop("one"))
    asyncio.run(storage_classes.end_restore(database, args, 9 * SECOND))


def test_many_referrers_follow_in_batches_and_no_further_than_they_may(
    registry: Registry, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_classes, "_BATCH", 2)
    registry.add("subject")
    for number in range(5):
        registry.add(f"referrer-{number}", subject="subject")
    registry.add("index", members=["referrer-3"])
    registry.archive("subject")
    (args,) = registry.owed(storage_classes.FOLLOW)

    asyncio.run(storage_classes.follow(database, args, 6 * SECOND))

    active = {name for name, status in registry.statuses().items() if status == "ACTIVE"}
    assert active == {"referrer-3", "index"}
    storage_classes.activate(registry.db, registry.repository, registry.image("subject"), 7 * SECOND)
    asyncio.run(storage_classes.follow(database, args, 8 * SECOND))
    assert set(registry.statuses().values()) == {"ACTIVE"}


def test_a_job_of_a_repository_that_was_deleted_does_nothing(registry: Registry, database: Database) -> None:
    registry.add("subject")
    registry.add("referrer", subject="subject")
    registry.archive("subject")
    (args,) = registry.owed(storage_classes.FOLLOW)

    for name, value in (("repository", "other"), ("repositoryKey", 999_999)):
        asyncio.run(storage_classes.follow(database, args | {name: value}, 6 * SECOND))

    assert registry.statuses() == {"subject": "ARCHIVED", "referrer": "ACTIVE"}


def test_a_layer_is_inaccessible_where_archived_images_alone_name_it(registry: Registry) -> None:
    layer = Digest.of(b"layer")
    blob = layers.insert_blob(
        registry.db,
        registry_key=registry.repository.registry_key,
        encryption_key=registry.repository.encryption_key,
        object_id="0b6bbd06-9c52-4e65-8c5e-580c80c9dc36",
        size_bytes=5,
        digests=[layer.stored],
        now_us=1,
    )
    layer_key = layers.link(
        registry.db, registry.repository.key, layer.stored, blob.key, promised_until_us=2**62, now_us=1
    )

    def archived() -> tuple[int, int]:
        pulled = layers.find_for_pull(registry.db, REGISTRY, registry.repository.name, layer.stored, 1)
        found = layers.find(registry.db, registry.repository.key, layer.stored, 1)
        assert pulled is not None
        assert found is not None
        return pulled.archived, found.archived

    def bind(name: str) -> None:
        reference = Reference(0, layer.stored, "layer", layer_key=layer_key)
        images.insert_references(registry.db, registry.repository.key, registry.add(name), [reference])

    assert archived() == (0, 0)
    bind("one")
    assert archived() == (0, 0)
    registry.archive("one")
    assert archived() == (1, 1)
    bind("two")
    assert archived() == (0, 0)
    registry.archive("two")
    assert archived() == (1, 1)
    storage_classes.activate(registry.db, registry.repository, registry.image("one"), 9 * SECOND)
    assert archived() == (0, 0)


def test_a_layer_that_comes_late_to_an_archived_sparse_image_is_archived(registry: Registry) -> None:
    layer = Digest.of(b"late")
    key = registry.add("sparse")
    images.insert_references(registry.db, registry.repository.key, key, [Reference(0, layer.stored, "layer")])
    registry.archive("sparse")
    blob = layers.insert_blob(
        registry.db,
        registry_key=registry.repository.registry_key,
        encryption_key=registry.repository.encryption_key,
        object_id="1b6bbd06-9c52-4e65-8c5e-580c80c9dc36",
        size_bytes=5,
        digests=[layer.stored],
        now_us=1,
    )
    layer_key = layers.link(
        registry.db, registry.repository.key, layer.stored, blob.key, promised_until_us=2**62, now_us=1
    )

    images.fill_gaps(registry.db, registry.repository.key, layer.stored, layer_key=layer_key)

    pulled = layers.find_for_pull(registry.db, REGISTRY, registry.repository.name, layer.stored, 1)
    assert pulled is not None
    assert pulled.archived == 1
