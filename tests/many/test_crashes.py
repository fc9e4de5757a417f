"""The crash matrix: each fault at random moments while clients push, pull and delete and garbage is collected.

After each round, healed: every push that was acknowledged pulls byte for byte from every server, nothing that was
deleted is served, what was not acknowledged is there whole or not at all, nothing dangles, nothing is held for ever.
``make crash`` runs many rounds. A failure names its seed; OPENECR_TEST_SEED runs it again.
"""

import os
import random
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.many.deployment import Deployment, deployment, reconfigure
from tests.many.load import SHORT_LIVES, Load, wrong_answers
from tests.many.world import World, enlarge, pass_time, shrink, small_file_system
from tests.running import Server, free_port

ROUNDS = int(os.environ.get("OPENECR_TEST_CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("OPENECR_TEST_SEED", str(random.SystemRandom().randrange(1_000_000))))
PUSHES_AROUND = 6
Fault = Callable[[World, random.Random], None]


def kill_parent(world: World, choose: random.Random) -> None:
    world.kill_parent(choose)


def kill_worker(world: World, choose: random.Random) -> None:
    world.kill(choose, "worker")


def kill_job_process(world: World, choose: random.Random) -> None:
    world.hasten()
    pass_time(choose, 0, 1)
    world.kill(choose, "job")


def fill_disk(world: World, choose: random.Random) -> None:
    shrink(world.store, choose.choice((0, 100_000, 1_000_000)))
    pass_time(choose, 0.5, 2)
    enlarge(world.store)


def crash_database(world: World, choose: random.Random) -> None:
    cluster = _many(world).cluster
    cluster.run("crash")
    pass_time(choose, 0, 2)
    cluster.run("start")


def restart_database(world: World, choose: random.Random) -> None:
    cluster = _many(world).cluster
    cluster.run("stop")
    cluster.run("start")


def end_connections(world: World, choose: random.Random) -> None:
    """Every connection to the database ends, several times, wherever each transaction is."""
    for _ in range(choose.randrange(2, 8)):
        with psycopg.connect(f"{_many(world).cluster.address}/openecr", autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'openecr' AND pid <> pg_backend_pid()"
            )
        pass_time(choose, 0, 0.3)


def cut_database(world: World, choose: random.Random) -> None:
    network = _many(world).network
    network.cut(choose.choice(("one", "two", "three")), "database")
    pass_time(choose, 0.5, 4)
    network.heal()


def cut_answers_of_database(world: World, choose: random.Random) -> None:
    """The database hears a server and commits; the server does not hear it."""
    network = _many(world).network
    network.cut_one_way("database", choose.choice(("one", "two", "three")))
    pass_time(choose, 0.5, 4)
    network.heal()


def cut_proxy(world: World, choose: random.Random) -> None:
    network = _many(world).network
    network.cut("proxy", choose.choice(("one", "two", "three")))
    pass_time(choose, 0.5, 4)
    network.heal()


def kill_store(world: World, choose: random.Random) -> None:
    store = _many(world).store
    assert store is not None
    store.kill()
    pass_time(choose, 0, 2)
    store.start()


def cut_store(world: World, choose: random.Random) -> None:
    network = _many(world).network
    network.cut(choose.choice(("one", "two", "three")), "store")
    pass_time(choose, 0.5, 4)
    network.heal()


EVERYWHERE: list[Fault] = [kill_parent, kill_worker, kill_job_process, fill_disk]
BETWEEN_HOSTS: list[Fault] = [
    crash_database,
    restart_database,
    end_connections,
    cut_database,
    cut_answers_of_database,
    cut_proxy,
]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """SQLite and the file system: one server with two workers."""
    folder = tmp_path_factory.mktemp("embedded")
    with small_file_system(folder / "store") as store:
        data_dir = folder / "data"
        data_dir.mkdir()
        (data_dir / "blobs").symlink_to(store)
        server = Server(data_dir, free_port(), ("--workers", "2"), variables=SHORT_LIVES)
        server.start()
        try:
            yield World((server,), store)
        finally:
            server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three servers, PostgreSQL, a blob store and a proxy, each on its own host."""
    folder = tmp_path_factory.mktemp("shared")
    with (
        small_file_system(folder / "blobs") as store,
        deployment(folder, 1, variables=SHORT_LIVES) as many,
    ):
        # Commits take long, so that faults meet them.
        for setting in ("commit_delay = 30000", "commit_siblings = 0"):
            reconfigure(many.cluster, f"ALTER SYSTEM SET {setting}")
        yield World(many.servers, store, many)


@pytest.fixture(scope="module")
def shared_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three servers, PostgreSQL, an S3-compatible store and a proxy, each on its own host."""
    folder = tmp_path_factory.mktemp("shared-s3")
    with (
        deployment(folder, 3, variables=SHORT_LIVES, with_store=True) as many,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert many.store is not None
        for name, value in many.store.store.credentials.items():
            patch.setenv(name, value)  # the checks read the store too
        yield World(many.servers, many.blobs, many)


@pytest.mark.parametrize("fault", [kill_worker, kill_store, cut_store])
def test_many_servers_on_an_object_store_lose_nothing(shared_s3: World, fault: Fault, repository_name: str) -> None:
    _break_again_and_again(shared_s3, fault, repository_name)


@pytest.mark.parametrize("fault", EVERYWHERE)
def test_embedded_nothing_is_lost(embedded: World, fault: Fault, repository_name: str) -> None:
    _break_again_and_again(embedded, fault, repository_name)


@pytest.mark.parametrize("fault", [*EVERYWHERE, *BETWEEN_HOSTS])
def test_many_servers_lose_nothing(shared: World, fault: Fault, repository_name: str) -> None:
    _break_again_and_again(shared, fault, repository_name)


def _break_again_and_again(world: World, fault: Fault, repository: str) -> None:
    print(f"seed {SEED}: OPENECR_TEST_SEED={SEED} runs the same again")
    choose = random.Random(f"{SEED} {fault.__name__}")
    world.create_repository(repository)
    checked = 0
    with Load(world.client(), repository, SEED) as load:
        for number in range(ROUNDS):
            load.resume()
            load.wait_for_pushes(choose.randrange(1, PUSHES_AROUND), "clients push")
            world.hasten()
            fault(world, choose)
            world.wait_until_ready()
            load.wait_for_pushes(PUSHES_AROUND, "clients push again by themselves")
            load.pause()

            assert load.wrong == [], f"round {number}"
            new, checked = load.images[checked:], len(load.images)
            assert wrong_answers(load, new, world.each()) == [], f"round {number}"
            assert world.broken() == [], f"round {number}"
        assert world.settle() == []
        assert wrong_answers(load, load.images, world.each()) == []


def _many(world: World) -> Deployment:
    assert world.many is not None
    return world.many
