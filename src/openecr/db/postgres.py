"""Metadata of many servers: PostgreSQL through psycopg, one thread a connection.

A decision runs in a thread that holds a connection of its own. What counts is round trips, so a read that needs no
snapshot is its statements and nothing else, and rows that may be kept (``kept_row``) are answered from memory on the
event loop, inside a lease that ``postgres_watch`` renews.

A write is READ COMMITTED. What races is ordered by row locks that decisions take (``locked_row``) and by foreign keys
and unique keys; a decision that such a race undid runs again. So does one whose connection broke, unless its commit was
under way: every transaction leaves its number in a row of its connection's, which says afterwards whether it was
committed, so that nothing is lost and nothing done twice. (A transaction id of PostgreSQL's own would not do: one that
was not written down before a crash is given out again.)
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import errors as pg

from openecr.db.connection import Connection, Database, DatabaseUnusable, Raced, Row
from openecr.db.kept_rows import SETTLE_SECONDS, KeptRows
from openecr.db.postgres_address import each_host, unusable
from openecr.db.postgres_session import Session
from openecr.db.postgres_watch import Primary, Watch
from openecr.errors import DatabaseAway, StorageFull

T = TypeVar("T")
log = structlog.get_logger("openecr.db")

PATIENCE_SECONDS = 10.0
"""How long a decision waits for a database that restarts or fails over before its client is told."""
_GIVEN_UP_SECONDS = 10.0
"""After how long without a successful look only the watch still tries to reach the database."""
FATE_SECONDS = 25.0
"""How long the end of a transaction is asked for whose commit was cut; the server ends an idle one sooner."""
_MOST_RACES = 10
_STUCK_SECONDS = 30.0
_RACED = (
    pg.SerializationFailure,
    pg.DeadlockDetected,
    pg.ForeignKeyViolation,
    pg.UniqueViolation,
    pg.LockNotAvailable,
    Raced,
)
_UNPREPARED = (pg.InvalidSqlStatementName, pg.DuplicatePreparedStatement)
"""A pooler handed out another connection than the one that the statement was prepared on."""
_NOT_THERE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.ReadOnlySqlTransaction,
    pg.IdleInTransactionSessionTimeout,
)


class Cold(Exception):
    """A read asks for something that is not kept in memory: it has to go to the database."""


class PostgresConnection:
    """An open transaction, or a read without one."""

    def __init__(self, session: "Session", database: "PostgresDatabase", *, writes: bool = False) -> None:
        self._session = session
        self._database = database
        self._writes = writes
        self._epoch = database.kept.epoch
        self.asked = 0
        self.forgets = False

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query."""
        self.asked += 1
        return self._session.execute(sql, params).fetchall()

    def row(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        self.asked += 1
        return self._session.execute(sql, params).fetchone()

    def run(self, sql: str, **params: Any) -> int:
        """Run a change; the number of rows it touched."""
        self.asked += 1
        return self._session.execute(sql, params).rowcount

    def kept_row(
        self, scope: str, sql: str, *, unless: Callable[[Row], bool] | None = None, **params: Any
    ) -> Row | None:
        """The first row, from memory where it is kept, else kept for the next that asks; no row is not kept."""
        kept = self._database.kept.find(_kept_key(sql, params))
        if kept is not None:
            return kept
        found = self.row(sql, **params)
        if found is not None and not self._writes and not (unless is not None and unless(found)):
            self._database.kept.keep(_kept_key(sql, params), scope, found, self._epoch)
        return found

    def locked_row(self, of: str, sql: str, *, against_references: bool = False, **params: Any) -> Row | None:
        """The first row, held against other writers until the transaction ends."""
        strength = "UPDATE" if against_references else "NO KEY UPDATE"
        return self.row(f"{sql} FOR {strength} OF {of}", **params)

    def free_rows(self, of: str, sql: str, **params: Any) -> list[Row]:
        """The rows that no other transaction holds, held until this one ends."""
        return self.rows(f"{sql} FOR UPDATE OF {of} SKIP LOCKED", **params)

    def forget(self, scope: str) -> None:
        """What is kept under this scope is false once this transaction commits."""
        self.forgets = True
        self.run(
            "INSERT INTO forgotten (scope, transaction_id, forgotten_us)"
            " VALUES (:scope, pg_current_xact_id()::text::bigint, :now_us)",
            scope=scope,
            now_us=self.clock_us(),
        )

    def clock_us(self) -> int:
        """The database's clock."""
        return self._database.clock_us()


class _WarmConnection:
    """A read on the event loop: answers what is kept in memory, and nothing else."""

    asked = 0

    def __init__(self, database: "PostgresDatabase") -> None:
        self._database = database

    def kept_row(
        self,
        scope: str,  # noqa: ARG002 - is the keeper's
        sql: str,
        *,
        unless: Callable[[Row], bool] | None = None,  # noqa: ARG002 - too
        **params: Any,
    ) -> Row | None:
        """A row that is kept."""
        found = self._database.kept.find(_kept_key(sql, params))
        if found is None:
            raise Cold
        return found

    def _cold(self, *_: Any, **__: Any) -> Any:
        raise Cold

    rows = row = run = locked_row = free_rows = forget = _cold

    def clock_us(self) -> int:
        """The database's clock."""
        return self._database.clock_us()


class PostgresDatabase:
    """One process's view of the shared database."""

    def __init__(self, url: str, *, connections: int, memory: Path | None, clock_offset_us: int = 0) -> None:
        self._url = url
        self._addresses = each_host(url)
        self._prepares = True
        self._clock_offset_us = clock_offset_us
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="openecr-database")
        self._mine = threading.local()
        self._sessions: set[Session] = set()
        self._closed = False
        self._away_since: float | None = None
        self.kept = KeptRows()
        self._warm: Connection = _WarmConnection(self)
        self._primary = Primary(memory)
        self._watch = Watch(self.connect_session, self._primary, self.kept, self._cut_stuck)

    async def start(self) -> "PostgresDatabase":
        """Reach the database once, so that its clock is known; a command is told at once where it cannot be."""
        try:
            await asyncio.to_thread(self._watch.look)
        except psycopg.Error as error:
            await self.close()
            raise unusable(self._url, error) from None
        self._watch.start()
        return self

    def clock_us(self) -> int:
        """The database's clock, as of the last look at it: µs UTC."""
        return self._watch.clock_us() + self._clock_offset_us

    def shift_clock(self, offset_us: int) -> None:
        """Move the clock, for a deployment that was created with ``--clock``."""
        self._clock_offset_us = offset_us

    def trouble(self) -> str | None:
        """Why this server should get no requests, or None."""
        return self._watch.trouble()

    async def read(self, decide: Callable[[Connection], T], *, consistent: bool = True) -> T:
        """Run a bounded read; from memory where it may be and all of it is kept."""
        if not consistent:
            with contextlib.suppress(Cold):
                return decide(self._warm)
        return await self._in_thread(lambda: self._read(decide, consistent=consistent))

    async def write(self, decide: Callable[[Connection], T]) -> T:
        """Run a decision in a write transaction; returns after the durable commit, and after no server uses what it
        made false."""
        result, forgets = await self._in_thread(lambda: self._write(decide))
        if forgets:
            await asyncio.sleep(SETTLE_SECONDS)
        return result

    async def close(self) -> None:
        """Finish what runs, then close."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._watch.stop)
        for session in list(self._sessions):
            session.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise DatabaseUnusable("the database is closed: this process is ending")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _read(self, decide: Callable[[Connection], T], *, consistent: bool) -> T:
        def once(session: Session) -> T:
            if not consistent:
                return decide(PostgresConnection(session, self))
            session.begin_read()
            try:
                result = decide(PostgresConnection(session, self))
            except pg.ReadOnlySqlTransaction as error:
                raise AssertionError("a decision that says it reads tried to write") from error
            session.end(commit=True)
            return result

        return self._again_where_away(once)

    def _write(self, decide: Callable[[Connection], T]) -> tuple[T, bool]:
        for race in range(_MOST_RACES):
            try:
                return self._again_where_away(lambda session: self._transact(session, decide))
            except _RACED:
                if race == _MOST_RACES - 1:
                    raise
                time.sleep(random.uniform(0.001, 0.01) * (race + 1))  # noqa: S311 - spreads racers, guards nothing
        raise AssertionError("unreachable")

    def _transact(self, session: Session, decide: Callable[[Connection], T]) -> tuple[T, bool]:
        session.begin_write(self.clock_us())
        connection = PostgresConnection(session, self, writes=True)
        result = decide(connection)
        try:
            session.end(commit=True)
        except _NOT_THERE as error:
            if not self._was_committed(session.id, session.number):
                raise Raced from error  # undone, so that it can run again
        return result, connection.forgets

    def _was_committed(self, session_id: str, number: int) -> bool:
        """Whether a transaction took place whose commit was cut: asked until the database says."""
        deadline = time.monotonic() + FATE_SECONDS
        while True:
            self._drop_session()
            try:
                session = self._session()
                session.busy_since = time.monotonic()
                number_of_last = session.last_commit_of(session_id)
                session.busy_since = None
                return number_of_last == number
            except (pg.LockNotAvailable, DatabaseAway, *_NOT_THERE) as error:
                if time.monotonic() > deadline:
                    log.error("end of a transaction unknown", session=session_id, number=number)
                    raise DatabaseAway from error
            time.sleep(0.1)

    def _again_where_away(self, work: Callable[[Session], T]) -> T:
        """Run on this thread's connection, again on a new one where it breaks, for as long as the client waits."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            session: Session | None = None
            try:
                session = self._session()
                session.busy_since = time.monotonic()
                result = work(session)
            except _UNPREPARED:
                # Behind a pooler that knows no prepared statements: from now on this process prepares none.
                self._prepares = False
                self._drop_session()
                log.warning("prepared statements are off", reason="the connection pooler does not keep them")
            except pg.DiskFull as error:
                self._roll_back(session)
                raise StorageFull from error
            except (*_RACED, pg.QueryCanceled):  # psycopg calls these operational too
                self._roll_back(session)
                raise
            except _NOT_THERE as error:
                self._drop_session()
                if not self._may_wait(deadline):
                    raise DatabaseAway from error
                time.sleep(0.1)
            except BaseException:
                self._roll_back(session)
                raise
            else:
                session.busy_since = None
                self._away_since = None
                return result

    def _may_wait(self, deadline: float) -> bool:
        """Whether to try again: once the database was away for longer than the patience, nobody queues up for it."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        return not self._closed and now < min(deadline, self._away_since + PATIENCE_SECONDS)

    def _session(self) -> Session:
        session: Session | None = getattr(self._mine, "session", None)
        if session is None:
            if self._watch.unseen_seconds() > _GIVEN_UP_SECONDS:
                raise DatabaseAway  # one thread tries to reach it, and nobody queues up behind others that do
            session = self._mine.session = self.connect_session()
            self._sessions.add(session)
        return session

    def connect_session(self) -> Session:
        """A connection of its own thread, to the first host that is the newest primary; the next one begins there.

        libpq would take any host that accepts writes, an old primary that came back too.
        """
        addresses = self._addresses
        for number, address in enumerate(addresses):
            try:
                session = Session(address, self._primary, prepares=self._prepares)
            except psycopg.OperationalError:
                if number == len(addresses) - 1:
                    raise
            else:
                if session.is_pooled and self._prepares:
                    self._prepares = False
                    log.info("prepared statements are off", reason="a connection pooler is in between")
                if number:
                    self._addresses = [address, *(other for other in addresses if other is not address)]
                return session
        raise AssertionError("unreachable")

    def _roll_back(self, session: Session | None) -> None:
        try:
            if session is not None:
                session.end(commit=False)
                session.busy_since = None
        except psycopg.Error:
            self._drop_session()

    def _drop_session(self) -> None:
        session: Session | None = getattr(self._mine, "session", None)
        if session is not None:
            self._mine.session = None
            self._sessions.discard(session)
            session.close()

    def _cut_stuck(self) -> None:
        """Break connections that a statement has waited on for too long: the server hangs, or the link is cut."""
        now = time.monotonic()
        for session in list(self._sessions):
            if session.busy_since is not None and now - session.busy_since > _STUCK_SECONDS:
                log.warning("statement cut", waited_seconds=round(now - session.busy_since, 1))
                session.cut()


def connect(database: PostgresDatabase) -> tuple[PostgresConnection, Session]:
    """A connection of one's own on which every statement is committed alone, and what closes it."""
    session = database.connect_session()
    return PostgresConnection(session, database), session


def _kept_key(sql: str, params: dict[str, Any]) -> tuple[Any, ...]:
    return (sql, *params.values())


_: type[Database] = PostgresDatabase
