"""Owe work inside the transaction that makes it necessary: either both are committed, or neither is."""

import json
from collections.abc import Mapping
from typing import Any

from openecr.db import jobs
from openecr.db.connection import Connection

DEFAULT_QUEUE = "default"
DEFAULT_ATTEMPTS = 5


def enqueue(
    db: Connection,
    kind: str,
    args: Mapping[str, Any],
    *,
    key: str | None = None,
    delay_us: int = 0,
    attempts: int = DEFAULT_ATTEMPTS,
    queue: str = DEFAULT_QUEUE,
) -> None:
    """Owe a job; it is safe to run twice, for a worker may die after the work and before saying so.

    Args:
        db: the open transaction of the decision.
        kind: names the handler.
        args: what the handler gets; JSON, and ids rather than contents.
        key: names the work across kinds (``scan:<repository>:<digest>``). A job of this key that has not started takes
            the work over, with its own args; one that runs is followed by this one, never overlapped.
        delay_us: not before this long from now.
        attempts: dead after so many starts, counting those whose worker was killed.
        queue: workers serve one queue.
    """
    jobs.enqueue(
        db,
        queue=queue,
        kind=kind,
        args=json.dumps(args, sort_keys=True, separators=(",", ":")),
        key=key,
        due_us=db.clock_us() + delay_us,
        max_attempts=attempts,
    )
