"""Job processes as they are run, killed, stopped and steered: real processes on one data directory."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from openecr.background import SCHEDULES
from openecr.db.connection import Connection
from openecr.db.engines import open_embedded
from openecr.jobs.queue import enqueue
from tests.embedded import execute
from tests.running import environment, openecr, running
from tests.server.watching import wait_for

MANY = 60_000
GARBAGE = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO blob (registry_key, encryption_key, object_id, cipher, size_bytes, created_us, unheld_us)"
    " SELECT (SELECT MIN(id) FROM registry), 'AES256:', printf('%08x-0000-4000-8000-000000000000', i), 'none', 1, 1, 1"
    " FROM n"
)
"""So much garbage that a collection of it can be met while it runs."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment that was started once, and stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    with running(folder, "--workers", "1") as server:
        server.client("ecr").create_repository(repositoryName="app")
    execute(folder, "DELETE FROM job")
    return folder


@pytest.fixture
def data_dir(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may change."""
    return shutil.copytree(stopped, tmp_path / "data")


@contextmanager
def worker(data_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An ``openecr worker``, killed at the end where it still runs."""
    log = (data_dir / "test-worker.log").open("ab")
    command = [sys.executable, "-m", "openecr", "worker", "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
    log.close()
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def owe(data_dir: Path, *jobs: tuple[str, dict[str, Any], int]) -> None:
    """Enqueue (kind, args, attempts) in order."""

    def decide(db: Connection) -> None:
        for kind, args, attempts in jobs:
            enqueue(db, kind, args, attempts=attempts)

    async def write() -> None:
        database = open_embedded(data_dir / "openecr.db")
        await database.write(decide)
        await database.close()

    asyncio.run(write())


def jobs(data_dir: Path, *words: str) -> Any:
    return json.loads(openecr("jobs", *words, "--json", "--data-dir", str(data_dir)).stdout)


def listed(data_dir: Path, **wanted: Any) -> list[dict[str, Any]]:
    found = jobs(data_dir, "list")
    return [job for job in found if all(job[name] == value for name, value in wanted.items())]


def row_of(data_dir: Path, kind: str) -> tuple[Any, ...] | None:
    found = execute(data_dir, "SELECT id, state, worker, attempt, due_us FROM job WHERE kind = ?", (kind,))
    return found[0] if found else None


def running_collection(data_dir: Path, many: int = MANY) -> Callable[[], tuple[Any, ...] | None]:
    def running() -> tuple[Any, ...] | None:
        row = row_of(data_dir, "collect-garbage")
        began = execute(data_dir, "SELECT COUNT(*) FROM blob")[0][0] < many
        return row if row is not None and row[1] == "running" and began else None

    return running


def end_leases(data_dir: Path) -> None:
    """Let the time pass that a lease lasts."""
    execute(data_dir, "UPDATE job SET lease_until_us = 1 WHERE state = 'running'")


def make_due(data_dir: Path) -> None:
    """Let the time pass that a back-off lasts."""
    execute(data_dir, "UPDATE job SET due_us = 1 WHERE state = 'ready'")


def blobs(data_dir: Path) -> int:
    return int(execute(data_dir, "SELECT COUNT(*) FROM blob")[0][0])


def test_a_job_whose_process_is_killed_is_done_by_another(data_dir: Path) -> None:
    execute(data_dir, GARBAGE, (MANY,))
    jobs(data_dir, "run", "collect-garbage")
    with worker(data_dir) as first:
        wait_for(running_collection(data_dir), "a collection runs")
        first.kill()
        first.wait(60)
    assert 0 < blobs(data_dir) < MANY
    (left,) = listed(data_dir, kind="collect-garbage")
    assert left["state"] == "running"
    assert left["worker"].startswith(f"{first.pid}-")

    end_leases(data_dir)
    with worker(data_dir):
        wait_for(lambda: row_of(data_dir, "collect-garbage")[1] == "ready", "the job is put back")  # type: ignore[index]
        (back,) = listed(data_dir, kind="collect-garbage")
        make_due(data_dir)
        wait_for(lambda: blobs(data_dir) == 0, "another process ends the work")
    assert (back["attempt"], back["lastError"]) == (1, f"the worker {left['worker']} stopped answering")


def test_a_job_process_that_is_stopped_hands_its_work_back_at_once(data_dir: Path) -> None:
    many = 4 * MANY  # no machine collects these between being met and being stopped
    execute(data_dir, GARBAGE, (many,))
    jobs(data_dir, "run", "collect-garbage")
    with worker(data_dir) as process:
        wait_for(running_collection(data_dir, many), "a collection runs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    row = row_of(data_dir, "collect-garbage")
    assert row is not None
    assert row[1:4] == ("ready", None, 0)
    assert 0 < blobs(data_dir) < many


def test_a_running_job_that_is_cancelled_ends_within_its_lease_and_the_worker_goes_on(data_dir: Path) -> None:
    owe(data_dir, ("hang", {}, 5))
    process = subprocess.Popen([sys.executable, "-m", "tests.server.job_process", str(data_dir), "on"])
    try:
        (row,) = wait_for(lambda: listed(data_dir, kind="hang", state="running"), "the job runs")

        assert jobs(data_dir, "cancel", str(row["id"])) == {"cancelled": row["id"], "ending": True}

        wait_for((data_dir / "ended").exists, "its worker ends it")
        wait_for(lambda: not listed(data_dir), "its row goes with the lease")
        owe(data_dir, ("good", {"number": 1}, 1))
        wait_for((data_dir / "good").exists, "the worker does other work")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(60)


def test_a_cancelled_turn_of_a_schedule_is_followed_by_the_next(data_dir: Path) -> None:
    jobs(data_dir, "run", "expire-uploads")
    (turn,) = listed(data_dir)
    jobs(data_dir, "cancel", str(turn["id"]))
    assert listed(data_dir) == []

    with worker(data_dir):
        wait_for(lambda: listed(data_dir, kind="expire-uploads", state="ready"), "the next turn is owed")


def test_a_poisoned_job_is_dead_after_its_attempts_and_takes_no_other_along(data_dir: Path) -> None:
    good = [("good", {"number": number}, 2) for number in range(4)]
    owe(data_dir, good[0], ("poison", {}, 3), *good[1:])
    ends = []
    for _ in range(20):
        make_due(data_dir)
        done = subprocess.run([sys.executable, "-m", "tests.server.job_process", str(data_dir), "once"], timeout=60)
        ends.append(done.returncode)
        end_leases(data_dir)
        if row_of(data_dir, "good") is None and not listed(data_dir, state="running"):
            make_due(data_dir)
            if not listed(data_dir, state="ready"):
                break

    assert ends.count(-signal.SIGKILL) == 3
    assert [(job["kind"], job["state"], job["attempt"]) for job in listed(data_dir)] == [("poison", "dead", 3)]
    assert sorted((data_dir / "good").read_text().split()) == ["0", "1", "2", "3"]


def test_three_job_processes_make_one_turn_of_each_schedule(data_dir: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(worker(data_dir)) for _ in range(3)]

        def opened() -> bool:
            return all(_has_open(process.pid, data_dir / "openecr.db") for process in processes)

        wait_for(opened, "all have the database open")
        wait_for(lambda: len(listed(data_dir, state="ready")) >= len(SCHEDULES), "the schedules are owed")
        before = {job["kind"]: job["id"] for job in listed(data_dir)}
        assert sorted(before) == sorted(schedule.kind for schedule in SCHEDULES)
        assert jobs(data_dir, "run", "measure-quotas") == {"due": "measure-quotas", "runs": False}

        def turned() -> bool:
            (job,) = listed(data_dir, kind="measure-quotas")
            return bool(job["id"] != before["measure-quotas"])

        wait_for(turned, "one turn is over, and the next owed")
        assert len(listed(data_dir)) == len(SCHEDULES)
    (count,) = execute(data_dir, "SELECT seq FROM sqlite_sequence WHERE name = 'job'")[0]
    assert count - max(before.values()) == 1


def _has_open(pid: int, path: Path) -> bool:
    try:
        return any(os.readlink(item) == str(path) for item in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_jobs_are_listed_retried_and_cancelled_on_a_stopped_deployment(data_dir: Path) -> None:
    owe(data_dir, ("first", {"a": 1}, 5), ("second", {}, 5), ("second", {}, 5))
    execute(data_dir, "UPDATE job SET state = 'dead', attempt = 5, error = 'ValueError: [red]no' WHERE kind = 'second'")
    first, *dead = (job["id"] for job in listed(data_dir))

    assert [job["id"] for job in jobs(data_dir, "list", "--state", "dead")] == dead
    assert [job["args"] for job in jobs(data_dir, "list", "--kind", "first")] == [{"a": 1}]
    assert [job["id"] for job in jobs(data_dir, "list", "--limit", "1")] == [first]
    assert "5 of 5    ValueError: [red]no" in openecr("jobs", "list", "--data-dir", str(data_dir)).stdout
    assert jobs(data_dir, "retry", str(dead[0])) == {"retried": [dead[0]]}
    assert jobs(data_dir, "retry", "--dead") == {"retried": [dead[1]]}
    assert [(job["kind"], job["attempt"]) for job in listed(data_dir, state="ready")] == [
        ("first", 0),
        ("second", 0),
        ("second", 0),
    ]
    assert jobs(data_dir, "cancel", str(first)) == {"cancelled": first, "ending": False}
    assert listed(data_dir, kind="first") == []


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("cancel", "999"), 1, "no job has the id 999: it is done, or never was; see: openecr jobs list"),
        (("retry", "999"), 1, "no dead job has the id 999; see: openecr jobs list --state dead"),
        (("retry",), 2, "give the id of a dead job, or --dead for all of them"),
        (("run", "sweep"), 2, "there is no schedule sweep; the schedules are expire-uploads, collect-garbage"),
        (("list", "--state", "lost"), 2, "a job is ready, running or dead"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    data_dir: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    done = openecr("jobs", *words, "--data-dir", str(data_dir), check=False)

    assert done.returncode == status
    assert says in done.stderr
