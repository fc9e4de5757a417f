"""The embedded engine: SQLite in WAL mode, through apsw.

Reads run inline on the event loop (a bounded read costs about 20 µs; a hop to a thread costs five times that). Writes
go to one writer thread per process. It takes a lock file before ``BEGIN IMMEDIATE``, because SQLite's own busy waiting
starves one of several writing processes for seconds, and commits all decisions that wait at that moment together, each
in its own savepoint: one fsync serves them all, and each answer waits for it.
"""

import asyncio
import fcntl
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from openecr.db.connection import Connection, DatabaseUnusable, Row
from openecr.errors import StorageFull

T = TypeVar("T")

SAFE_SQLITE = (3, 51, 3)
"""Versions before this can corrupt a WAL database that connections write and checkpoint: sqlite.org/wal.html."""
_GROUP_LIMIT = 64
_WAL_CHECKPOINT_PAGES = 4000


def host_clock_us() -> int:
    """The host's clock: all processes of an embedded deployment share the host."""
    return time.time_ns() // 1000


class SqliteConnection:
    """A connection that runs the portable SQL texts as they are."""

    def __init__(self, path: Path, *, read_only: bool, clock_us: Callable[[], int] = host_clock_us) -> None:
        self._clock_us = clock_us
        self.asked = 0
        self.log_pages = 0
        """How long the write-ahead log was after this connection's last commit."""
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        try:
            self._raw = apsw.Connection(str(path), flags=flags, statementcachesize=256)
            self._raw.set_busy_timeout(30_000)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "mmap_size = 0"):
                if not (read_only and pragma.startswith("journal_mode")):
                    self._raw.execute(f"PRAGMA {pragma}")
            # Checkpoints are the writer thread's, outside of any answer that waits (see _Writer).
            self._raw.execute("PRAGMA wal_autocheckpoint = 0")
            self._raw.set_wal_hook(self._note_log)
        except (apsw.NotADBError, apsw.CorruptError):
            raise DatabaseUnusable(
                f"{path} is no database, or is damaged; restore the newest backup with: openecr restore"
            ) from None
        except apsw.FullError:
            raise DatabaseUnusable(f"the disk that holds the database {path} is full; free some space there") from None
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
            raise DatabaseUnusable(
                f"the database {path} cannot be opened ({error}); make it writable, or look after its disk"
            ) from None

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query."""
        self.asked += 1
        return self._raw.execute(sql, params).fetchall()

    def row(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None; the statement is finished either way."""
        self.asked += 1
        found = self._raw.execute(sql, params).fetchall()
        return found[0] if found else None

    def run(self, sql: str, **params: Any) -> int:
        """Run a change; the number of rows it touched."""
        self._raw.execute(sql, params).fetchall()
        return self._raw.changes()

    def kept_row(
        self,
        scope: str,  # noqa: ARG002 - nothing is kept
        sql: str,
        *,
        unless: Callable[[Row], bool] | None = None,  # noqa: ARG002 - the same
        **params: Any,
    ) -> Row | None:
        """The first row: a read costs less than keeping what it found true."""
        return self.row(sql, **params)

    def locked_row(self, of: str, sql: str, *, against_references: bool = False, **params: Any) -> Row | None:  # noqa: ARG002
        """The first row: writers are serial, so nobody else changes it."""
        return self.row(sql, **params)

    def free_rows(self, of: str, sql: str, **params: Any) -> list[Row]:  # noqa: ARG002
        """The rows: writers are serial, so nobody else holds any."""
        return self.rows(sql, **params)

    def forget(self, scope: str) -> None:
        """Nothing is kept."""

    def clock_us(self) -> int:
        """The clock that the database was opened with."""
        return self._clock_us()

    def script(self, sql: str) -> None:
        """Run several statements without parameters."""
        self._raw.execute(sql).fetchall()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Keep or undo what one decision of a group did."""
        self.rows("SAVEPOINT decision")
        try:
            yield
        except BaseException:
            if self.in_transaction:
                self.rows("ROLLBACK TO decision")
                self.rows("RELEASE decision")
            raise
        self.rows("RELEASE decision")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; a full or broken disk makes SQLite undo it on its own."""
        return bool(self._raw.in_transaction)

    def refuse_writes(self) -> None:
        """From now on this connection only reads."""
        self._raw.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def _note_log(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database without making anyone wait."""
        self._raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


@dataclass(slots=True)
class _Waiting:
    decide: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


class SqliteDatabase:
    """One process's view of the embedded database."""

    def __init__(self, path: Path, clock_us: Callable[[], int] = host_clock_us) -> None:
        if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < SAFE_SQLITE:
            raise DatabaseUnusable(
                f"SQLite {apsw.sqlite_lib_version()} can corrupt this database; "
                "install apsw with SQLite 3.51.3 or newer"
            )
        self._clock_us = clock_us
        self._reader = SqliteConnection(path, read_only=False, clock_us=clock_us)
        self._reader.refuse_writes()
        self._closed = False
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._path = path
        self._thread = threading.Thread(target=self._write_forever, name="openecr-writer", daemon=True)
        self._thread.start()

    def clock_us(self) -> int:
        """The clock that leases and due times compare against, µs UTC."""
        return self._clock_us()

    def trouble(self) -> str | None:
        """An embedded database is where the server is."""
        return None

    async def read(self, decide: Callable[[Connection], T], *, consistent: bool = True) -> T:  # noqa: ARG002
        """Run a bounded read in one snapshot, inline: it is over before anything else on the loop runs."""
        self._reader.rows("BEGIN")
        try:
            return decide(self._reader)
        finally:
            self._reader.rows("COMMIT")

    def write(self, decide: Callable[[Connection], T]) -> Awaitable[T]:
        """Run a decision on the writer thread; resolves after the commit that holds it."""
        if self._closed:
            raise DatabaseUnusable("the database is closed: this process is ending")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Waiting(decide, loop, answer))
        return answer

    async def close(self) -> None:
        """Finish what waits, then close."""
        self._closed = True
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._reader.close()

    def _write_forever(self) -> None:
        connection = SqliteConnection(self._path, read_only=False, clock_us=self._clock_us)
        # Both are opened while there is room: a lock file that cannot be made on a full disk would end this thread.
        lock = _open_lock(write_lock_path(self._path))
        elected = _open_lock(self._path.with_name(self._path.name + ".checkpoint-lock"))
        try:
            while (group := self._next_group()) is not None:
                self._commit_group(connection, lock, group)
                self._checkpoint_when_long(connection, elected)
        finally:
            os.close(lock)
            os.close(elected)
            connection.close()

    def _next_group(self) -> list[_Waiting] | None:
        """The decisions that wait now, at least one; None when the database closes."""
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _GROUP_LIMIT:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            group.append(following)
        return group

    def _commit_group(self, connection: SqliteConnection, lock: int, group: list[_Waiting]) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            connection.rows("BEGIN IMMEDIATE")
            try:
                for waiting in group:
                    _decide(connection, waiting)
                connection.rows("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.rows("ROLLBACK")
                raise
        except apsw.FullError:
            _refuse(group, StorageFull())
        except apsw.IOError as error:
            _refuse(group, StorageFull() if "disk" in str(error) and _is_full(self._path) else error)
        except Exception as error:  # noqa: BLE001 - every waiting caller must hear of it
            _refuse(group, error)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
        _answer(group)

    def _checkpoint_when_long(self, connection: SqliteConnection, elected: int) -> None:
        """Fold the log into the database once it is long; one process at a time, the others skip.

        Its file says nothing of its length: it never gets shorter, and is written again from its beginning.
        """
        if connection.log_pages < _WAL_CHECKPOINT_PAGES:
            return
        try:
            fcntl.flock(elected, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process folds it
        try:
            connection.checkpoint()
        except apsw.Error:
            return  # a later commit will
        finally:
            fcntl.flock(elected, fcntl.LOCK_UN)


def write_lock_path(path: Path) -> Path:
    """The lock file that orders the writers of all processes."""
    return path.with_name(path.name + ".write-lock")


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _decide(connection: SqliteConnection, waiting: _Waiting) -> None:
    """Run one decision of a group; what it raises undoes it alone, unless it made SQLite undo the whole group."""
    try:
        with connection.savepoint():
            waiting.result = waiting.decide(connection)
    except BaseException as error:
        if not connection.in_transaction:
            raise  # the decisions that follow would commit on their own
        waiting.error = error


def _refuse(group: list[_Waiting], error: BaseException) -> None:
    for waiting in group:
        waiting.error = error


def _answer(group: list[_Waiting]) -> None:
    """Hand every result to its caller, with one wake-up per loop."""
    loops = {waiting.loop for waiting in group}
    for loop in loops:
        mine = [waiting for waiting in group if waiting.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:
            continue  # the loop is gone, and with it everyone who waited there


def _resolve(group: list[_Waiting]) -> None:
    for waiting in group:
        if waiting.answer.done():
            continue  # the client left; what was committed stays
        if waiting.error is not None:
            waiting.answer.set_exception(waiting.error)
        else:
            waiting.answer.set_result(waiting.result)


def _is_full(path: Path) -> bool:
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize < 1024 * 1024
