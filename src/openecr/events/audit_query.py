"""Find records, the newest first: in the files of this machine, among the changes in the database, in sealed segments.

Read in this order nothing is missed that is sealed meanwhile, and what is met twice has one event id. What is held at
once is the page that was asked for and one segment.
"""

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from openecr.blobs.store import BlobDamaged, ObjectMissing, StoreFailed
from openecr.db import audit
from openecr.db.audit import Segment
from openecr.events.audit_log import folder_of, lines_of
from openecr.events.audit_record import whole
from openecr.events.audit_sealing import Archive, segment_paths, server_id
from openecr.keyring import KeyringUnusable

_ROWS = 500
_SETTLED_US = 2_000_000
Position = tuple[int, str]
"""(instant, event id) of a record; pages go on before one."""
NEWEST: Position = (2**62, "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; patterns as a shell has them (``*``)."""

    since_us: int = 0
    until_us: int = 2**62
    principal: str | None = None
    """An ARN, user or role name, or access key id."""
    event_name: str | None = None
    resource: str | None = None
    """An ARN or the name of a repository."""
    error: str | None = None
    """An error code; ``*`` for any."""
    request_id: str | None = None
    account_id: str | None = None
    """The caller's account, or the one whose registry was asked."""

    def takes(self, record: dict[str, Any], instant_us: int) -> bool:
        """Whether a record is wanted."""
        identity = record["userIdentity"]
        return (
            self.since_us <= instant_us < self.until_us
            and _matches(self.request_id, (record["requestID"],))
            and _matches(self.event_name, (record["eventName"],))
            and _matches(self.error, (record.get("errorCode"),))
            and _matches(self.account_id, (identity.get("accountId"), record["recipientAccountId"]))
            and _matches(self.principal, _names_of(identity))
            and _matches(self.resource, _names_of_resources(record))
        )


@dataclass(slots=True)
class Found:
    """A page of records, the newest first."""

    records: list[dict[str, Any]] = field(default_factory=list)
    goes_on: Position | None = None
    """Where the next page goes on; None where there is no more."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, and why: a trail with holes says so."""


async def find(archive: Archive, wanted: Wanted, most: int, before: Position = NEWEST) -> Found:
    """Up to ``most`` records before a position."""
    page = _Page(wanted, most, before)
    notes: list[str] = []
    folder = folder_of(archive.settings.data_dir)
    for path in segment_paths(folder):
        try:
            page.add(lines_of(await asyncio.to_thread(path.read_bytes)))
        except FileNotFoundError:
            continue  # sealed meanwhile, so it is among those below
        except OSError as error:
            notes.append(f"{path} cannot be read: {error.strerror}")
    await _add_writes(archive, page)
    await _add_sealed(archive, page, notes)
    own = server_id(folder) if folder.exists() else ""
    notes += await _elsewhere(archive, wanted, own)
    records, goes_on = page.settled()
    return Found(records, goes_on, notes)


class _Page:
    """The newest records of those that were looked at."""

    def __init__(self, wanted: Wanted, most: int, before: Position) -> None:
        self._wanted = wanted
        self._most = most
        self._before = before
        self._heap: list[Position] = []
        self._records: dict[Position, dict[str, Any]] = {}
        self._needle = f'"request":"{wanted.request_id}"'.encode() if wanted.request_id else b""

    @property
    def before_us(self) -> int:
        """No record at or after this instant is wanted."""
        return min(self._wanted.until_us, self._before[0] + 1)

    @property
    def since_us(self) -> int:
        """No record before this instant can come into the page any more."""
        full = len(self._heap) > self._most
        return max(self._wanted.since_us, self._heap[0][0]) if full else self._wanted.since_us

    def add(self, lines: Iterable[bytes]) -> None:
        """Look at some records."""
        for line in lines:
            if self._needle in line:
                self._look_at(line)

    def settled(self) -> tuple[list[dict[str, Any]], Position | None]:
        """The page, and where the next one goes on."""
        positions = sorted(self._heap, reverse=True)
        shown = positions[: self._most]
        return [self._records[at] for at in shown], shown[-1] if len(positions) > self._most else None

    def _look_at(self, line: bytes) -> None:
        try:
            record = whole(line)
            instant_us = int(record["additionalEventData"]["instantUs"])
            at = (instant_us, str(record["eventID"]))
            if at >= self._before or not self._wanted.takes(record, instant_us):
                return
        except (ValueError, KeyError, TypeError):
            return  # a line that a crash cut
        known = self._records.get(at)
        if known is not None:
            # A change was recorded with its commit; what came of the whole request was recorded later.
            self._records[at] = record if "errorCode" in record else known
            return
        self._records[at] = record
        heapq.heappush(self._heap, at)
        if len(self._heap) > self._most + 1:
            del self._records[heapq.heappop(self._heap)]


async def _add_writes(archive: Archive, page: _Page) -> None:
    before = (page.before_us, 0)
    while rows := await archive.database.read(
        partial(audit.writes_before, before=before, since_us=page.since_us, most=_ROWS)
    ):
        page.add(record.rstrip(b"\n") for _, _, record in rows)
        before = (rows[-1][1], rows[-1][0])


async def _add_sealed(archive: Archive, page: _Page, notes: list[str]) -> None:
    before = audit.NEWEST
    while segments := await archive.database.read(
        partial(audit.segments_before, before=before, since_us=page.since_us, most=_ROWS)
    ):
        for segment in segments:
            if segment.last_us < page.since_us:
                return
            if segment.first_us < page.before_us:
                await _add_segment(archive, page, segment, notes)
        before = (segments[-1].last_us, segments[-1].key)


async def _add_segment(archive: Archive, page: _Page, segment: Segment, notes: list[str]) -> None:
    try:
        page.add(await archive.get(segment))
    except (ObjectMissing, BlobDamaged, StoreFailed, KeyringUnusable, OSError) as error:
        span = f"from {_told(segment.first_us)} to {_told(segment.last_us)}"
        notes.append(f"{segment.records} records {span} cannot be read: {type(error).__name__}: {error}")


async def _elsewhere(archive: Archive, wanted: Wanted, own: str) -> list[str]:
    """What other machines have and this one cannot see yet."""
    now_us = archive.database.clock_us()
    after, told = "", []
    while recorders := await archive.database.read(partial(audit.recorders_after, server=after, most=_ROWS)):
        told += [
            f"what {recorder.host} recorded since {_told(recorder.sealed_us)} is there until it is sealed;"
            f" that machine was last seen {_told(recorder.seen_us)}"
            for recorder in recorders
            if recorder.server != own and recorder.sealed_us < min(wanted.until_us, now_us - _SETTLED_US)
        ]
        after = recorders[-1].server
    return told


def _matches(pattern: str | None, texts: Iterable[str | None]) -> bool:
    return pattern is None or any(text and fnmatchcase(text, pattern) for text in texts)


def _names_of(identity: dict[str, Any]) -> Iterable[str | None]:
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    yield from (identity.get(member) for member in ("arn", "userName", "accessKeyId", "principalId"))
    yield from (issuer.get("arn"), issuer.get("userName"))


def _names_of_resources(record: dict[str, Any]) -> Iterable[str]:
    for resource in record["resources"]:
        yield resource["ARN"]
        yield resource["ARN"].partition(":repository/")[2]


def _told(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
