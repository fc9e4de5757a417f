"""Where planes and waist hand over what requests did: to the audit log, or into the transaction of a change."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from openecr.db import audit
from openecr.db.connection import Connection
from openecr.events.audit_record import is_read_only, line_of
from openecr.events.parameters import told_of
from openecr.events.trail import API, DKR, Event, Trail

_PIECES_OF_UPLOADS = frozenset(("UploadLayerPart",))
"""On the dkr plane their commits count bytes that nobody sees before CompleteLayerUpload: they cost no row each."""

_PROMISE = "BatchCheckLayerAvailability"
"""What it commits is how long a layer is kept for whoever was told of it: no change that anybody asked for."""

log = structlog.get_logger("openecr.audit")


@dataclass(frozen=True, slots=True)
class Auditing:
    """Records what requests did; raises nothing and waits for nothing, whatever becomes of the records."""

    append: Callable[["Occurrence"], None]

    def finish(self, trail: Trail) -> None:
        """A request is over: record its events, but for changes that were recorded as they were committed."""
        for event in trail.events:
            if not event.kept or event.error is not None:
                if trail.plane == API or not is_read_only(event.name):
                    # What these were called with and answer may be megabytes, which are not held.
                    self.append(record_of((trail, event)))
                    continue
                event.answer = told_of(event.answer)
                self.append((trail, event))


Occurrence = tuple[Trail, Event] | bytes
"""What a line is made of, or the line."""


def record_of(occurrence: Occurrence) -> bytes:
    """The line of one event; none where it cannot be made."""
    if isinstance(occurrence, bytes):
        return occurrence
    trail, event = occurrence
    try:
        return line_of(trail, event)
    except Exception:
        log.exception("a record could not be made", request_id=trail.request_id, event_name=event.name)
        return b""


NO_AUDIT = Auditing(lambda _occurrence: None)
"""For commands: only what clients ask is recorded."""


def is_kept(trail: Trail, event: Event) -> bool:
    """Whether an event is recorded in the transactions that it commits, the first of them."""
    return not (event.kept or event.name == _PROMISE or (trail.plane == DKR and event.name in _PIECES_OF_UPLOADS))


def keep(db: Connection, trail: Trail, event: Event) -> None:
    """Record a change in its own transaction: no committed change is without its record, whatever dies after."""
    event.answer = told_of(event.answer)
    audit.note_write(db, trail.instant_us(event), line_of(trail, event))
