"""Where planes and waist hand over what requests did: to the audit log, or into the transaction of a change."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from openecr.db import audit
from openecr.db.connection import Connection
from openecr.events.audit_record import is_read_only, render
from openecr.events.trail import DKR, Event, Trail

_PIECES_OF_UPLOADS = frozenset(("UploadLayerPart",))
"""On the dkr plane their commits count bytes that nobody sees before CompleteLayerUpload: they cost no row each."""

log = structlog.get_logger("openecr.audit")


@dataclass(frozen=True, slots=True)
class Auditing:
    """Records what requests did; raises nothing and waits for nothing, whatever becomes of the records."""

    append: Callable[[bytes], None]

    def finish(self, trail: Trail) -> None:
        """A request is over: record its events, but for changes that were recorded as they were committed."""
        for event in trail.events:
            if not event.kept or event.error is not None:
                self._append(trail, event)

    def _append(self, trail: Trail, event: Event) -> None:
        try:
            self.append(render(trail, event))
        except Exception:
            log.exception("a record could not be made", request_id=trail.request_id, event_name=event.name)


NO_AUDIT = Auditing(lambda _record: None)
"""For commands: only what clients ask is recorded."""


def is_kept(trail: Trail, event: Event) -> bool:
    """Whether an event is recorded in the transactions that it commits, the first of them."""
    return (
        not event.kept
        and not is_read_only(event.name)
        and not (trail.plane == DKR and event.name in _PIECES_OF_UPLOADS)
    )


def keep(db: Connection, trail: Trail, event: Event) -> None:
    """Record a change in its own transaction: no committed change is without its record, whatever dies after."""
    audit.note_write(db, trail.instant_us(event), render(trail, event))
