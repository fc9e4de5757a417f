"""A thread's connection to PostgreSQL: how it is opened, and the round trips that a transaction costs."""

import contextlib
import os
import secrets
import socket
from typing import Any

import psycopg
from psycopg import errors as pg

from openecr.db.connection import Row
from openecr.db.postgres_text import adapt, numbered
from openecr.db.postgres_watch import Primary
from openecr.errors import SerializationFailed

_BEGIN_WRITE = (
    "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s';"
    " SET LOCAL idle_in_transaction_session_timeout = '15s';"
    " INSERT INTO last_commit (session, number, committed_us) VALUES ('{session}', {number}, {now_us})"
    " ON CONFLICT (session) DO UPDATE SET number = excluded.number, committed_us = excluded.committed_us"
)
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'"
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 4,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 12_000,
}


class Session:
    """One thread's connection."""

    def __init__(self, url: str, primary: Primary, *, prepares: bool) -> None:
        self._raw = psycopg.connect(url, autocommit=True, **_KEEPALIVE)
        try:
            adapt(self._raw.adapters)
            self._cursor = psycopg.RawCursor(self._raw)
            self._cursor.format = psycopg.pq.Format.BINARY
            self._script = psycopg.RawCursor(self._raw)
            """Several statements in one round trip; PostgreSQL answers those in text only."""
            backend_pid = primary.require(self._raw)
            # A pooler tells a number of its own. Behind one in transaction mode a prepared statement may be met on a
            # connection where another client's bears its name, and do that one's work.
            self.is_pooled = backend_pid != self._raw.info.backend_pid
            self._raw.prepare_threshold = 1 if prepares and not self.is_pooled else None
        except BaseException:
            self._raw.close()
            raise
        self.busy_since: float | None = None
        self.id = secrets.token_hex(16)
        self.number = 0
        """Of the last transaction that was begun to write."""

    def execute(self, sql: str, params: dict[str, Any]) -> psycopg.RawCursor[Row]:
        """Run a portable text."""
        text, names = numbered(sql)
        try:
            return self._cursor.execute(text, [params[name] for name in names])
        except pg.CharacterNotInRepertoire:
            raise SerializationFailed(message="A text must not contain the character U+0000") from None

    def begin_write(self, now_us: int) -> None:
        """Begin a transaction that leaves its number."""
        self.number += 1
        script = _BEGIN_WRITE.format(session=self.id, number=self.number, now_us=now_us)
        self._script.execute(script.encode(), prepare=False)

    def begin_read(self) -> None:
        """Begin a read of one snapshot."""
        self._script.execute(_BEGIN_READ, prepare=False)

    def end(self, *, commit: bool) -> None:
        """End the transaction."""
        self._script.execute(b"COMMIT" if commit else b"ROLLBACK", prepare=False)

    def last_commit_of(self, session_id: str) -> int:
        """The number of the last transaction that a connection committed; waits for one that has not ended."""
        self._script.execute(b"BEGIN; SET LOCAL lock_timeout = '5s'", prepare=False)
        found = self._cursor.execute(
            b"SELECT number FROM last_commit WHERE session = $1 FOR UPDATE", [session_id]
        ).fetchone()
        # The row lock's own commit waits for the synchronous standby, which the cut one may not have done.
        self.end(commit=True)
        return 0 if found is None else int(found[0])

    def cut(self) -> None:
        """Break the connection from another thread: whoever waits on it is told at once."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go."""
        with contextlib.suppress(psycopg.Error):
            self._raw.close()
