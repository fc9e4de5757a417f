"""Work that comes back: a schedule is a job whose next turn is owed in the transaction that ends this one.

The key is the schedule's name, so any number of processes make one turn of it, and the due time survives restarts. A
turn that ends dead is followed by the next one all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openecr.db import jobs
from openecr.db.connection import Connection
from openecr.jobs.queue import DEFAULT_QUEUE, enqueue


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is due ``every_us`` after its last turn ended."""

    name: str
    kind: str
    every_us: int
    args: Mapping[str, Any] = field(default_factory=dict)
    queue: str = DEFAULT_QUEUE

    @property
    def key(self) -> str:
        """The key of every turn."""
        return f"schedule:{self.name}"


def ensure(db: Connection, schedules: Sequence[Schedule]) -> None:
    """See that each schedule's next turn is owed, no later than its interval from now."""
    for schedule in schedules:
        jobs.hasten(db, schedule.queue, schedule.key, db.clock_us() + schedule.every_us)
        if not jobs.is_owed(db, schedule.queue, schedule.key):
            owe_next(db, schedule)


def owe_next(db: Connection, schedule: Schedule) -> None:
    """Owe the turn after the one that ends now."""
    enqueue(db, schedule.kind, schedule.args, key=schedule.key, delay_us=schedule.every_us, queue=schedule.queue)


def owe_now(db: Connection, schedule: Schedule) -> bool:
    """Make a schedule's next turn due now; whether a turn runs at this moment, which this one then follows."""
    if not jobs.hasten(db, schedule.queue, schedule.key, db.clock_us()):
        enqueue(db, schedule.kind, schedule.args, key=schedule.key, queue=schedule.queue)
    return jobs.is_running(db, schedule.queue, schedule.key)
