"""One process's part of the audit trail: records are gathered in memory and appended to a file by a thread.

    append (no waiting) → made into lines, many at once → gathered, bounded → written and made durable within a second
    → rotated

A file is a *segment*: lines of JSON, in the order of their writing, locked by the process that writes it and never
changed after. A disk that stalls or is full holds up the thread alone: requests go on, records wait up to a bound, and
what comes beyond it is counted, logged, and told by a record of its own as soon as there is room.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

import orjson
import structlog

from openecr.blobs.filesystem import sync_folder

T = TypeVar("T")
GATHER_SECONDS = 0.7
"""With the write that follows, what a crash can lose: a second. Oftener costs a pull more than its line does."""
MOST_WAITING_BYTES = 16 * 1024 * 1024
SEGMENT_BYTES = 8 * 1024 * 1024
SEGMENT_SECONDS = 600.0
SUFFIX = ".jsonl"
_RETRY_SECONDS = 1.0
_AT_ONCE = 64
_CLOSE_SECONDS = 5.0

log = structlog.get_logger("openecr.audit")


def folder_of(data_dir: Path) -> Path:
    """Where the segments of this machine are until they are sealed."""
    return data_dir / "audit"


class AuditLog(Generic[T]):
    """Appends records to segments in a folder.

    Args:
        folder: made where it is missing, for its owner alone.
        now_us: the clock of the records, for the names of segments.
        record_of: makes the line of what is appended; raises nothing.
        lost: makes the record that tells how many were lost.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now_us: Callable[[], int],
        record_of: Callable[[T], bytes],
        lost: Callable[[int], bytes],
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
    ) -> None:
        self._folder = folder
        self._now_us = now_us
        self._record_of = record_of
        self._lost_record = lost
        self._most_waiting_bytes = most_waiting_bytes
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._lock = threading.Lock()
        self._fresh: deque[T] = deque()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._lost = 0
        self._woken = threading.Event()
        self._closing = False
        self._segment: _Segment | None = None
        self._thread = threading.Thread(target=self._write_forever, name="openecr-audit", daemon=True)
        self._thread.start()

    def append(self, item: T) -> None:
        """Note what happened; never waits for the disk.

        Many lines made at once cost a third of as many made one by one between other work.
        """
        self._fresh.append(item)
        if len(self._fresh) >= _AT_ONCE:
            self._make_lines()
        if not self._woken.is_set():
            self._woken.set()

    def _make_lines(self) -> None:
        """Make lines of what is fresh; two threads that do it at once share it."""
        lines = []
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._record_of(self._fresh.popleft()))
        with self._lock:
            for line in lines:
                if self._waiting_bytes + len(line) > self._most_waiting_bytes:
                    self._lost += 1
                    continue
                self._waiting.append(line)
                self._waiting_bytes += len(line)

    def close(self) -> None:
        """Write what waits and let go of the segment; gives up on a disk that stalls."""
        self._closing = True
        self._woken.set()
        self._thread.join(_CLOSE_SECONDS)

    def _write_forever(self) -> None:
        unwritten = b""
        while True:
            closing = self._closing
            taken = self._take()
            try:
                self._write(unwritten + taken)
                unwritten = b""
                self._rotate_when_due()
            except OSError as error:
                unwritten = self._keep(unwritten + taken)
                log.error("audit records cannot be written; they wait", why=str(error), waiting_bytes=len(unwritten))
            if closing:
                break
            self._pause(failed=bool(unwritten))
        if self._segment is not None:
            self._segment.close()

    def _pause(self, *, failed: bool) -> None:
        if failed:
            time.sleep(_RETRY_SECONDS)
            return
        if self._woken.wait(self._segment_seconds / 4) and not self._closing:
            time.sleep(GATHER_SECONDS)

    def _take(self) -> bytes:
        self._woken.clear()
        self._make_lines()
        with self._lock:
            taken, self._waiting = self._waiting, []
            self._waiting_bytes = 0
            lost, self._lost = self._lost, 0
        if self._closing:
            self._woken.set()
        if lost:
            log.warning("audit records lost: they came faster than the disk took them", count=lost)
            taken.append(self._lost_record(lost))
        return b"".join(taken)

    def _keep(self, unwritten: bytes) -> bytes:
        """What could not be written goes on counting as waiting."""
        with self._lock:
            self._waiting_bytes += len(unwritten)
        return unwritten

    def _write(self, content: bytes) -> None:
        if not content:
            return
        if self._segment is None:
            self._segment = _Segment.create(self._folder, self._now_us())
        self._segment.append(content)

    def _rotate_when_due(self) -> None:
        segment = self._segment
        if segment is None:
            return
        if segment.size_bytes >= self._segment_bytes or segment.age_seconds >= self._segment_seconds:
            self._segment = None
            segment.close()


class _Segment:
    """A file that is being written, locked as long."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._created = time.monotonic()
        self.size_bytes = 0

    @classmethod
    def create(cls, folder: Path, now_us: int) -> "_Segment":
        folder.mkdir(mode=0o700, exist_ok=True)
        # Locked before it has its name: who seals segments takes one that nobody holds for complete.
        hidden = folder / f".{uuid4()}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path = folder / f"{now_us:020d}-{uuid4()}{SUFFIX}"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            hidden.rename(path)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._created

    def append(self, content: bytes) -> None:
        """Write whole lines durably, or none of them."""
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)
            os.lseek(self._descriptor, self.size_bytes, os.SEEK_SET)
            raise
        self.size_bytes += len(content)

    def close(self) -> None:
        os.close(self._descriptor)


def lines_of(content: bytes) -> list[bytes]:
    """The whole lines of a segment; one that a crash cut is none."""
    return [line for line in content.split(b"\n")[:-1] if line.startswith(b"{") and line.endswith(b"}")]


def instant_of(line: bytes) -> int | None:
    """When the event of a record was, in µs; None for what is no record."""
    try:
        return int(orjson.loads(line)["us"])
    except (ValueError, KeyError, TypeError):
        return None
