"""The rules of the table of owed work, without a worker: claims, keys, leases, fencing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engines import Engine, Sqlite

from openecr.db import jobs
from openecr.db.connection import Connection
from openecr.db.jobs import Job
from openecr.jobs.queue import enqueue

SECOND = 1_000_000
LEASE = 60 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now_us

    def forward(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(engine: Engine, clock: Clock) -> Connection:
    return engine.connection(clock)


def claim(db: Connection, worker: str = "a", most: int = 10, kinds: tuple[str, ...] = ("scan",)) -> list[Job]:
    return jobs.claim(db, queue="default", kinds=kinds, worker=worker, lease_us=LEASE, most=most)


def states(db: Connection) -> dict[str, int]:
    return {state: count for (_, state), count in jobs.counts(db).items()}


def test_jobs_are_claimed_oldest_first_and_once(db: Connection, clock: Clock) -> None:
    for number in range(3):
        enqueue(db, "scan", {"number": number}, delay_us=-number)

    first, second = claim(db, most=1), claim(db, "b")

    assert [job.args for job in first + second] == ['{"number":2}', '{"number":1}', '{"number":0}']
    assert claim(db, "c") == []


def test_a_delayed_job_waits_for_its_time(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {}, delay_us=5 * SECOND)
    assert claim(db) == []
    assert jobs.next_due_us(db, "default") == clock.now_us + 5 * SECOND

    clock.forward(5)

    assert len(claim(db)) == 1


def test_a_worker_leaves_the_kinds_it_does_not_know(db: Connection) -> None:
    enqueue(db, "a-newer-kind", {})

    assert claim(db) == []
    assert states(db) == {"ready": 1}


def test_work_with_one_key_coalesces_while_it_has_not_started(db: Connection) -> None:
    enqueue(db, "scan", {}, key="scan:1")
    enqueue(db, "scan", {}, key="scan:1")
    enqueue(db, "scan", {}, key="scan:2")

    assert states(db) == {"ready": 2}


def test_coalescing_keeps_the_earlier_time_and_gives_all_attempts_again(db: Connection) -> None:
    enqueue(db, "scan", {}, key="k", attempts=2)
    jobs.retry(db, claim(db)[0], "passing", 3600 * SECOND)

    enqueue(db, "scan", {}, key="k", attempts=2)

    assert [job.attempt for job in claim(db)] == [1]


def test_work_without_a_key_never_coalesces(db: Connection) -> None:
    enqueue(db, "scan", {})
    enqueue(db, "scan", {})

    assert len(claim(db)) == 2


def test_work_that_runs_is_followed_by_work_enqueued_meanwhile_and_never_overlapped(db: Connection) -> None:
    enqueue(db, "scan", {}, key="k")
    (running,) = claim(db, "a")
    enqueue(db, "scan", {}, key="k")
    enqueue(db, "scan", {}, key="other")

    meanwhile = claim(db, "b")
    assert [job.key for job in meanwhile] == ["other"]

    jobs.finish(db, running)
    assert [job.key for job in claim(db, "b")] == ["k"]


def test_a_finished_job_leaves_no_row(db: Connection) -> None:
    enqueue(db, "scan", {})

    assert jobs.finish(db, claim(db)[0])

    assert jobs.counts(db) == {}


def test_a_failed_job_is_due_again_after_the_delay(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {})
    assert jobs.retry(db, claim(db)[0], "no route", 4 * SECOND)
    assert claim(db) == []

    clock.forward(4)

    (again,) = claim(db)
    assert again.attempt == 2


def test_a_job_is_dead_after_its_attempts_and_says_why(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {}, attempts=2)
    for _ in range(2):
        jobs.retry(db, claim(db)[0], "no route", 0)

    (dead,) = jobs.list_after(db, "dead", after_id=0, most=10)
    assert (dead.attempt, dead.error, dead.worker) == (2, "no route", None)
    assert claim(db) == []


def test_a_dead_job_can_be_revived_with_all_its_attempts(db: Connection) -> None:
    enqueue(db, "scan", {"n": 1}, key="k", attempts=1)
    jobs.retry(db, claim(db)[0], "no route", 0)
    (dead,) = jobs.list_after(db, "dead", after_id=0, most=10)

    assert jobs.revive(db, dead.id)

    (again,) = claim(db)
    assert (again.args, again.key, again.attempt) == ('{"n":1}', "k", 1)
    assert not jobs.revive(db, dead.id)


def test_a_failed_job_leaves_its_work_to_the_one_enqueued_meanwhile(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {}, key="k")
    (running,) = claim(db)
    enqueue(db, "scan", {}, key="k", delay_us=3600 * SECOND)

    assert jobs.retry(db, running, "no route", 4 * SECOND)

    assert states(db) == {"ready": 1}
    assert jobs.next_due_us(db, "default") == clock.now_us + 4 * SECOND


def test_a_job_handed_back_has_not_used_an_attempt(db: Connection) -> None:
    enqueue(db, "scan", {}, attempts=1)

    assert jobs.release(db, claim(db, "a")[0])

    assert [job.attempt for job in claim(db, "b")] == [1]


def test_a_stale_worker_changes_nothing(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {}, key="k")
    (stale,) = claim(db, "a")
    clock.forward(61)
    (expired,) = jobs.list_expired(db, 10)
    jobs.retry(db, expired, "lost", 0)
    (current,) = claim(db, "b")

    assert not jobs.extend_lease(db, stale, LEASE)
    assert not jobs.finish(db, stale)
    assert not jobs.retry(db, stale, "late", 0)
    assert not jobs.bury(db, stale, "late")
    assert not jobs.release(db, stale)
    assert jobs.list_after(db, "running", after_id=0, most=10) == [current]


def test_a_worker_that_lost_a_job_and_has_it_again_is_fenced_by_the_attempt(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {})
    (stale,) = claim(db, "a")
    clock.forward(61)
    jobs.retry(db, jobs.list_expired(db, 10)[0], "lost", 0)
    (current,) = claim(db, "a")

    assert not jobs.finish(db, stale)
    assert jobs.finish(db, current)


def test_a_lease_that_is_extended_does_not_expire(db: Connection, clock: Clock) -> None:
    enqueue(db, "scan", {})
    (job,) = claim(db)
    clock.forward(40)

    assert jobs.extend_lease(db, job, LEASE)

    clock.forward(40)
    assert jobs.list_expired(db, 10) == []
    clock.forward(21)
    assert [expired.id for expired in jobs.list_expired(db, 10)] == [job.id]


KILLED = """
import os, signal, sys
from pathlib import Path
from openecr.db import jobs
from openecr.db.sqlite import SqliteConnection
db = SqliteConnection(Path(sys.argv[1]), read_only=False, clock_us=lambda: int(sys.argv[2]))
jobs.claim(db, queue="default", kinds=("scan",), worker="killed", lease_us=60_000_000, most=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_workers_job_comes_back_when_its_lease_ends_and_counts_as_an_attempt(
    tmp_path: Path, clock: Clock
) -> None:
    engine = Sqlite(tmp_path)
    db, path = engine.connection(clock), engine.path
    enqueue(db, "scan", {}, key="k", attempts=2)
    arguments = [sys.executable, "-c", KILLED, str(path), str(clock.now_us)]
    killed = subprocess.run(arguments, env=os.environ, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    assert jobs.list_expired(db, 10) == []
    clock.forward(61)
    (expired,) = jobs.list_expired(db, 10)
    jobs.retry(db, expired, "the worker stopped answering", 0)

    (again,) = claim(db, "b")
    assert again.attempt == again.max_attempts == 2
    engine.close()


def test_a_decision_that_fails_owes_nothing(db: Connection) -> None:
    db.run("BEGIN")
    enqueue(db, "scan", {})
    db.run("ROLLBACK")

    assert jobs.counts(db) == {}
