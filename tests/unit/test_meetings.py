"""Two decisions that meet on PostgreSQL, the second while the first is between what it read and what it writes.

READ COMMITTED lets the second change what the first has read, unless the first holds it. Each test stops the first
before one statement, starts the second, and goes on once the second has ended or waits for the first.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from tests.postgres import Cluster
from tests.rows import REGISTRY, make_repository

from openecr import keyring
from openecr.access.identity import Caller
from openecr.blobs.memory import MemoryStore
from openecr.call import Call
from openecr.db import accounts, identities, jobs, kms, layers, uploads
from openecr.db import deployment as facts
from openecr.db.callers import KeyOwner
from openecr.db.connection import Connection
from openecr.db.migrations import migrate_postgres
from openecr.db.postgres import PostgresDatabase
from openecr.deployment import Deployment, Effect
from openecr.errors import KeyNotFound, KeyStateInvalid, RegistryError, UploadNotFound
from openecr.keyring import Keyring, KeyringUnusable
from openecr.names import Digest
from openecr.origin import OCI, Origin
from openecr.processes import stores
from openecr.services.ecr import layers as told_layers
from openecr.services.ecr import upkeep, upload_completion
from openecr.services.ecr import uploads as begun_uploads
from openecr.services.kms import keys
from openecr.services.kms.for_ecr import managed_key
from openecr.settings import Settings

RING = Keyring({use: {1: use.encode().ljust(32, b"k")} for use in keyring.USES})
HOUR_US = 3600 * 1_000_000
NOTHING = Digest.of(b"")
UPLOAD = "11111111-1111-1111-1111-111111111111"
OBJECT = "22222222-2222-2222-2222-222222222222"

Decide = Callable[[Connection], Any]


class Performed(Mapping[Effect, Any]):
    """Effects that were performed: an upload without bytes is durable, and has the digest of nothing."""

    def __getitem__(self, effect: Effect) -> Any:
        return {"sha256": NOTHING.stored[1:]} if isinstance(effect, upload_completion.HashAgain) else None

    def __contains__(self, effect: object) -> bool:
        return True

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return 1


class Stopping:
    """A connection that stops once before a statement."""

    def __init__(self, db: Connection, before: str, stop: Callable[[], None]) -> None:
        self._db, self._before, self._stop = db, before, stop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._db, name)
        if name not in ("row", "rows", "run", "locked_row", "free_rows"):
            return method

        def asked(*arguments: Any, **named: Any) -> Any:
            text = arguments[0] if name in ("row", "rows", "run") else arguments[1]
            if self._before in text:
                self._stop()
            return method(*arguments, **named)

        return asked


@dataclass
class World:
    """A deployment on an empty database."""

    url: str
    folder: Path

    async def opened(self) -> PostgresDatabase:
        return await PostgresDatabase(self.url, connections=4, memory=None).start()

    def decide(self, change: Decide) -> Any:
        async def inside() -> Any:
            database = await self.opened()
            try:
                return await database.write(change)
            finally:
                await database.close()

        return asyncio.run(inside())

    def call(self, database: PostgresDatabase, db: Connection, *, writes: bool = True) -> Call:
        """What a decision is given."""
        deployment = Deployment(
            settings=Settings(data_dir=self.folder),
            database=database,
            blobs=MemoryStore(),
            keyring=RING,
            now_us=database.clock_us,
            wall_us=database.clock_us,
            new_id=lambda: str(uuid.uuid4()),
            new_object_id=lambda _region: str(uuid.uuid4()),
            note_pull=lambda _key, _now_us: None,
        )
        owner = KeyOwner(
            1,
            "AKIA",
            REGISTRY.account_id,
            None,
            "user",
            "administrator",
            "/",
            "AIDA",
            "1",
            1,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
        )
        origin = Origin("1", "AKIA", REGISTRY, "http://localhost", database.clock_us(), OCI)
        return Call(Caller(owner), origin, deployment, db, writes, Performed())

    def meet(
        self,
        first: Callable[[Call], Any],
        before: str,
        second: Callable[[Call], Any],
    ) -> tuple[Any, Any]:
        """What both decisions end with: their results, or their errors."""

        async def inside() -> tuple[Any, Any]:
            database = await self.opened()
            loop = asyncio.get_running_loop()
            started: list[Any] = []

            def stop() -> None:
                if started:
                    return
                write = database.write(lambda db: second(self.call(database, db)))
                started.append(asyncio.run_coroutine_threadsafe(cast("Any", write), loop))
                while not started[0].done() and not _somebody_waits(self.url):
                    time.sleep(0.01)

            def decide(db: Connection) -> Any:
                return first(self.call(database, cast("Connection", Stopping(db, before, stop))))

            try:
                async with asyncio.timeout(60):
                    ended = await _ended(database.write(decide))
                    assert started, f"the first decision has no statement with {before!r}"
                    return ended, await _ended(asyncio.wrap_future(started[0]))
            finally:
                await database.close()

        return asyncio.run(inside())


async def _ended(work: Any) -> Any:
    try:
        return await work
    except (RegistryError, KeyringUnusable) as error:
        return error


def _somebody_waits(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return found is not None


@pytest.fixture
def world(postgres: Cluster, tmp_path: Path) -> World:
    return World(postgres.create_database(migrate_postgres), tmp_path)


def make_upload(db: Connection, touched_us: int | None = None) -> None:
    account = accounts.insert(db, REGISTRY.account_id, 1)
    principal = identities.insert(
        db, account, kind="user", name="administrator", unique_id="AIDA", version="1", now_us=1
    )
    assert principal == 1
    uploads.insert(
        db,
        upload_id=UPLOAD,
        repository_key=make_repository(db).key,
        principal_key=principal,
        object_id=OBJECT,
        now_us=db.clock_us() if touched_us is None else touched_us,
    )


def completes(call: Call) -> Any:
    return upload_completion.complete(
        call, repository_name="app", upload_id=UPLOAD, digests=(NOTHING,), spare_id=str(uuid.uuid4())
    )


def cancels(call: Call) -> None:
    begun_uploads.cancel.function(call, repository_name="app", upload_id=UPLOAD)


def in_danger(db: Connection) -> list[Any]:
    """Objects of layers that are left for deletion: bytes that were acknowledged and will be lost."""
    return db.rows("SELECT b.object_id FROM blob b JOIN discarded_object d ON d.object_id = b.object_id")


class TestUploads:
    def test_an_upload_that_is_cancelled_while_it_is_completed_keeps_its_bytes(self, world: World) -> None:
        world.decide(make_upload)
        completed, cancelled = world.meet(completes, "INSERT INTO blob ", cancels)
        assert completed == NOTHING
        assert isinstance(cancelled, UploadNotFound)
        assert world.decide(in_danger) == []

    def test_an_upload_that_is_completed_while_it_is_cancelled_is_not_there(self, world: World) -> None:
        world.decide(make_upload)
        cancelled, completed = world.meet(cancels, "INSERT INTO discarded_object", completes)
        assert cancelled is None
        assert isinstance(completed, UploadNotFound)
        assert world.decide(lambda db: db.rows("SELECT 1 FROM blob")) == []

    def test_nobody_appends_to_an_upload_that_is_being_completed(self, world: World) -> None:
        world.decide(make_upload)

        def continues(call: Call) -> bool:
            found = uploads.find(call.db, REGISTRY, "app", UPLOAD)
            return found is not None and uploads.take_lease(
                call.db, found, "writer", call.db.clock_us() + HOUR_US, 1, object_id=OBJECT, kept_bytes=0
            )

        completed, continued = world.meet(completes, "INSERT INTO blob ", continues)
        assert completed == NOTHING
        assert continued is False

    @pytest.mark.parametrize("before", ["INSERT INTO discarded_object", "DELETE FROM upload "])
    def test_an_upload_that_is_completed_as_it_expires_keeps_its_bytes_or_is_not_there(
        self, world: World, before: str
    ) -> None:
        settings = Settings(data_dir=world.folder)
        # By the clock of the server that completes it is not over yet; by that of the job process it is.
        world.decide(lambda db: make_upload(db, db.clock_us() - (settings.upload_expiry_seconds - 60) * 1_000_000))

        def expires(call: Call) -> int:
            now_us = call.db.clock_us() + 120 * 1_000_000
            return upkeep.expire_some(call.db, settings, now_us)

        expired, completed = world.meet(expires, before, completes)
        assert expired == 1
        assert isinstance(completed, UploadNotFound)
        assert world.decide(in_danger) == []

    def test_an_upload_that_is_being_completed_does_not_expire(self, world: World) -> None:
        settings = Settings(data_dir=world.folder)
        world.decide(lambda db: make_upload(db, db.clock_us() - (settings.upload_expiry_seconds - 60) * 1_000_000))

        def expires(call: Call) -> int:
            return upkeep.expire_some(call.db, settings, call.db.clock_us() + 120 * 1_000_000)

        completed, expired = world.meet(completes, "INSERT INTO blob ", expires)
        assert completed == NOTHING
        assert expired == 0
        assert world.decide(in_danger) == []

    def test_a_layer_whose_link_ends_is_not_promised(self, world: World) -> None:
        def fill(db: Connection) -> None:
            repository = make_repository(db)
            blob = layers.insert_blob(
                db,
                registry_key=repository.registry_key,
                encryption_key=repository.encryption_key,
                object_id=OBJECT,
                size_bytes=1,
                digests=[NOTHING.stored],
                now_us=1,
            )
            layers.link(
                db,
                repository.key,
                NOTHING.stored,
                blob.key,
                promised_until_us=db.clock_us() + 60_000_000,
                now_us=1,
            )

        world.decide(fill)

        def promises(call: Call) -> Any:
            return told_layers._promise.function(call, repository_name="app", digests=(NOTHING,))

        told, _ = world.meet(promises, "UPDATE layer", lambda call: call.db.run("DELETE FROM layer"))
        assert told == {}


class TestKms:
    def test_the_key_that_aws_manages_is_made_once(self, world: World) -> None:
        def make(call: Call) -> str:
            return managed_key(call.db, RING, REGISTRY, call.now_us).arn

        first, second = world.meet(make, "INSERT INTO kms_alias", make)
        assert first == second
        assert world.decide(lambda db: db.rows("SELECT COUNT(*) FROM kms_key")) == [(1,)]

    @pytest.mark.parametrize("change", [keys.enable_key, keys.disable_key])
    def test_a_key_whose_deletion_is_scheduled_meanwhile_stays_so(self, world: World, change: Any) -> None:
        key = self._make(world)

        def schedules(call: Call) -> Any:
            return keys.schedule_key_deletion.function(call, key_id=key)

        def changes(call: Call) -> Any:
            return change.function(call, key_id=key)

        changed, scheduled = world.meet(changes, "UPDATE kms_key", schedules)
        assert changed == {}
        assert scheduled["KeyState"] == kms.PENDING_DELETION
        assert world.decide(lambda db: kms.state_of(db, key)) == kms.PENDING_DELETION

    def test_a_deletion_that_is_done_meanwhile_is_not_told_to_be_cancelled(self, world: World) -> None:
        key = self._make(world)
        found = world.decide(lambda db: kms.find(db, key))
        world.decide(lambda db: kms.set_state(db, found.key, kms.PENDING_DELETION, 1))

        def cancels_deletion(call: Call) -> Any:
            return keys.cancel_key_deletion.function(call, key_id=key)

        def destroys(call: Call) -> bool:
            return kms.destroy(call.db, found.key, call.now_us)

        cancelled, destroyed = world.meet(cancels_deletion, "UPDATE kms_key", destroys)
        assert (cancelled, destroyed) == ({"KeyId": key}, False)
        again = world.meet(cancels_deletion, "kms_key", destroys)[0]
        assert isinstance(again, KeyStateInvalid | KeyNotFound)

    def _make(self, world: World) -> str:
        made: str = world.decide(lambda db: keys.make(db, RING, REGISTRY, kms.CUSTOMER_MANAGED, "", 1)).arn
        return made


class TestKeyring:
    def test_a_key_that_is_made_while_the_root_key_rotates_opens_afterwards(self, world: World) -> None:
        old, new = b"o" * 32, b"n" * 32
        world.decide(lambda db: keyring.create_missing_keys(db, old, 1))

        def adds(call: Call) -> int:
            return keyring.add_wrapped(call.db, [old], "secrets", 1)

        rotated, _ = world.meet(lambda call: keyring.rewrap(call.db, [old], new), "UPDATE deployment_key", adds)
        assert rotated == len(keyring.USES)
        assert set(world.decide(lambda db: keyring.open_keyring(db, new)).keys) == set(keyring.USES)

    def test_the_root_key_that_rotates_while_a_key_is_made_wraps_that_too(self, world: World) -> None:
        old, new = b"o" * 32, b"n" * 32
        world.decide(lambda db: keyring.create_missing_keys(db, old, 1))

        def adds(call: Call) -> int:
            return keyring.add_wrapped(call.db, [old], "secrets", 1)

        _, rotated = world.meet(adds, "INSERT INTO deployment_key", lambda call: keyring.rewrap(call.db, [old], new))
        assert rotated == len(keyring.USES) + 1
        world.decide(lambda db: keyring.open_keyring(db, new))

    def test_of_two_rotations_of_the_root_key_one_is_refused(self, world: World) -> None:
        old, one, other = b"o" * 32, b"1" * 32, b"2" * 32
        world.decide(lambda db: keyring.create_missing_keys(db, old, 1))
        _, second = world.meet(
            lambda call: keyring.rewrap(call.db, [old], one),
            "UPDATE deployment_key",
            lambda call: keyring.rewrap(call.db, [old], other),
        )
        assert isinstance(second, KeyringUnusable)
        world.decide(lambda db: keyring.open_keyring(db, one))


class TestJobs:
    def _dead(self, world: World) -> int:
        def fill(db: Connection) -> int:
            jobs.enqueue(db, queue="q", kind="k", args="{}", key=None, due_us=0, max_attempts=1)
            job = jobs.claim(db, queue="q", kinds=["k"], worker="w", lease_us=1, most=1)[0]
            jobs.bury(db, job, "died")
            return job.id

        found: int = world.decide(fill)
        return found

    def test_a_dead_job_that_two_retry_is_owed_once(self, world: World) -> None:
        job_id = self._dead(world)
        outcome = world.meet(
            lambda call: jobs.revive(call.db, job_id), "DELETE FROM job", lambda call: jobs.revive(call.db, job_id)
        )
        assert outcome == (True, False)
        assert world.decide(jobs.counts) == {("q", "ready"): 1}

    def test_a_dead_job_that_is_cancelled_is_not_owed_again(self, world: World) -> None:
        job_id = self._dead(world)
        outcome = world.meet(
            lambda call: jobs.cancel(call.db, job_id),
            "DELETE FROM job",
            lambda call: jobs.revive(call.db, job_id),
        )
        assert outcome == ("gone", False)
        assert world.decide(jobs.counts) == {}

    def test_a_job_that_a_worker_takes_meanwhile_is_cancelled(self, world: World) -> None:
        world.decide(lambda db: jobs.enqueue(db, queue="q", kind="k", args="{}", key=None, due_us=0, max_attempts=1))
        job_id = world.decide(lambda db: jobs.list_after(db, None, 0, 1))[0].id
        cancelled, claimed = world.meet(
            lambda call: jobs.cancel(call.db, job_id),
            "DELETE FROM job",
            lambda call: jobs.claim(call.db, queue="q", kinds=["k"], worker="w", lease_us=1, most=1),
        )
        assert (cancelled, claimed) == ("gone", [])


def test_a_fact_is_put_once_by_whoever_holds_the_deployment(world: World) -> None:
    def adopts(call: Call) -> bool:
        facts.lock(call.db)
        if facts.find(call.db, "first") is not None:
            return False
        facts.put(call.db, "first", "")
        return True

    assert world.meet(adopts, "INSERT INTO deployment", adopts) == (True, False)


def test_servers_that_start_on_a_new_deployment_at_once_give_it_one_name(world: World) -> None:
    def name(call: Call) -> str | None:
        stores.name_once(call.db)
        return facts.find(call.db, facts.MARK)

    first, second = world.meet(name, "INSERT INTO deployment", name)
    assert first is not None
    assert (first, world.decide(lambda db: facts.find(db, facts.MARK))) == (second, second)
