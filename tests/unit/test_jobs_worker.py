"""The worker: how handlers end, who may run, what a stop leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from tests.engines import Engine

from openecr.blobs.store import StoreAway
from openecr.db import jobs
from openecr.db.connection import Connection
from openecr.db.jobs import Job
from openecr.errors import DatabaseAway, StorageFull
from openecr.jobs.queue import enqueue
from openecr.jobs.schedule import Schedule, ensure
from openecr.jobs.worker import (
    AWAY_US,
    BACKOFF_BASE_US,
    BACKOFF_LIMIT_US,
    Handler,
    JobWorker,
    TerminalError,
    backoff_us,
)

SECOND = 1_000_000
HOUR = 3600 * SECOND


class Bench:
    """A database with a clock that stands still unless moved."""

    def __init__(self, engine: Engine) -> None:
        self.now_us = 1_800_000_000 * SECOND
        self.database = engine.database(lambda: self.now_us)

    def worker(self, *, name: str = "a", schedules: tuple[Schedule, ...] = (), **handlers: Handler) -> JobWorker:
        return JobWorker(self.database, handlers, name=name, schedules=schedules, grace_seconds=0, poll_seconds=0.01)

    async def owe(self, kind: str, args: Mapping[str, Any] | None = None, **options: Any) -> None:
        await self.database.write(lambda db: enqueue(db, kind, args or {}, **options))

    async def turn(self, worker: JobWorker) -> int:
        started = await worker.start_due()
        await worker.drain()
        return started

    async def in_state(self, state: jobs.State) -> list[Job]:
        return await self.database.read(lambda db: jobs.list_after(db, state, 0, 100))

    async def is_empty(self) -> bool:
        return await self.database.read(jobs.counts) == {}


@asynccontextmanager
async def bench_on(engine: Engine) -> AsyncIterator[Bench]:
    bench = Bench(engine)
    try:
        yield bench
    finally:
        await bench.database.close()


Scenario = Callable[[Bench], Coroutine[Any, Any, None]]


@pytest.fixture
def play(engine: Engine) -> Callable[[Scenario], None]:
    """Run a scenario on a fresh database; one that hangs is an error."""

    def run(scenario: Scenario) -> None:
        async def timed() -> None:
            async with asyncio.timeout(20), bench_on(engine) as bench:
                await scenario(bench)

        asyncio.run(timed())

    return run


Play = Callable[[Scenario], None]


async def fails(_args: Mapping[str, Any]) -> None:
    raise ConnectionError("no route")


def test_a_handler_gets_its_args_and_the_finished_job_is_gone(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        seen: list[Mapping[str, Any]] = []

        async def scan(args: Mapping[str, Any]) -> None:
            seen.append(args)

        await bench.owe("scan", {"image": 7})
        await bench.turn(bench.worker(scan=scan))
        assert seen == [{"image": 7}]
        assert await bench.is_empty()

    play(scenario)


def test_a_failed_job_waits_for_its_back_off_and_is_dead_after_its_attempts(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        worker = bench.worker(scan=fails)
        await bench.owe("scan", attempts=2)
        await bench.turn(worker)
        (waiting,) = await bench.in_state("ready")
        assert BACKOFF_BASE_US // 2 <= waiting.due_us - bench.now_us <= BACKOFF_BASE_US
        assert waiting.error == "ConnectionError: no route"
        assert await bench.turn(worker) == 0
        bench.now_us = waiting.due_us
        assert await bench.turn(worker) == 1
        assert [job.attempt for job in await bench.in_state("dead")] == [2]

    play(scenario)


@pytest.mark.parametrize("away", [StoreAway("layers: no route"), DatabaseAway(), StorageFull()])
def test_a_job_whose_store_is_away_outlives_any_outage(play: Play, away: Exception) -> None:
    async def scenario(bench: Bench) -> None:
        done: list[bool] = []

        async def collect(_args: Mapping[str, Any]) -> None:
            if bench.now_us < opened_us:
                raise away
            done.append(True)

        opened_us = bench.now_us + 100 * SECOND
        worker = bench.worker(collect=collect)
        await bench.owe("collect", attempts=1)
        turns = 0
        while not done:
            turns += await bench.turn(worker)
            for waiting in await bench.in_state("ready"):
                assert waiting.error is not None
                assert type(away).__name__ in waiting.error
                assert AWAY_US // 2 <= waiting.due_us - bench.now_us <= AWAY_US
                bench.now_us = waiting.due_us
        assert turns >= 10
        assert await bench.is_empty()

    play(scenario)


def test_a_terminal_error_ends_the_job_at_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        async def scan(_args: Mapping[str, Any]) -> None:
            raise TerminalError("the image is gone")

        await bench.owe("scan", attempts=5)
        await bench.turn(bench.worker(scan=scan))
        assert [(job.attempt, job.error) for job in await bench.in_state("dead")] == [
            (1, "TerminalError: the image is gone")
        ]

    play(scenario)


def test_a_handler_whose_own_work_was_cancelled_has_failed(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        async def scan(_args: Mapping[str, Any]) -> None:
            raise asyncio.CancelledError

        await bench.owe("scan")
        await bench.turn(bench.worker(scan=scan))
        assert [job.attempt for job in await bench.in_state("ready")] == [1]

    play(scenario)


def test_poisoned_jobs_do_not_block_the_queue(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        done: list[int] = []

        async def scan(args: Mapping[str, Any]) -> None:
            if args["number"] < 8:
                raise ValueError("poison")
            done.append(args["number"])

        for number in range(10):
            await bench.owe("scan", {"number": number})
        worker = bench.worker(scan=scan)
        while await bench.turn(worker):
            pass
        assert done == [8, 9]
        assert len(await bench.in_state("ready")) == 8

    play(scenario)


def test_two_workers_never_run_one_key_at_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        inside, done = asyncio.Event(), asyncio.Event()
        turns: list[str] = []

        async def first(_args: Mapping[str, Any]) -> None:
            turns.append("first in")
            inside.set()
            await done.wait()
            turns.append("first out")

        async def second(_args: Mapping[str, Any]) -> None:
            turns.append("second")

        one, other = bench.worker(name="a", scan=first), bench.worker(name="b", scan=second)
        await bench.owe("scan", key="k")
        await one.start_due()
        await inside.wait()
        await bench.owe("scan", key="k")
        assert await bench.turn(other) == 0
        done.set()
        await one.drain()
        assert await bench.turn(other) == 1
        assert turns == ["first in", "first out", "second"]

    play(scenario)


def test_a_worker_that_lost_its_lease_is_interrupted_and_settles_nothing(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        inside, interrupted = asyncio.Event(), asyncio.Event()

        async def hangs(_args: Mapping[str, Any]) -> None:
            inside.set()
            try:
                await asyncio.Event().wait()
            finally:
                interrupted.set()

        async def nothing(_args: Mapping[str, Any]) -> None:
            return

        stale = JobWorker(bench.database, {"scan": hangs}, name="stale", lease_seconds=0.03)
        await bench.owe("scan")
        await stale.start_due()
        await inside.wait()
        bench.now_us += 61 * SECOND
        await bench.worker(name="b", scan=nothing).tend()
        await interrupted.wait()
        await stale.drain()
        assert [(job.attempt, job.worker) for job in await bench.in_state("ready")] == [(1, None)]

    play(scenario)


def test_a_job_whose_workers_keep_dying_ends_dead(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        def vanish(db: Connection) -> list[Job]:
            return jobs.claim(db, queue="default", kinds=("scan",), worker="dead", lease_us=SECOND, most=1)

        await bench.owe("scan", attempts=2)
        for _ in range(2):
            assert len(await bench.database.write(vanish)) == 1
            bench.now_us += HOUR
            await bench.worker(scan=fails).tend()
            bench.now_us += HOUR
        (dead,) = await bench.in_state("dead")
        assert dead.error == "the worker dead stopped answering"

    play(scenario)


def test_a_stop_hands_running_work_back_without_counting_the_attempt(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        inside = asyncio.Event()

        async def hangs(_args: Mapping[str, Any]) -> None:
            inside.set()
            await asyncio.Event().wait()

        worker = bench.worker(scan=hangs)
        await bench.owe("scan", attempts=1)
        running = asyncio.create_task(worker.run())
        await inside.wait()
        worker.stop()
        await running
        assert [(job.attempt, job.worker, job.due_us) for job in await bench.in_state("ready")] == [
            (0, None, bench.now_us)
        ]

    play(scenario)


def test_a_running_worker_finds_what_is_enqueued_later(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        done = asyncio.Event()

        async def scan(_args: Mapping[str, Any]) -> None:
            done.set()

        worker = bench.worker(scan=scan)
        running = asyncio.create_task(worker.run())
        await bench.owe("scan")
        await done.wait()
        worker.stop()
        await running
        assert await bench.is_empty()

    play(scenario)


def test_a_database_that_fails_for_a_while_does_not_end_the_worker(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        done, refused = asyncio.Event(), asyncio.Event()
        claim = jobs.claim

        def full_once(db: Connection, **options: Any) -> list[Job]:
            monkeypatch.setattr(jobs, "claim", claim)
            refused.set()
            raise StorageFull

        async def scan(_args: Mapping[str, Any]) -> None:
            done.set()

        monkeypatch.setattr(jobs, "claim", full_once)
        await bench.owe("scan")
        worker = bench.worker(scan=scan)
        running = asyncio.create_task(worker.run())
        await done.wait()
        worker.stop()
        await running
        assert refused.is_set()

    play(scenario)


def test_back_off_doubles_within_its_bounds_and_is_spread() -> None:
    spread = Random(7)

    assert all(
        BACKOFF_BASE_US << (attempt - 1) >= backoff_us(attempt, spread) >= BACKOFF_BASE_US << (attempt - 2)
        for attempt in range(2, 9)
    )
    assert all(backoff_us(attempt, spread) <= BACKOFF_LIMIT_US for attempt in range(1, 2000, 50))
    assert len({backoff_us(3, spread) for _ in range(100)}) > 90


def test_many_processes_make_one_turn_of_a_schedule(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        hourly = Schedule("collect", "collect", HOUR)
        for name in "abc":
            await bench.worker(name=name, schedules=(hourly,), collect=fails).tend()
        assert [job.due_us - bench.now_us for job in await bench.in_state("ready")] == [HOUR]

    play(scenario)


@pytest.mark.parametrize("error", [None, TerminalError("gone")])
def test_a_schedules_next_turn_is_owed_when_one_ends(play: Play, error: Exception | None) -> None:
    async def scenario(bench: Bench) -> None:
        async def collect(_args: Mapping[str, Any]) -> None:
            bench.now_us += SECOND
            if error is not None:
                raise error

        worker = bench.worker(schedules=(Schedule("collect", "collect", HOUR),), collect=collect)
        await worker.tend()
        assert await bench.turn(worker) == 0
        bench.now_us += HOUR
        assert await bench.turn(worker) == 1
        assert [job.due_us - bench.now_us for job in await bench.in_state("ready")] == [HOUR]

    play(scenario)


def test_of_turns_that_were_given_up_the_last_stays_until_one_is_done(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        errors = [TerminalError("first"), TerminalError("second"), None]

        async def collect(_args: Mapping[str, Any]) -> None:
            error = errors.pop(0)
            if error is not None:
                raise error

        worker = bench.worker(schedules=(Schedule("collect", "collect", HOUR),), collect=collect, scan=fails)
        await bench.owe("scan", attempts=1)
        await worker.tend()
        await bench.turn(worker)
        kept: list[list[str | None]] = []
        while errors:
            bench.now_us += HOUR
            assert await bench.turn(worker) == 1
            kept.append([job.error for job in await bench.in_state("dead") if job.kind == "collect"])
        assert kept == [["TerminalError: first"], ["TerminalError: second"], []]
        assert [job.kind for job in await bench.in_state("dead")] == ["scan"]

    play(scenario)


def test_a_restart_does_not_postpone_a_schedule_and_a_shorter_interval_hastens_it(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.database.write(lambda db: ensure(db, [Schedule("collect", "collect", HOUR)]))
        first_due = bench.now_us + HOUR
        bench.now_us += HOUR // 2
        await bench.database.write(lambda db: ensure(db, [Schedule("collect", "collect", HOUR)]))
        assert [job.due_us for job in await bench.in_state("ready")] == [first_due]
        await bench.database.write(lambda db: ensure(db, [Schedule("collect", "collect", SECOND)]))
        assert [job.due_us for job in await bench.in_state("ready")] == [bench.now_us + SECOND]

    play(scenario)
