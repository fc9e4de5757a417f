"""The scrub: every layer is read again within ``scrub_days``, a little at every turn, and what is damaged quarantined.

A pass walks the blobs by key at the pace of its days: at half its time it is half way to the newest key. Where it is is
kept in the database, so that a restart goes on there, and so that any number of job processes make one pass.
"""

from dataclasses import dataclass
from functools import partial

import structlog

from openecr.db import deployment as facts
from openecr.db import integrity
from openecr.db.connection import Connection
from openecr.db.integrity import StoredBlob
from openecr.deployment import Deployment
from openecr.services.ecr.integrity import blobs
from openecr.services.ecr.integrity.findings import Finding, Kind

log = structlog.get_logger("openecr.integrity")

POSITION, STARTED_US, FINISHED_US = "scrub_position", "scrub_started_us", "scrub_finished_us"
_DAY_US = 86_400 * 1_000_000
_MOST_BYTES = 16 * 1024**3
"""A turn's most; at a turn every ten minutes 2 TB a day."""
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a turn did."""

    blobs: int = 0
    size_bytes: int = 0
    damaged: int = 0
    ended_pass: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the pass is, and how far it is to be by now."""

    position: int
    until: int
    ends: bool


async def scrub(deployment: Deployment, most_bytes: int = _MOST_BYTES) -> Scrubbed:
    """One turn: read what is due by now, at most ``most_bytes`` and the blob that exceeds them."""
    database = deployment.database
    place = await database.write(partial(_begin, days=deployment.settings.scrub_days))
    position = place.position
    count = size_bytes = damaged = 0
    missing: list[tuple[StoredBlob, Finding]] = []
    seen_there = False
    while position < place.until and size_bytes < most_bytes:
        keys = await database.read(partial(integrity.blob_keys_after, after=position, most=_BATCH))
        for key in keys:
            if key > place.until or size_bytes >= most_bytes:
                break
            checked = await blobs.check(deployment, key, hashes=True)
            position = key
            if checked is None:
                continue
            blob, finding = checked
            count += 1
            size_bytes += blob.size_bytes
            if finding is not None and finding.kind is Kind.BLOB_MISSING:
                missing.append((blob, finding))
                continue
            seen_there = True
            if finding is not None:
                damaged += await _quarantine(deployment, blob, finding)
        else:
            if not keys:
                position = place.until
        if missing and not seen_there and not await _is_there(deployment):
            log.error("scrub stopped", reason="no layer that was looked for is there; is the store mounted?")
            return Scrubbed(count, size_bytes, damaged)
        for blob, finding in missing:
            damaged += await _quarantine(deployment, blob, finding)
        missing.clear()
        await database.write(partial(facts.put, name=POSITION, value=str(position)))
    ends = place.ends and position >= place.until
    if ends:
        await database.write(_end)
    return Scrubbed(count, size_bytes, damaged, ends)


async def _quarantine(deployment: Deployment, blob: StoredBlob, finding: Finding) -> bool:
    if blob.quarantined_us is not None or not await blobs.quarantine(deployment, blob, finding):
        return False
    log.error("layer quarantined", kind=finding.kind, where=finding.where, what=finding.what)
    return True


async def _is_there(deployment: Deployment) -> bool:
    """Whether the newest layer is: where it is not either, the store is doubted, not the layers."""
    newest = await deployment.database.read(integrity.last_blob_key)
    checked = await blobs.check(deployment, newest, hashes=False)
    return checked is not None and (checked[1] is None or checked[1].kind is not Kind.BLOB_MISSING)


def _begin(db: Connection, days: int) -> _Place:
    """Where this turn goes on; the first turn of a pass begins it."""
    now_us = db.clock_us()
    started_us = int(facts.find(db, STARTED_US) or 0)
    if not started_us:
        started_us = now_us
        facts.put(db, STARTED_US, str(now_us))
        facts.put(db, POSITION, "0")
    last = integrity.last_blob_key(db)
    elapsed_us, length_us = now_us - started_us, days * _DAY_US
    ends = elapsed_us >= length_us
    until = last if ends else last * elapsed_us // length_us
    return _Place(int(facts.find(db, POSITION) or 0), until, ends)


def _end(db: Connection) -> None:
    facts.put(db, FINISHED_US, str(db.clock_us()))
    facts.forget(db, STARTED_US)
