"""The table of owed work.

    enqueue → ready ──claim──→ running ──finish──→ (no row)
                ↑                 │
                └──retry, release─┤
                                  └──bury──→ dead

    cancel            a ready or dead row goes; a running one is taken from its worker, which notices at its next
                      heartbeat, and goes when the lease ends, so that its key never runs twice at once

A row is work that is owed or that failed for good; finished work leaves none, so the table stays as small as the
backlog. A key (``dedup``) has at most one ready and one running row, by two unique indexes: work coalesces only with
work that has not started, and never runs twice at once. Whoever runs a job holds it by (worker, attempt) until the
lease ends; every change of a running row names them, so that a worker which lost its lease changes nothing.

Instants come from ``Connection.clock_us``. Where several claim at once, each takes rows that no other holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from openecr.db.connection import Connection, Row

State = Literal["ready", "running", "dead"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job's row."""

    id: int
    queue: str
    kind: str
    args: str
    key: str | None
    state: State
    due_us: int
    worker: str | None
    lease_until_us: int | None
    attempt: int
    max_attempts: int
    error: str | None


CANCELLED = "cancelled"
"""The worker of a running job that an operator cancelled: no worker has this name."""

_COLUMNS = "id, queue, kind, args, dedup, state, due_us, worker, lease_until_us, attempt, max_attempts, error"
_HELD = " WHERE id = :id AND worker = :worker AND attempt = :attempt AND state = 'running'"


def enqueue(
    db: Connection, *, queue: str, kind: str, args: str, key: str | None, due_us: int, max_attempts: int
) -> None:
    """Owe some work. A ready job of the same key takes it over: at the earlier time, with all its attempts again."""
    db.run(
        "INSERT INTO job (queue, kind, args, dedup, state, due_us, attempt, max_attempts, created_us)"
        " VALUES (:queue, :kind, :args, :key, 'ready', :due_us, 0, :max_attempts, :now_us)"
        " ON CONFLICT (queue, dedup) WHERE dedup IS NOT NULL AND state = 'ready' DO UPDATE SET attempt = 0,"
        " due_us = CASE WHEN excluded.due_us < job.due_us THEN excluded.due_us ELSE job.due_us END",
        queue=queue,
        kind=kind,
        args=args,
        key=key,
        due_us=due_us,
        max_attempts=max_attempts,
        now_us=db.clock_us(),
    )


def claim(
    db: Connection,
    *,
    queue: str,
    kinds: Sequence[str],
    worker: str,
    lease_us: int,
    most: int,
    suspects: bool | None = None,
) -> list[Job]:
    """Take up to ``most`` jobs that are due, oldest first, for a worker that knows these kinds; starting is an attempt.

    Kinds are named so that a server of the release before leaves what it does not know to the newer ones.

    Args:
        suspects: only jobs whose worker died with them before, or only others; None for both.
    """
    names = {f"kind_{number}": kind for number, kind in enumerate(kinds)}
    listed = ", ".join(f":{name}" for name in names)
    only = "" if suspects is None else " AND j.lost > 0" if suspects else " AND j.lost = 0"
    free = db.free_rows(
        "j",
        "SELECT j.id FROM job j WHERE j.queue = :queue AND j.state = 'ready'"
        f" AND j.due_us <= :now_us AND j.kind IN ({listed}){only}"
        " AND NOT EXISTS (SELECT 1 FROM job r WHERE r.queue = j.queue AND r.dedup = j.dedup AND r.state = 'running')"
        " ORDER BY j.due_us, j.id LIMIT :most",
        queue=queue,
        now_us=db.clock_us(),
        most=most,
        **names,
    )
    taken = [
        db.row(
            "UPDATE job SET state = 'running', worker = :worker, attempt = attempt + 1,"
            f" lease_until_us = :lease_until_us WHERE id = :id RETURNING {_COLUMNS}",
            id=job_id,
            worker=worker,
            lease_until_us=db.clock_us() + lease_us,
        )
        for (job_id,) in free
    ]
    return [_record(row) for row in taken if row is not None]


def next_due_us(db: Connection, queue: str) -> int | None:
    """When the first ready job of a queue is or was due."""
    found = db.row("SELECT MIN(due_us) FROM job WHERE queue = :queue AND state = 'ready'", queue=queue)
    return None if found is None else found[0]


def is_suspect_due(db: Connection, queue: str, kinds: Sequence[str]) -> bool:
    """Whether a job of these kinds is due whose worker died with it before."""
    names = {f"kind_{number}": kind for number, kind in enumerate(kinds)}
    listed = ", ".join(f":{name}" for name in names)
    found = db.row(
        "SELECT 1 FROM job WHERE queue = :queue AND state = 'ready' AND due_us <= :now_us AND lost > 0"
        f" AND kind IN ({listed}) LIMIT 1",
        queue=queue,
        now_us=db.clock_us(),
        **names,
    )
    return found is not None


def note_lost(db: Connection, job: Job) -> bool:
    """Remember that a running job's worker died with it. False where the job was lost to another."""
    return bool(db.run("UPDATE job SET lost = lost + 1" + _HELD, **_holder(job)))


def extend_lease(db: Connection, job: Job, lease_us: int) -> bool:
    """Keep a running job; False where it was lost."""
    return bool(
        db.run(
            "UPDATE job SET lease_until_us = :lease_until_us" + _HELD,
            lease_until_us=db.clock_us() + lease_us,
            **_holder(job),
        )
    )


def finish(db: Connection, job: Job) -> bool:
    """The work is done; False where the job was lost, and so is someone else's to finish."""
    return bool(db.run("DELETE FROM job" + _HELD, **_holder(job)))


def bury(db: Connection, job: Job, error: str) -> bool:
    """The work failed for good; the row stays for the operator. False where the job was lost."""
    return bool(
        db.run(
            "UPDATE job SET state = 'dead', worker = NULL, lease_until_us = NULL, error = :error,"
            " finished_us = :now_us" + _HELD,
            error=error,
            now_us=db.clock_us(),
            **_holder(job),
        )
    )


def forget_dead(db: Connection, job: Job) -> None:
    """Remove the dead jobs of a job's key, but itself."""
    db.run(
        "DELETE FROM job WHERE queue = :queue AND dedup = :key AND dedup IS NOT NULL AND state = 'dead' AND id <> :id",
        queue=job.queue,
        key=job.key,
        id=job.id,
    )


def retry(db: Connection, job: Job, error: str, delay_us: int) -> bool:
    """The attempt failed: the job is due again after the delay, or dead after its last. False where it was lost."""
    if job.attempt >= job.max_attempts:
        return bury(db, job, error)
    return _put_back(db, job, db.clock_us() + delay_us, job.attempt, error)


def release(db: Connection, job: Job, *, error: str | None = None, delay_us: int = 0) -> bool:
    """Hand a job back as if it had not been started, not before the delay. False where it was lost."""
    return _put_back(db, job, db.clock_us() + delay_us, job.attempt - 1, error)


def list_expired(db: Connection, most: int) -> list[Job]:
    """Running jobs of any queue whose workers let the lease end."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM job WHERE state = 'running' AND lease_until_us < :now_us"
        " ORDER BY lease_until_us LIMIT :most",
        now_us=db.clock_us(),
        most=most,
    )
    return [_record(row) for row in rows]


def revive(db: Connection, job_id: int) -> bool:
    """Owe dead work again, with all its attempts; False where no dead job has this id."""
    found = db.locked_row("job", f"SELECT {_COLUMNS} FROM job WHERE id = :id AND state = 'dead'", id=job_id)
    if found is None:
        return False
    job = _record(found)
    db.run("DELETE FROM job WHERE id = :id AND state = 'dead'", id=job_id)
    enqueue(
        db,
        queue=job.queue,
        kind=job.kind,
        args=job.args,
        key=job.key,
        due_us=db.clock_us(),
        max_attempts=job.max_attempts,
    )
    return True


def cancel(db: Connection, job_id: int) -> Literal["gone", "ending"] | None:
    """Give work up: it is gone where it did not run, else ending with its lease; None where no job has this id."""
    # Held first: a worker that takes or settles it meanwhile must not make it look as if there were none.
    db.locked_row("job", "SELECT id FROM job WHERE id = :id", id=job_id)
    if db.run("UPDATE job SET worker = 'cancelled' WHERE id = :id AND state = 'running'", id=job_id):
        return "ending"
    return "gone" if db.run("DELETE FROM job WHERE id = :id AND state <> 'running'", id=job_id) else None


def hasten(db: Connection, queue: str, key: str, due_us: int) -> bool:
    """Make a key's ready job due no later than an instant; whether it moved."""
    return bool(
        db.run(
            "UPDATE job SET due_us = :due_us WHERE queue = :queue AND dedup = :key AND state = 'ready'"
            " AND due_us > :due_us",
            queue=queue,
            key=key,
            due_us=due_us,
        )
    )


def set_due(db: Connection, queue: str, key: str, due_us: int) -> bool:
    """Make a key's ready job due at an instant, earlier or later than it was; whether there is one."""
    return bool(
        db.run(
            "UPDATE job SET due_us = :due_us, attempt = 0 WHERE queue = :queue AND dedup = :key AND state = 'ready'",
            queue=queue,
            key=key,
            due_us=due_us,
        )
    )


def due_us_of(db: Connection, queue: str, key: str) -> int | None:
    """When a key's ready job is due."""
    found = db.row(
        "SELECT due_us FROM job WHERE queue = :queue AND dedup = :key AND state = 'ready'", queue=queue, key=key
    )
    return None if found is None else int(found[0])


def is_owed(db: Connection, queue: str, key: str) -> bool:
    """Whether a job of this key waits or runs."""
    found = db.row(
        "SELECT 1 FROM job WHERE queue = :queue AND dedup = :key AND state = 'ready'"
        " UNION ALL SELECT 1 FROM job WHERE queue = :queue AND dedup = :key AND state = 'running'",
        queue=queue,
        key=key,
    )
    return found is not None


def is_running(db: Connection, queue: str, key: str) -> bool:
    """Whether a job of this key runs."""
    sql = "SELECT 1 FROM job WHERE queue = :queue AND dedup = :key AND state = 'running'"
    return db.row(sql, queue=queue, key=key) is not None


def list_after(db: Connection, state: State | None, after_id: int, most: int, *, kind: str | None = None) -> list[Job]:
    """Up to ``most`` jobs by id, after an id; of one state, of one kind, or of all."""
    conditions = "" if state is None else " AND state = :state"
    conditions += "" if kind is None else " AND kind = :kind"
    wanted = {name: value for name, value in (("state", state), ("kind", kind)) if value is not None}
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM job WHERE id > :after_id{conditions} ORDER BY id LIMIT :most",
        after_id=after_id,
        most=most,
        **wanted,
    )
    return [_record(row) for row in rows]


def newest(db: Connection) -> tuple[int, int]:
    """(id, instant) of what was enqueued last; zeros where nothing is owed. A deployment that is served owes its
    schedules' next turns, a new one every minute."""
    found = db.row("SELECT id, created_us FROM job WHERE id = (SELECT MAX(id) FROM job)")
    return (0, 0) if found is None else (int(found[0]), int(found[1]))


def counts(db: Connection) -> dict[tuple[str, State], int]:
    """How many jobs there are, by queue and state."""
    rows = db.rows("SELECT queue, state, COUNT(*) FROM job GROUP BY queue, state")
    return {(queue, state): count for queue, state, count in rows}


def _put_back(db: Connection, job: Job, due_us: int, attempt: int, error: str | None) -> bool:
    """Make a running job ready, or leave its work to the ready one that its key got meanwhile."""
    if job.key is not None and _has_ready(db, job.queue, job.key):
        if not finish(db, job):
            return False
        hasten(db, job.queue, job.key, due_us)
        return True
    return bool(
        db.run(
            "UPDATE job SET state = 'ready', worker = NULL, lease_until_us = NULL, due_us = :due_us,"
            " attempt = :left_attempt, error = :error" + _HELD,
            due_us=due_us,
            left_attempt=attempt,
            error=error,
            **_holder(job),
        )
    )


def _has_ready(db: Connection, queue: str, key: str) -> bool:
    sql = "SELECT 1 FROM job WHERE queue = :queue AND dedup = :key AND state = 'ready'"
    return db.row(sql, queue=queue, key=key) is not None


def _holder(job: Job) -> dict[str, int | str | None]:
    return {"id": job.id, "worker": job.worker, "attempt": job.attempt}


def _record(row: Row) -> Job:
    return Job(*row)
