"""The shared engine: what a decision may rely on when others write, and when the database goes away."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.postgres import Cluster, running_cluster
from tests.rows import REGISTRY, make_repository
from tests.running import free_port

from openecr.db import garbage, layers, repositories, trash
from openecr.db.connection import Connection, DatabaseUnusable
from openecr.db.migrations import migrate_postgres
from openecr.db.postgres import PostgresDatabase
from openecr.db.postgres_text import numbered, render
from openecr.db.postgres_watch import NotPrimary, Primary
from openecr.errors import DatabaseAway
from openecr.settings import without_secrets

DIGEST = b"\x01" + bytes(32)


@asynccontextmanager
async def opened(url: str, memory: Path | None = None) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase(url, connections=4, memory=memory).start()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.create_database(migrate_postgres)


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that the test may break."""
    with running_cluster(free_port()) as cluster:
        yield cluster


@pytest.fixture
def proxy(postgres: Cluster) -> Iterator[CuttingProxy]:
    with cutting_proxy("127.0.0.1", postgres.port) as started:
        yield started


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(timed())


def put(name: str) -> Callable[[Connection], str]:
    def decide(db: Connection) -> str:
        db.run("INSERT INTO deployment (name, value) VALUES (:name, '')", name=name)
        return name

    return decide


def names(db: Connection) -> list[str]:
    """What a test wrote."""
    found = db.rows("SELECT name FROM deployment WHERE name NOT IN ('oldest_reader', 'schema') ORDER BY name")
    return [row[0] for row in found]


def insert_blob(db: Connection, repository: repositories.Repository, object_id: str = "object") -> layers.Blob:
    return layers.insert_blob(
        db,
        registry_key=repository.registry_key,
        encryption_key=repository.encryption_key,
        object_id=object_id,
        size_bytes=1,
        digests=[DIGEST],
        now_us=1,
    )


class Barrier:
    """Holds decisions of several threads at a point, at their first run only: the others wait for the first there."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)
        self._passed = threading.local()

    def __call__(self) -> None:
        if not getattr(self._passed, "once", False):
            self._passed.once = True
            self._barrier.wait(20)


class TestTexts:
    def test_named_parameters_are_numbered_in_order_and_repeat(self) -> None:
        text, found = numbered("SELECT :a, :b::text, :a FROM t WHERE x = :b AND y::bigint = 1")
        assert text == b"SELECT $1, $2::text, $1 FROM t WHERE x = $2 AND y::bigint = 1"
        assert found == ("a", "b")

    def test_text_is_in_byte_order_whatever_the_locale(self) -> None:
        assert render("a TEXT NOT NULL, b BIGINT") == 'a TEXT COLLATE "C" NOT NULL, b BIGINT'

    def test_no_password_is_shown(self) -> None:
        assert without_secrets("postgresql://me:secret@host:5432/db") == "postgresql://me:***@host:5432/db"

    @pytest.mark.parametrize(
        "address",
        [
            "postgresql://me:canary@[::1/db",
            "postgresql://me:canary%zz@127.0.0.1:1/db",
            "postgresql://me:can/ary@127.0.0.1:1/db",
            "postgresql://me:canary@127.0.0.1:1/db?bogus=1",
            "postgresql://me@127.0.0.1:1/db?password=canary",
            "postgresql://me@127.0.0.1:1/db?password=canary=",
            "postgresql://me:canary@127.0.0.1:1,127.0.0.1:2/db",
        ],
    )
    def test_no_error_shows_the_password_of_an_address(self, address: str) -> None:
        async def scenario() -> None:
            with pytest.raises(DatabaseUnusable) as refused:
                async with opened(address):
                    raise AssertionError("it opened")
            assert "canary" not in str(refused.value)
            assert "can/ary" not in str(refused.value)
            with pytest.raises(DatabaseUnusable) as refused:
                migrate_postgres(address)
            assert "canary" not in str(refused.value)

        run(scenario())
        assert "canary" not in without_secrets(address)


class TestRaces:
    def test_the_same_bytes_made_visible_twice_at_once_are_one_blob(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:
                repository = await database.write(make_repository)
                both = Barrier(2)

                def decide(object_id: str) -> Callable[[Connection], int]:
                    def keep(db: Connection) -> int:
                        found = layers.find_blob(db, repository.registry_key, repository.encryption_key, DIGEST)
                        both()
                        return found.key if found else insert_blob(db, repository, object_id).key

                    return keep

                kept = await asyncio.gather(database.write(decide("one")), database.write(decide("two")))
                assert kept[0] == kept[1]
                assert await database.read(lambda db: db.row("SELECT COUNT(*) FROM blob")) == (1,)

        run(scenario())

    def test_two_that_end_the_last_two_links_of_a_blob_at_once_leave_it_unheld(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:

                def fill(db: Connection) -> tuple[int, list[int]]:
                    first, second = make_repository(db, "first"), make_repository(db, "second")
                    blob = insert_blob(db, first)
                    links = [
                        layers.link(db, repository.key, DIGEST, blob.key, promised_until_us=1, now_us=1)
                        for repository in (first, second)
                    ]
                    return blob.key, links

                blob_key, links = await database.write(fill)
                both = Barrier(2)

                def end(link: int) -> Callable[[Connection], None]:
                    def decide(db: Connection) -> None:
                        db.run("DELETE FROM layer WHERE id = :key", key=link)
                        both()
                        garbage.note_unheld(db, blob_key, 7)

                    return decide

                await asyncio.gather(*(database.write(end(link)) for link in links))
                assert await database.read(lambda db: garbage.unheld_blobs(db, 7, 10)) == [blob_key]

        run(scenario())

    def test_a_blob_that_gets_a_link_while_it_is_condemned_stays(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:

                def fill(db: Connection) -> tuple[repositories.Repository, int]:
                    repository = make_repository(db)
                    blob = insert_blob(db, repository)
                    garbage.note_unheld(db, blob.key, 1)
                    return repository, blob.key

                repository, blob_key = await database.write(fill)
                linked, condemned = threading.Event(), threading.Event()

                def link(db: Connection) -> None:
                    layers.link(db, repository.key, DIGEST, blob_key, promised_until_us=10**18, now_us=2)
                    linked.set()
                    condemned.wait(0.3)  # the other is at it, and must wait for this commit

                def condemn(db: Connection) -> int | None:
                    linked.wait(20)
                    try:
                        return garbage.condemn(db, blob_key, 5, 6)
                    finally:
                        condemned.set()

                _, size_bytes = await asyncio.gather(database.write(link), database.write(condemn))
                assert size_bytes is None
                found = await database.read(lambda db: layers.find(db, repository.key, DIGEST, 3))
                assert found is not None

        run(scenario())

    def test_decisions_that_lock_a_repository_wait_for_each_other(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:
                await database.write(make_repository)

                def count_up(db: Connection) -> None:
                    repository = repositories.find(db, REGISTRY, "app", lock=True)
                    assert repository is not None
                    number = int(repository.mutability_filters.strip("[]") or 0)
                    repositories.set_mutability(db, repository.key, "MUTABLE", f"[{number + 1}]")

                await asyncio.gather(*(database.write(count_up) for _ in range(40)))
                found = await database.read(lambda db: repositories.find(db, REGISTRY, "app"))
                assert found is not None
                assert found.mutability_filters == "[40]"

        run(scenario())

    def test_a_deadlock_is_nobodys_error(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:
                await database.write(put("a"))
                await database.write(put("b"))
                both = Barrier(2)

                def crossing(first: str, second: str) -> Callable[[Connection], None]:
                    def decide(db: Connection) -> None:
                        touch = "UPDATE deployment SET value = value || '+' WHERE name = :name"
                        db.run(touch, name=first)
                        both()
                        db.run(touch, name=second)

                    return decide

                await asyncio.gather(database.write(crossing("a", "b")), database.write(crossing("b", "a")))
                found = await database.read(lambda db: db.rows("SELECT value FROM deployment WHERE name IN ('a', 'b')"))
                assert found == [("++",), ("++",)]

        run(scenario())

    def test_a_decision_that_raises_leaves_nothing(self, url: str) -> None:
        async def scenario() -> None:
            def breaks(db: Connection) -> None:
                put("broken")(db)
                raise ValueError("no")

            async with opened(url) as database:
                with pytest.raises(ValueError, match="no"):
                    await database.write(breaks)
                await database.write(put("kept"))
                assert await database.read(names) == ["kept"]

        run(scenario())

    def test_a_read_sees_one_snapshot_and_writes_nothing(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:
                between, written = threading.Event(), threading.Event()

                def twice(db: Connection) -> tuple[list[str], list[str]]:
                    before = names(db)
                    between.set()
                    written.wait(20)
                    return before, names(db)

                reading = asyncio.ensure_future(database.read(twice))
                await asyncio.to_thread(between.wait, 20)
                await database.write(put("meanwhile"))
                written.set()
                assert await reading == ([], [])
                with pytest.raises(AssertionError, match="tried to write"):
                    await database.read(put("smuggled"))
                assert await database.read(names) == ["meanwhile"]

        run(scenario())


class TestLosses:
    def test_a_connection_that_breaks_in_a_decision_makes_it_run_again(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:
                runs: list[int] = []

                def decide(db: Connection) -> None:
                    put(f"run {len(runs)}")(db)
                    found = db.row("SELECT pg_backend_pid()")
                    assert found is not None
                    runs.append(found[0])
                    if len(runs) == 1:
                        with psycopg.connect(url, autocommit=True) as other:
                            other.execute("SELECT pg_terminate_backend(%s)", (found[0],))

                await database.write(decide)
                assert len(runs) == 2
                assert await database.read(names) == ["run 1"]

        run(scenario())

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_commit_whose_answer_is_lost_is_done_once(self, url: str, proxy: CuttingProxy, committed: bool) -> None:
        name = url.rsplit("/", 1)[1]

        async def scenario() -> None:
            async with opened(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}") as database:
                await database.write(put("before"))
                runs: list[str] = []

                def decide(db: Connection) -> str:
                    runs.append(put(f"run {len(runs)}")(db))
                    return runs[-1]

                proxy.cut_at(b"COMMIT", after_the_server_did_it=committed)
                answer = await database.write(decide)

                assert proxy.cuts == 1
                assert answer == ("run 0" if committed else "run 1")
                assert await database.read(names) == ["before", answer]

        run(scenario())

    def test_a_restart_loses_and_doubles_nothing(self, own_cluster: Cluster) -> None:
        url = own_cluster.create_database(migrate_postgres)

        async def scenario() -> None:
            async with opened(url) as database:
                acknowledged: list[str] = []
                under_way = asyncio.Event()

                async def writing(client: int) -> None:
                    for number in range(60):
                        name = await database.write(put(f"{client} {number:02d}"))
                        acknowledged.append(name)
                        if len(acknowledged) == 60:
                            under_way.set()

                clients = [asyncio.ensure_future(writing(client)) for client in range(4)]
                await under_way.wait()
                await asyncio.to_thread(own_cluster.run, "crash")
                await asyncio.to_thread(own_cluster.run, "start")
                await asyncio.gather(*clients)
                assert sorted(acknowledged) == await database.read(names)
                assert len(acknowledged) == 240

        run(scenario())

    def test_a_database_that_stays_away_is_told_and_found_again(
        self, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openecr.db.postgres.PATIENCE_SECONDS", 0.5)
        url = own_cluster.create_database(migrate_postgres)

        async def scenario() -> None:
            async with opened(url) as database:
                await asyncio.to_thread(own_cluster.run, "stop")
                with pytest.raises(DatabaseAway):
                    await database.write(put("lost"))
                with pytest.raises(DatabaseAway):
                    await database.read(names)
                await asyncio.to_thread(own_cluster.run, "start")
                monkeypatch.setattr("openecr.db.postgres.PATIENCE_SECONDS", 10.0)
                await database.write(put("found"))
                assert await database.read(names) == ["found"]

        run(scenario())

    def test_a_database_that_is_not_there_at_the_start_is_one_sentence(self) -> None:
        async def scenario() -> None:
            with pytest.raises(DatabaseUnusable, match=r"cannot be used: .*check --database"):
                async with opened(f"postgresql://postgres@127.0.0.1:{free_port()}/none"):
                    pass

        run(scenario())


def reconfigure(cluster: Cluster, change: str, wanted: str) -> None:
    """Change whether the server takes writes, and return once every connection is told."""
    with psycopg.connect(f"{cluster.address}/postgres", autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute(change.encode())
        admin.execute("SELECT pg_reload_conf()")
    while True:
        with psycopg.connect(f"{cluster.address}/postgres", autocommit=True) as fresh:
            if fresh.execute("SHOW default_transaction_read_only").fetchone() == (wanted,):
                return


class TestPrimary:
    def test_a_server_that_only_reads_is_not_written_to(
        self, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openecr.db.postgres.PATIENCE_SECONDS", 0.5)
        url = own_cluster.create_database(migrate_postgres)

        async def scenario() -> None:
            async with opened(url) as database:
                await database.write(put("before"))
                reconfigure(own_cluster, "ALTER SYSTEM SET default_transaction_read_only = on", "on")
                with pytest.raises(DatabaseAway):
                    await database.write(put("lost"))
                reconfigure(own_cluster, "ALTER SYSTEM RESET default_transaction_read_only", "off")
                monkeypatch.setattr("openecr.db.postgres.PATIENCE_SECONDS", 10.0)
                await database.write(put("after"))
                assert await database.read(names) == ["after", "before"]

        run(scenario())

    def test_an_older_primary_is_refused_also_after_a_restart_of_this_server(self, tmp_path: Path) -> None:
        memory = tmp_path / "primary.json"
        primary = Primary(memory)
        primary.judge(only_reads=False, system_identifier=7, timeline="00000002")
        primary.judge(only_reads=False, system_identifier=7, timeline="00000003")
        for known in (primary, Primary(memory)):
            with pytest.raises(NotPrimary, match="older primary"):
                known.judge(only_reads=False, system_identifier=7, timeline="00000002")
            with pytest.raises(NotPrimary, match="another cluster"):
                known.judge(only_reads=False, system_identifier=8, timeline="00000009")
            with pytest.raises(NotPrimary, match="only reads"):
                known.judge(only_reads=True, system_identifier=7, timeline=None)

    def test_a_memory_that_cannot_be_read_is_none(self, tmp_path: Path) -> None:
        memory = tmp_path / "primary.json"
        memory.write_text("{")
        Primary(memory).judge(only_reads=False, system_identifier=7, timeline="00000001")


class TestKept:
    def test_what_a_write_forgets_is_used_by_no_server_once_it_is_answered(self, url: str) -> None:
        def kept(db: Connection) -> Any:
            return db.kept_row("things", "SELECT value FROM deployment WHERE name = :name", name="thing")

        async def scenario() -> None:
            async with opened(url) as one, opened(url) as other:
                await one.write(put("thing"))
                while True:  # until it is kept, a read goes to the database and finds it there
                    assert await other.read(kept, consistent=False) == ("",)
                    if other.kept.find(("SELECT value FROM deployment WHERE name = :name", "thing")) is not None:
                        break

                def change(db: Connection) -> None:
                    db.run("UPDATE deployment SET value = 'new' WHERE name = 'thing'")
                    db.forget("things")

                await one.write(change)
                assert await other.read(kept, consistent=False) == ("new",)

        run(scenario())


class TestTrash:
    def test_a_purge_that_begins_while_a_repository_is_taken_back_waits_and_finds_it_alive(self, url: str) -> None:
        async def scenario() -> None:
            async with opened(url) as database:

                def throw_away(db: Connection) -> tuple[repositories.Repository, int]:
                    repository = make_repository(db)
                    trash.put(
                        db,
                        registry_key=repository.registry_key,
                        repository_name="app",
                        kind=trash.REPOSITORY,
                        digest=None,
                        tags=(),
                        document={"repositoryKey": repository.key},
                        manifest=None,
                        layers=(),
                        deleted_us=1,
                        deleted_by="test",
                        reason="test",
                    )
                    repositories.move_to_trash(db, repository.key, 1)
                    key = trash.newest_repository(db, repository.registry_key, "app")
                    assert key is not None
                    return repository, key

                repository, key = await database.write(throw_away)
                found, purging = threading.Event(), threading.Event()

                def take_back(db: Connection) -> None:
                    trashed = trash.find(db, key)
                    assert trashed is not None
                    found.set()
                    purging.wait(0.3)  # the purge is at it, and must wait for this commit
                    assert repositories.restore(db, repository.key, "app")
                    trash.delete(db, key)

                def purge(db: Connection) -> bool:
                    found.wait(20)
                    trash.start_purging(db, key)
                    purging.set()
                    return repositories.is_trashed(db, repository.key)

                _, may_purge = await asyncio.gather(database.write(take_back), database.write(purge))
                assert not may_purge

        run(scenario())
