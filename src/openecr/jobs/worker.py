"""Does owed work: claims jobs, runs each one's handler under a lease, and settles how it ended.

    handler returns            finished: the row is gone
    handler raises             due again after a back-off, dead after its last attempt
    handler raises Terminal    dead at once: no retry can change it
    what it needs is away      due again in some seconds, however long that goes on; the attempt does not count
    the process dies           the lease ends, any other worker puts the job back; the attempt counts
    the worker is stopped      handed back at once; the attempt does not count
    an operator cancels it     the handler is ended at the next heartbeat, the row goes when the lease ends

Runs on the event loop of a job process, never on one that serves requests.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

import structlog

from openecr.blobs.store import StoreAway
from openecr.db import jobs
from openecr.db.connection import Connection, Database
from openecr.db.jobs import Job
from openecr.errors import DatabaseAway, StorageFull
from openecr.jobs import schedule as scheduling
from openecr.jobs.queue import DEFAULT_QUEUE
from openecr.jobs.schedule import Schedule

T = TypeVar("T")
Handler = Callable[[Mapping[str, Any]], Awaitable[None]]

BACKOFF_BASE_US = 2_000_000
BACKOFF_LIMIT_US = 15 * 60 * 1_000_000
AWAY_US = 10 * 1_000_000
AWAY = (StoreAway, DatabaseAway, StorageFull)
"""What says nothing of the job: without its store, its database or room on the disk, no job would have succeeded."""
_ERROR_LENGTH = 2000
_REAPED_AT_ONCE = 100
_CANCEL_SECONDS = 5.0

log = structlog.get_logger("openecr.jobs")


class TerminalError(Exception):
    """The job can never succeed: what it names is gone, or is not what it must be."""


def backoff_us(attempt: int, random: Random) -> int:
    """How long after a failed attempt (1, 2, …) the next may start: doubling, bounded, spread over its upper half."""
    return _upper_half(min(BACKOFF_LIMIT_US, BACKOFF_BASE_US << min(attempt - 1, 32)), random)


class JobWorker:
    """One process's worker on one queue."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        schedules: Sequence[Schedule] = (),
        queue: str = DEFAULT_QUEUE,
        name: str | None = None,
        concurrency: int = 4,
        lease_seconds: float = 60.0,
        limit_seconds: float = 3600.0,
        poll_seconds: float = 1.0,
        grace_seconds: float = 5.0,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._kinds = tuple(sorted(handlers))
        self._schedules = tuple(schedules)
        self._queue = queue
        self._name = name or f"{os.getpid()}-{secrets.token_hex(4)}"
        self._concurrency = concurrency
        self._lease_us = int(lease_seconds * 1_000_000)
        self._limit_seconds = limit_seconds
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing
        self._running: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._interrupting = asyncio.Event()
        self._stopping = False
        self._alone = False

    def wake(self) -> None:
        """Look for work now: something was enqueued, or a job ended."""
        self._woken.set()

    def stop(self) -> None:
        """Let ``run`` return: running jobs get the grace time to end, then are handed back."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Do the queue's work until ``stop``; a database that fails for a while only delays it."""
        try:
            await self._guarded(self.tend())
            tended_at = asyncio.get_running_loop().time()
            while not self._stopping:
                self._woken.clear()
                if asyncio.get_running_loop().time() - tended_at >= self._lease_us / 2_000_000:
                    await self._guarded(self.tend())
                    tended_at = asyncio.get_running_loop().time()
                started = await self._guarded(self.start_due())
                if not started:
                    await self._sleep()
            if self._running:
                await asyncio.wait(self._running, timeout=self._grace_seconds)
        finally:
            await self._hand_back()

    async def tend(self) -> None:
        """Put back the jobs of workers that died, and see that every schedule is owed."""

        def decide(db: Connection) -> list[Job]:
            expired = jobs.list_expired(db, _REAPED_AT_ONCE)
            for job in expired:
                if job.worker == jobs.CANCELLED:
                    jobs.finish(db, job)
                    continue
                jobs.note_lost(db, job)
                self._settle_failure(db, job, f"the worker {job.worker} stopped answering", terminal=False)
            scheduling.ensure(db, self._schedules)
            return expired

        for job in await self._write(decide):
            log.warning("job_lease_ended", job=job.id, kind=job.kind, attempt=job.attempt, worker=job.worker)

    async def start_due(self) -> int:
        """Claim and start what is due and there is room for; the number started.

        A job whose worker died with it before runs alone in its process: were it what killed the worker, as one that
        needs more memory than there is, it would take the others' attempts along with its own.
        """
        room = self._concurrency - len(self._running)
        if room <= 0 or self._alone or not self._kinds or not await self._is_due():
            return 0
        suspect = await self._database.read(lambda db: jobs.is_suspect_due(db, self._queue, self._kinds))
        if suspect and self._running:
            return 0
        claimed = await self._claim(1, suspects=True) if suspect else []
        self._alone = bool(claimed)
        claimed = claimed or await self._claim(room, suspects=False)
        for job in claimed:
            task = asyncio.create_task(self._work(job), name=f"job {job.id} {job.kind}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        return len(claimed)

    async def _claim(self, most: int, *, suspects: bool) -> list[Job]:
        def decide(db: Connection) -> list[Job]:
            return jobs.claim(
                db,
                queue=self._queue,
                kinds=self._kinds,
                worker=self._name,
                lease_us=self._lease_us,
                most=most,
                suspects=suspects,
            )

        return await self._write(decide)

    async def drain(self) -> None:
        """Wait until every started job has ended."""
        while self._running:
            await asyncio.wait(self._running)

    async def _is_due(self) -> bool:
        """Whether a claim is worth a write transaction: an idle worker only reads."""

        def decide(db: Connection) -> bool:
            due_us = jobs.next_due_us(db, self._queue)
            return due_us is not None and due_us <= db.clock_us()

        return await self._database.read(decide)

    async def _sleep(self) -> None:
        """Wait for the next look; shorter or longer by a quarter, so that processes do not look in step."""
        try:
            async with asyncio.timeout(self._poll_seconds * self._random.uniform(0.75, 1.25)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _guarded(self, step: Awaitable[T]) -> T | None:
        """A step of the loop whose failure is logged and tried again at the next turn."""
        try:
            return await step
        except Exception:
            # A full disk or a lost database must not end the worker.
            log.exception("job_worker_step_failed")
            return None

    async def _write(self, decide: Callable[[Connection], T]) -> T:
        return await self._database.write(decide)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._alone = False
        self._woken.set()

    async def _hand_back(self) -> None:
        self._interrupting.set()
        await self.drain()

    async def _work(self, job: Job) -> None:
        """Run one job's handler beside its heartbeat until it ends or must, then settle how."""
        handling = asyncio.create_task(self._handle(job))
        beating = asyncio.create_task(self._keep_lease(job))
        interrupting = asyncio.create_task(self._interrupting.wait())
        everything = {handling, beating, interrupting}
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        lost, stopped = beating.done(), not handling.done() and interrupting.done()
        for task in everything:
            task.cancel()
        await asyncio.wait(everything, timeout=_CANCEL_SECONDS)
        if lost or not handling.done():
            # Another worker has the job, or will when the lease ends: this handler is still at it.
            log.warning("job_abandoned", job=job.id, kind=job.kind, attempt=job.attempt, lost=lost)
        elif stopped and handling.cancelled():
            await self._guarded(self._write(lambda db: jobs.release(db, job)))
        else:
            error = asyncio.CancelledError() if handling.cancelled() else handling.exception()
            await self._guarded(self._write(lambda db: self._settle(db, job, error)))
            if error is not None:
                log.warning("job_failed", job=job.id, kind=job.kind, attempt=job.attempt, error=_text(error))

    async def _handle(self, job: Job) -> None:
        async with asyncio.timeout(self._limit_seconds):
            await self._handlers[job.kind](json.loads(job.args))

    async def _keep_lease(self, job: Job) -> None:
        """Extend the lease three times in its length; returns when the job was lost."""
        while True:
            await asyncio.sleep(self._lease_us / 3_000_000)
            if await self._guarded(self._write(lambda db: jobs.extend_lease(db, job, self._lease_us))) is False:
                return

    def _settle(self, db: Connection, job: Job, error: BaseException | None) -> None:
        if isinstance(error, AWAY):
            jobs.release(db, job, error=_text(error), delay_us=_upper_half(AWAY_US, self._random))
        elif error is not None:
            self._settle_failure(db, job, _text(error), terminal=isinstance(error, TerminalError))
        elif jobs.finish(db, job):
            self._owe_next(db, job)

    def _settle_failure(self, db: Connection, job: Job, error: str, *, terminal: bool) -> None:
        last = terminal or job.attempt >= job.max_attempts
        if last and jobs.bury(db, job, error):
            self._owe_next(db, job)
        elif not last:
            jobs.retry(db, job, error, backoff_us(job.attempt, self._random))

    def _owe_next(self, db: Connection, job: Job) -> None:
        """Owe a schedule's next turn. One that was done makes up for those that were given up before, and of several
        that were, the last one says enough."""
        for schedule in self._schedules:
            if schedule.key == job.key and schedule.queue == job.queue:
                scheduling.owe_next(db, schedule)
                jobs.forget_dead(db, job)


def _upper_half(full: int, random: Random) -> int:
    return full // 2 + random.randrange(full // 2 + 1)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
