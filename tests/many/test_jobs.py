"""Job processes of several servers share the work: each job runs once, periodic ones once per deployment."""

from collections import Counter
from collections.abc import Iterator

import pytest

from openecr.db import jobs
from openecr.db.connection import Connection, Row
from openecr.jobs.queue import enqueue
from tests.many.deployment import Deployment
from tests.many.world import job_process
from tests.waiting import wait_until

JOBS = 300
TURNS = 4
PERIODIC = "schedule:expire-uploads"
_SHARED = "dedup >= 'shared:' AND dedup < 'shared;'"
_NEXT_TURN = f"SELECT COUNT(*) FROM job WHERE dedup = '{PERIODIC}' AND state = 'ready' AND due_us > :now_us"
_NOTE_START = """
    CREATE FUNCTION note_start() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO started VALUES (NEW.id, NEW.dedup, NEW.worker); RETURN NULL; END'
"""
_ON_START = """
    CREATE TRIGGER note_start AFTER UPDATE ON job FOR EACH ROW
    WHEN (OLD.state = 'ready' AND NEW.state = 'running') EXECUTE FUNCTION note_start()
"""
_STARTED = "CREATE TABLE started (job_id BIGINT NOT NULL, dedup TEXT, worker TEXT NOT NULL)"
_WATCH = (_STARTED, _NOTE_START, _ON_START)
_END_WATCH = ("DROP TRIGGER note_start ON job", "DROP FUNCTION note_start()", "DROP TABLE started")


@pytest.fixture
def watched(many: Deployment) -> Iterator[Deployment]:
    """The deployment, whose database notes which worker starts which job."""

    def run(db: Connection, *statements: str) -> None:
        for statement in statements:
            db.run(statement)

    many.servers[0].write(lambda db: run(db, *_WATCH))
    yield many
    many.servers[0].write(lambda db: run(db, *_END_WATCH))


def test_every_job_runs_once_on_some_server(watched: Deployment) -> None:
    def owe(db: Connection) -> None:
        for number in range(JOBS):
            enqueue(db, "expire-uploads", {}, key=f"shared:{number}")

    with job_process(watched.servers[0]):
        watched.servers[0].write(owe)
        left = "SELECT COUNT(*) FROM job WHERE dedup >= 'shared:' AND dedup < 'shared;'"
        wait_until(lambda: watched.servers[0].rows(left) == [(0,)], "the jobs are done", 120)

    started = watched.servers[0].rows(
        "SELECT dedup, worker FROM started WHERE dedup >= 'shared:' AND dedup < 'shared;'"
    )
    assert Counter(key for key, _ in started) == {f"shared:{number}": 1 for number in range(JOBS)}
    assert len({worker for _, worker in started}) > 1


def test_a_periodic_job_runs_once_a_turn_for_all_servers(watched: Deployment) -> None:
    server = watched.servers[0]
    for turn in range(1, TURNS + 1):
        assert server.write(lambda db: jobs.hasten(db, "default", PERIODIC, db.clock_us()))
        wait_until(lambda: server.write(_next_turns) == [(1,)], "the next turn is owed")
        assert server.rows(f"SELECT COUNT(*) FROM started WHERE dedup = '{PERIODIC}'") == [(turn,)]


def _next_turns(db: Connection) -> list[Row]:
    return db.rows(_NEXT_TURN, now_us=db.clock_us() + 60_000_000)
