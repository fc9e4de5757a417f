"""The embedded engine: what a decision may rely on."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from openecr.db.connection import Connection, DatabaseUnusable
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteConnection, SqliteDatabase
from openecr.errors import StorageFull


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "openecr.db"
    migrate(path)
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "openecr-test", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(30):
            await scenario

    asyncio.run(timed())


def put(name: str, value: str = "") -> Callable[[Connection], str]:
    def decide(db: Connection) -> str:
        db.run("INSERT INTO deployment (name, value) VALUES (:name, :value)", name=name, value=value)
        return name

    return decide


def names(db: Connection) -> list[str]:
    """What a test wrote; a migration writes the name of the oldest schema here too."""
    return [row[0] for row in db.rows("SELECT name FROM deployment WHERE name <> 'oldest_reader' ORDER BY name")]


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    path = disk / "filler"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError:
        return path
    finally:
        os.close(descriptor)
    raise AssertionError("the disk never fills")


def held(database: SqliteDatabase) -> threading.Event:
    """Keep the writer busy until the event is set, so that the decisions which follow are committed as one group."""
    go = threading.Event()
    database.write(lambda _db: go.wait(20))
    return go


def test_a_decision_that_raises_is_undone_alone_and_the_others_of_its_group_commit(path: Path) -> None:
    async def scenario() -> None:
        def breaks(db: Connection) -> None:
            put("broken")(db)
            raise ValueError("no")

        async with opened(path) as database:
            go = held(database)
            waiting = [database.write(put("a")), database.write(breaks), database.write(put("b"))]
            go.set()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [str(answer) for answer in answers] == ["a", "no", "b"]
            assert await database.read(names) == ["a", "b"]

    run(scenario())


def test_a_constraint_that_breaks_undoes_its_decision_alone(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            go = held(database)
            waiting = [database.write(put("a")), database.write(put("a")), database.write(put("b"))]
            go.set()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(answers[1], apsw.ConstraintError)
            assert await database.read(names) == ["a", "b"]

    run(scenario())


def test_a_decision_sees_what_those_before_it_in_the_group_did(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            go = held(database)
            first, second = database.write(put("a")), database.write(names)
            go.set()
            assert (await first, await second) == ("a", ["a"])

    run(scenario())


def test_an_answer_comes_after_its_commit(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            other = SqliteConnection(path, read_only=False)
            seen: list[list[str]] = []
            go = held(database)
            waiting = [database.write(put(name)) for name in "abc"]
            tasks = [asyncio.ensure_future(answer) for answer in waiting]
            for task in tasks:
                task.add_done_callback(lambda _task: seen.append(names(other)))
            assert names(other) == []
            go.set()
            await asyncio.gather(*tasks)
            await asyncio.sleep(0)
            other.close()
            assert seen == [["a", "b", "c"]] * 3

    run(scenario())


def test_a_client_that_left_does_not_disturb_the_others(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            go = held(database)
            left, stays = asyncio.ensure_future(database.write(put("left"))), database.write(put("stays"))
            left.cancel()
            go.set()
            assert await stays == "stays"

    run(scenario())


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from openecr.db.sqlite import SqliteDatabase
async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    sql = "INSERT INTO deployment (name, value) VALUES ('answered', '')"
    await database.write(lambda db: db.run(sql))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_what_was_answered_survives_a_kill(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=os.environ, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    connection = SqliteConnection(path, read_only=False)
    assert names(connection) == ["answered"]
    connection.close()


WRITES = """
import asyncio, sys, time
from pathlib import Path
from openecr.db.sqlite import SqliteDatabase
async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    sys.stdin.readline()
    slowest = 0.0
    for number in range(200):
        began = time.monotonic()
        sql = "INSERT INTO deployment (name, value) VALUES (:name, '')"
        await database.write(lambda db: db.run(sql, name=f"{sys.argv[2]}-{number}"))
        slowest = max(slowest, time.monotonic() - began)
    await database.close()
    print(slowest)
asyncio.run(main())
"""


def test_processes_that_write_at_once_all_progress(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITES, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for name in "ab"
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    slowest = [float(process.communicate(timeout=60)[0]) for process in processes]

    connection = SqliteConnection(path, read_only=False)
    assert len(names(connection)) == 400
    connection.close()
    assert max(slowest) < 2.0


def test_foreign_keys_are_on_for_every_connection(path: Path) -> None:
    orphan = (
        "INSERT INTO principal (account_key, kind, name, unique_id, administrator, created_us)"
        " VALUES (999, 'user', 'x', 'x', 0, 0)"
    )

    async def scenario() -> None:
        async with opened(path) as database:
            with pytest.raises(apsw.ConstraintError, match="FOREIGN KEY"):
                await database.write(lambda db: db.run(orphan))
            assert await database.read(lambda db: db.row("PRAGMA foreign_keys")) == (1,)

    run(scenario())


def test_commits_are_synchronous(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            assert await database.write(lambda db: db.row("PRAGMA synchronous")) == (2,)
            assert await database.write(lambda db: db.row("PRAGMA journal_mode")) == ("wal",)

    run(scenario())


def test_a_read_sees_one_snapshot_whatever_commits_meanwhile(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            other = SqliteConnection(path, read_only=False)

            def twice(db: Connection) -> tuple[list[str], list[str]]:
                first = names(db)
                put("meanwhile")(other)
                return first, names(db)

            assert await database.read(twice) == ([], [])
            assert await database.read(names) == ["meanwhile"]
            other.close()

    run(scenario())


def test_a_read_that_raises_leaves_the_reader_usable(path: Path) -> None:
    async def scenario() -> None:
        def breaks(db: Connection) -> None:
            names(db)
            raise ValueError("no")

        async with opened(path) as database:
            with pytest.raises(ValueError, match="no"):
                await database.read(breaks)
            assert await database.read(names) == []

    run(scenario())


def test_a_read_decision_cannot_write(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            with pytest.raises(apsw.ReadOnlyError):
                await database.read(put("smuggled"))

    run(scenario())


def test_a_closed_database_refuses_writes_instead_of_leaving_them_waiting(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            await database.write(put("a"))
        with pytest.raises(DatabaseUnusable, match="closed"):
            await database.write(put("b"))

    run(scenario())


def test_closing_finishes_the_writes_that_wait(path: Path) -> None:
    async def scenario() -> None:
        async with opened(path) as database:
            go = held(database)
            waiting = [database.write(put(name)) for name in "abc"]
            go.set()
        assert await asyncio.gather(*waiting) == ["a", "b", "c"]

    run(scenario())


@pytest.mark.parametrize("size_bytes", [64 * 1024, 20 * 1024 * 1024])
def test_a_full_disk_is_told_and_the_database_works_once_there_is_room(small_disk: Path, size_bytes: int) -> None:
    async def scenario() -> None:
        database_path = small_disk / "openecr.db"
        migrate(database_path)
        async with opened(database_path) as database:
            await database.write(put("before"))
            filler = fill(small_disk)
            for attempt in range(3):
                with pytest.raises(StorageFull):
                    await database.write(put(f"refused-{attempt}", "x" * size_bytes))
            assert await database.read(names) == ["before"]
            filler.unlink()
            await database.write(put("after", "x" * 64 * 1024))
            assert await database.read(names) == ["after", "before"]
            assert await database.read(lambda db: db.row("PRAGMA integrity_check")) == ("ok",)

    run(scenario())


def test_a_decision_that_fills_the_disk_lets_nothing_of_its_group_commit_alone(small_disk: Path) -> None:
    async def scenario() -> None:
        database_path = small_disk / "openecr.db"
        migrate(database_path)
        async with opened(database_path) as database:
            go = held(database)
            group = [put("small"), put("large", "x" * 20 * 1024 * 1024), put("after")]
            waiting = [database.write(decide) for decide in group]
            go.set()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(answer) for answer in answers] == [StorageFull] * 3
            assert await database.read(names) == []

    run(scenario())


def test_a_long_log_on_a_full_disk_does_not_end_the_writer(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("openecr.db.sqlite._WAL_CHECKPOINT_PAGES", 1)
        database_path = small_disk / "openecr.db"
        migrate(database_path)
        async with opened(database_path) as database:
            filler = fill(small_disk)
            with pytest.raises(StorageFull):
                await database.write(put("refused", "x" * 1024 * 1024))
            filler.unlink()
            assert await database.write(put("after")) == "after"

    run(scenario())


def test_a_log_is_folded_when_it_is_long_and_not_because_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[int] = []
    fold = SqliteConnection.checkpoint

    def counted(connection: SqliteConnection) -> None:
        folded.append(connection.log_pages)
        fold(connection)

    async def scenario() -> None:
        monkeypatch.setattr("openecr.db.sqlite._WAL_CHECKPOINT_PAGES", 100)
        monkeypatch.setattr(SqliteConnection, "checkpoint", counted)
        database_path = tmp_path / "openecr.db"
        migrate(database_path)
        async with opened(database_path) as database:
            await database.write(put("long", "x" * 110 * 4096))
            for number in range(10):
                await database.write(put(f"short {number}"))
            assert len(await database.read(names)) == 11

    run(scenario())
    assert len(folded) == 1
    assert folded[0] >= 100
