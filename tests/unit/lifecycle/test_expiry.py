"""Runs of a policy over real engines: what a preview shows goes, and what is not what it was stays."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engines import Engine, Sqlite
from tests.rows import make_repository

from openecr.db import audit, images, jobs, lifecycle
from openecr.db.connection import Connection, Database
from openecr.db.images import Reference
from openecr.deployment import Deployment
from openecr.events.audit_record import whole
from openecr.jobs.queue import DEFAULT_QUEUE
from openecr.jobs.worker import TerminalError
from openecr.names import Digest
from openecr.services.ecr.lifecycle import expiry, previews
from openecr.services.ecr.lifecycle.evaluation import DAY_US

NOW_US = 1_800_000_000_000_000
UNTAGGED = {
    "rulePriority": 5,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
    "action": {"type": "expire"},
}


def newest(priority: int, number: int, pattern: str) -> dict[str, Any]:
    selection = {
        "tagStatus": "tagged",
        "tagPatternList": [pattern],
        "countType": "imageCountMoreThan",
        "countNumber": number,
    }
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}


class Meddling:
    """A database on which something happens before the n-th transaction that deletes or archives."""

    def __init__(self, database: Database, before: int, meddle: Callable[[Connection], Any] | None) -> None:
        self._database = database
        self._before = before
        self._meddle = meddle

    def read(self, decide: Callable[[Connection], Any], *, consistent: bool = True) -> Awaitable[Any]:
        return self._database.read(decide, consistent=consistent)

    async def write(self, decide: Any) -> Any:
        if getattr(decide, "func", None) in (expiry._expire, expiry._archive):
            self._before -= 1
            if self._before < 0 and self._meddle is not None:
                meddle, self._meddle = self._meddle, None
                await self._database.write(meddle)
        return await self._database.write(decide)

    def clock_us(self) -> int:
        return self._database.clock_us()


STATUSES = "SELECT manifest, status FROM image"
OPEN: "list[Repository]" = []


@pytest.fixture(autouse=True)
def close_repositories() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


class Repository:
    """A repository of made-up images, and a policy."""

    def __init__(self, engine: Engine, *rules: dict[str, Any], name: str = "app") -> None:
        self.runner = asyncio.Runner()
        self.database = engine.database(lambda: NOW_US)
        OPEN.append(self)
        self.text = json.dumps({"rules": rules})
        self.row = self.write(lambda db: make_repository(db, name))
        self.write(lambda db: lifecycle.put_policy(db, self.row.key, self.text, "policy-id", NOW_US - DAY_US))

    def write(self, decide: Callable[[Connection], Any]) -> Any:
        async def written() -> Any:
            return await self.database.write(decide)

        return self.runner.run(written())

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    def image(self, name: str, age_days: float, *tags: str, members: tuple[str, ...] = (), subject: str = "") -> None:
        self.write(lambda db: self.insert(db, name, age_days, tags, members, subject))

    def insert(
        self,
        db: Connection,
        name: str,
        age_days: float,
        tags: tuple[str, ...] = (),
        members: tuple[str, ...] = (),
        subject: str = "",
    ) -> None:
        key = images.insert(
            db,
            repository_key=self.row.key,
            digest=digest(name),
            media_type="application/vnd.oci.image.index.v1+json" if members else "x",
            artifact_type=None,
            config_media_type=None,
            subject_digest=digest(subject) if subject else None,
            annotations=None,
            pushed_us=NOW_US - int(age_days * DAY_US),
            manifest=name.encode(),
            ever_tagged=bool(tags),
        )
        references = [
            Reference(position, digest(member), "x", child_key=self.key(db, member))
            for position, member in enumerate(members)
        ]
        images.insert_references(db, self.row.key, key, references)
        for tag in tags:
            images.set_tag(db, self.row.key, tag, key, NOW_US - DAY_US)

    def key(self, db: Connection, name: str) -> int:
        found = images.find(db, self.row.key, digest(name))
        assert found is not None
        return found.key

    def left(self) -> set[str]:
        return set(self.write(lambda db: [bytes(row[0]).decode() for row in db.rows("SELECT manifest FROM image")]))

    def run(self, brake: int = 0, before: int = 0, meddle: Callable[[Connection], Any] | None = None) -> expiry.Expired:
        return self.runner.run(expiry.run(self._deployment(brake, before, meddle), self.row.key))

    def preview(self) -> set[str]:
        self.write(lambda db: lifecycle.start_preview(db, self.row.key, self.text, NOW_US))
        self.runner.run(previews.make(self._deployment(), self.row.key))
        return set(self.write(self._previewed))

    def _previewed(self, db: Connection) -> list[str]:
        preview = lifecycle.find_preview(db, self.row.key)
        assert preview is not None
        assert preview.finished_us == NOW_US
        found = lifecycle.results_after(db, preview, -1, 1000, tagged=None)
        assert preview.expiring == len(found)
        return [images.manifest_of(db, image.key).decode() for item in found if (image := self._there(db, item.digest))]

    def _there(self, db: Connection, stored: bytes) -> images.Image | None:
        return images.find(db, self.row.key, stored)

    def _deployment(
        self, brake: int = 0, before: int = 0, meddle: Callable[[Connection], Any] | None = None
    ) -> Deployment:
        made = SimpleNamespace(
            database=Meddling(self.database, before, meddle),
            now_us=lambda: NOW_US,
            settings=SimpleNamespace(lifecycle_brake_percent=brake),
        )
        return cast("Deployment", made)


def digest(name: str) -> bytes:
    return Digest.of(name.encode()).stored


def multi(repository: Repository) -> None:
    """An index with two members and a signature, and an image of its own."""

    def insert(db: Connection) -> None:
        repository.insert(db, "amd64", 9)
        repository.insert(db, "arm64", 9)
        repository.insert(db, "index", 9, members=("amd64", "arm64"))
        repository.insert(db, "signature", 8, subject="index")
        repository.insert(db, "plain", 9)

    repository.write(insert)


def test_an_index_goes_with_its_members_and_its_signatures_and_the_next_run_is_owed(engine: Engine) -> None:
    repository = Repository(engine, UNTAGGED)
    multi(repository)
    repository.image("young", 0.5)

    assert repository.run() == expiry.Expired(images=5)

    assert repository.left() == {"young"}
    policy = repository.write(lambda db: lifecycle.find_policy(db, repository.row.key))
    assert (policy.evaluated_us, policy.expired) == (NOW_US, 5)
    due_us = repository.write(lambda db: jobs.due_us_of(db, DEFAULT_QUEUE, expiry.job_key(repository.row.key)))
    assert due_us == NOW_US + expiry.EVERY_US <= NOW_US + DAY_US


def test_what_is_tagged_between_plan_and_deletion_stays_with_all_that_belongs_to_it(engine: Engine) -> None:
    repository = Repository(engine, UNTAGGED)
    multi(repository)

    def tag(db: Connection) -> None:
        images.set_tag(db, repository.row.key, "latest", repository.key(db, "index"), NOW_US)

    assert repository.run(meddle=tag) == expiry.Expired(images=1, survivors=4)
    assert repository.left() == {"index", "amd64", "arm64", "signature"}


@pytest.mark.parametrize("how", ["again", "moved away", "pushed anew", "named by an index", "tagged once"])
def test_what_is_not_as_it_was_judged_stays(engine: Engine, how: str) -> None:
    repository = Repository(engine, newest(1, 1, "v*"), UNTAGGED)
    repository.image("old", 3, "v1")
    repository.image("new", 2, "v2")
    repository.image("loose", 2)
    loose = how in ("named by an index", "tagged once")

    def meddle(db: Connection) -> None:
        key, old = repository.row.key, repository.key(db, "loose" if loose else "old")
        if how == "again":
            images.set_tag(db, key, "v1", old, NOW_US)
        elif how == "moved away":
            images.set_tag(db, key, "v1", repository.key(db, "new"), NOW_US)
        elif how == "pushed anew":
            images.delete(db, old)
            repository.insert(db, "old", 0, ("v1",))
        elif how == "tagged once":
            images.set_tag(db, key, "x", old, NOW_US)
            images.delete_tag(db, key, "x")
        else:
            repository.insert(db, "index", 0, ("multi",), members=("loose",))

    assert repository.run(meddle=meddle).survivors == 1
    assert ("loose" if loose else "old") in repository.left()


def test_a_transition_archives_an_index_with_its_members_and_leaves_what_was_pulled_since(engine: Engine) -> None:
    selection = {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 5}
    action = {"type": "transition", "targetStorageClass": "archive"}
    repository = Repository(engine, {"rulePriority": 1, "selection": selection, "action": action})
    multi(repository)
    repository.image("young", 1)

    def pull(db: Connection) -> None:
        images.note_pulls(db, [(repository.key(db, "plain"), NOW_US)])

    done = repository.run(brake=1, meddle=pull)

    assert done == expiry.Expired(archived=3, survivors=1)
    statuses = repository.write(lambda db: {bytes(row[0]): row[1] for row in db.rows(STATUSES)})
    assert statuses == {
        b"index": "ARCHIVED",
        b"amd64": "ARCHIVED",
        b"arm64": "ARCHIVED",
        b"signature": "ACTIVE",  # follows by a job of its own
        b"plain": "ACTIVE",
        b"young": "ACTIVE",
    }


def test_a_run_stops_where_its_policy_is_put_again_or_goes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_BATCH", 1)
    repository = Repository(engine, UNTAGGED)
    for number in range(3):
        repository.image(f"image {number}", 9)

    def put(db: Connection) -> None:
        lifecycle.put_policy(db, repository.row.key, repository.text, "other", NOW_US)

    assert repository.run(before=1, meddle=put) == expiry.Expired(images=1, superseded=True)
    assert repository.run(meddle=lambda db: lifecycle.delete_policy(db, repository.row.key)).superseded
    assert len(repository.left()) == 2
    assert repository.run() == expiry.Expired()


def test_a_run_that_dies_is_taken_up_by_the_next(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_BATCH", 1)
    repository = Repository(engine, UNTAGGED)
    multi(repository)

    def die(_db: Connection) -> None:
        raise OSError

    with pytest.raises(OSError):
        repository.run(before=1, meddle=die)
    assert repository.left() == {"plain"}, "an index never goes without its members"
    assert repository.run() == expiry.Expired(images=1)


def test_the_brake_stops_a_run_until_someone_lets_it(engine: Engine) -> None:
    repository = Repository(engine, UNTAGGED)
    multi(repository)

    with pytest.raises(TerminalError, match=r"the lifecycle policy of app .* would delete 5 of 5 images, more than"):
        repository.run(brake=50)

    policy = repository.write(lambda db: lifecycle.find_policy(db, repository.row.key))
    assert policy.stopped_us == NOW_US
    assert "50 %" in policy.stopped_why
    assert repository.runner.run(expiry.owe_all(repository.database)) == 0
    assert len(repository.left()) == 5
    repository.write(lambda db: lifecycle.release(db, policy.key, unbraked=True))
    assert repository.runner.run(expiry.owe_all(repository.database)) == 1
    assert repository.run(brake=50).images == 5


def test_runs_and_previews_are_in_the_audit_trail(engine: Engine) -> None:
    repository = Repository(engine, newest(1, 1, "v*"), UNTAGGED)
    repository.image("member", 9, "v1")
    repository.image("index", 8, "v2", members=("member",))

    def insert(db: Connection) -> None:
        for number in range(12):
            repository.insert(db, f"loose {number}", 9)

    repository.write(insert)

    repository.preview()
    repository.run()

    lines = repository.write(lambda db: [line for _, _, line in audit.writes_after(db, 0, 100)])
    records = [whole(line) for line in lines]
    assert [item["eventName"] for item in records] == ["DryRunEvent"] * 2 + ["PolicyExecutionEvent"] * 3
    assert {item["eventType"] for item in records} == {"AwsServiceEvent"}
    details = [item["serviceEventDetails"] for item in records]
    assert [len(item["lifecycleEventImageActions"]) for item in details] == [10, 2, 10, 2, 0]
    (failure,) = details[-1]["lifecycleEventFailureDetails"]
    assert failure["failureCode"] == "ImageReferencedByManifestList"
    assert failure["lifecycleEventImage"] == {
        "digest": str(Digest.of(b"member")),
        "tagStatus": "Tagged",
        "tagList": ["v1"],
        "pushedAt": (NOW_US - 9 * DAY_US) // 1000,
    }
    assert details[0]["lifecycleEventPolicy"]["lifecycleEventRules"][0] == {
        "rulePriority": 1,
        "lifecycleEventSelection": {
            "tagStatus": "Tagged",
            "tagPrefixList": [],
            "tagPatternList": ["v*"],
            "countType": "Image count more than",
            "countNumber": 1,
        },
        "action": "expire",
    }
    assert len({item["eventID"] for item in records}) == 5


AGES = st.integers(0, 9)
TAGS = st.lists(st.sampled_from(["v1", "v2", "v3", "x1", "x2"]), max_size=2, unique=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(
        st.tuples(AGES, TAGS, st.lists(st.integers(0, 7), max_size=2, unique=True), st.integers(0, 15)), max_size=8
    ),
    number=st.integers(1, 3),
)
def test_what_a_preview_shows_is_what_then_expires(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, list[str], list[int], int]], number: int
) -> None:
    repository = Repository(Sqlite(tmp_path_factory.mktemp("expiry")), newest(1, number, "v*"), UNTAGGED)

    def insert(db: Connection) -> None:
        for place, (age, tags, members, subject) in enumerate(made):
            named = tuple(f"i{member}" for member in members if member < place)
            repository.insert(db, f"i{place}", age, tuple(tags), named, f"i{subject}" if subject < place else "")

    repository.write(insert)
    before = repository.left()

    previewed = repository.preview()
    done = repository.run()

    assert done.survivors == 0
    assert before - repository.left() == previewed
    assert done.images == len(previewed)
