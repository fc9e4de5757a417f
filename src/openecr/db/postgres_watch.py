"""What a server looks at in the shared database, several times a second and on a connection of its own.

    the clock        one clock for leases and due times: the database's, as an offset of this host's
    what to forget   scopes of kept rows that transactions made false since the last look (see ``kept_rows``)
    the primary      a database that went back in time, or that only reads, is not written to

Nothing here depends on NOTIFY, which a pooler in transaction mode does not pass on: the looks are the bound.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
import structlog

from openecr.db.kept_rows import KeptRows

log = structlog.get_logger("openecr.db")

LOOK_SECONDS = 0.15
MOST_SKEW_US = 5_000_000
"""A host whose clock is further off than this refuses requests: signatures and tokens would be judged wrongly."""
_LATE_SECONDS = 5.0
_PRIMARY = (
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,"
    " (SELECT system_identifier FROM pg_control_system()),"
    " CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,"
    " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, pg_backend_pid()"
)
_LOOK = (
    "SELECT NULL::text, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
    " pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    " UNION ALL SELECT scope, NULL, NULL FROM forgotten WHERE transaction_id >= :since"
)


class NotPrimary(psycopg.OperationalError):
    """The server that answered only reads, or is one that the deployment has left behind."""


class Session(Protocol):
    """A connection as the watch uses it."""

    def execute(self, sql: str, params: dict[str, Any]) -> Any:
        """Run a portable text."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Primary:
    """Which database cluster is the deployment's, and how far its history went when this server last saw it.

    PostgreSQL counts a cluster's promotions in its timeline: a server with a lower timeline than was seen before is a
    primary that came back after a failover (a split brain), and what is written to it would be lost.
    """

    def __init__(self, memory: Path | None) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._known: tuple[int, int] | None = None
        self._recall()

    def require(self, raw: "psycopg.Connection[Any]") -> int:
        """Refuse a connection to anything but the deployment's newest primary; the process that serves it.

        Raises:
            NotPrimary: it only reads, is another cluster, or an older primary.
        """
        found = raw.execute(_PRIMARY, prepare=False).fetchone()
        only_reads, system_identifier, timeline, _, backend_pid = found or (True, 0, None, 0, 0)
        with self._lock:
            self._recall()
        self.judge(only_reads=only_reads, system_identifier=int(system_identifier), timeline=timeline)
        return int(backend_pid)

    def _recall(self) -> None:
        """Learn what this server's other processes saw."""
        if self._memory is None:
            return
        with suppress(OSError, ValueError, KeyError):
            kept = json.loads(self._memory.read_text())
            found = int(kept["system_identifier"]), int(kept["timeline"])
            if self._known is None or (found[0] == self._known[0] and found[1] > self._known[1]):
                self._known = found

    def judge(self, *, only_reads: bool, system_identifier: int, timeline: str | None) -> None:
        """Compare what a server says of itself with what is known."""
        if only_reads or timeline is None:
            raise NotPrimary("the database server only reads: it is a standby, or was made read-only")
        found = system_identifier, int(timeline, 16)
        with self._lock:
            known = self._known
            if known is not None and found[0] != known[0]:
                raise NotPrimary(
                    f"the database server belongs to another cluster ({found[0]}) than this deployment's ({known[0]}); "
                    f"if that is meant, remove {self._memory}"
                )
            if known is not None and found[1] < known[1]:
                raise NotPrimary(
                    f"the database server is an older primary (timeline {found[1]}, {known[1]} was seen): nothing is "
                    f"written to it; if its history is meant, remove {self._memory}"
                )
            if found != known:
                self._known = found
                self._remember(*found)

    def _remember(self, system_identifier: int, timeline: int) -> None:
        if self._memory is None:
            return
        part = self._memory.with_name(f"{self._memory.name}.{os.getpid()}.part")
        with suppress(OSError):
            part.write_text(json.dumps({"system_identifier": system_identifier, "timeline": timeline}))
            part.replace(self._memory)


class Watch:
    """The thread that looks."""

    def __init__(
        self, connect: Callable[[], Session], primary: Primary, kept: KeptRows, tend: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._primary = primary
        self._kept = kept
        self._tend = tend
        self._session: Session | None = None
        self._since = 0
        self._started_us = 0
        self._offset_us: int | None = None
        self._seen_at = float("-inf")
        self._reason = "the database was not reached yet"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openecr-database-watch", daemon=True)

    def start(self) -> None:
        """Look until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._let_go()

    def clock_us(self) -> int:
        """The database's clock: this host's, moved by what the last look found."""
        return time.time_ns() // 1000 + (self._offset_us or 0)

    def unseen_seconds(self) -> float:
        """How long ago the last look succeeded; 0 while nobody looks."""
        return time.monotonic() - self._seen_at if self._thread.is_alive() else 0.0

    def trouble(self) -> str | None:
        """Why requests should not come here, or None."""
        if time.monotonic() - self._seen_at > _LATE_SECONDS:
            return self._reason
        if abs(self._offset_us or 0) > MOST_SKEW_US:
            return f"this host's clock is {(self._offset_us or 0) / 1e6:+.1f} seconds from the database's; set it right"
        return None

    def look(self) -> None:
        """Look once."""
        if self._session is None:
            self._session = self._connect()
        only_reads, system_identifier, timeline, started_us, _ = self._session.execute(_PRIMARY, {}).fetchone()
        self._primary.judge(only_reads=only_reads, system_identifier=int(system_identifier), timeline=timeline)
        if started_us != self._started_us:
            # After a crash the numbers of transactions that left no trace are given out again.
            self._kept.clear()
            self._since, self._started_us = 0, started_us
        asked_at, asked_us = time.monotonic(), time.time_ns() // 1000
        (_, database_us, oldest), *forgotten = self._session.execute(_LOOK, {"since": self._since}).fetchall()
        took_us = time.time_ns() // 1000 - asked_us
        self._kept.renew(asked_at, [row[0] for row in forgotten])
        # Transactions under this number had ended when the look was taken, so they are behind it for good.
        self._since = int(oldest)
        self._offset_us = int(database_us) - asked_us - took_us // 2
        self._seen_at = time.monotonic()
        self._reason = "the database does not answer"

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except psycopg.Error as error:
                reason = " ".join(str(error).split())
                if reason != self._reason:
                    log.warning("database not reached", reason=reason)
                self._reason = reason
                self._kept.clear()
                self._let_go()
            self._tend()

    def _let_go(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
