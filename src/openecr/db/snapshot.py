"""One long look at everything: a read transaction of its own connection, for as long as a dump takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from openecr.data_dir import database_path
from openecr.db.connection import Connection, DatabaseUnusable, Row
from openecr.db.postgres_text import adapt, numbered, sentence_of
from openecr.db.schema import Reader, Table
from openecr.db.sqlite import SqliteConnection
from openecr.settings import Settings


@contextmanager
def snapshot(settings: Settings) -> Iterator[Reader]:
    """Everything as it was at one moment, while writers go on. What is read does not fit in a decision: it takes as
    long as it takes, and holds back the engine's own cleaning up meanwhile.

    Raises:
        DatabaseUnusable: the database does not answer, or broke the connection.
    """
    if settings.database is None:
        connection = SqliteConnection(database_path(settings.data_dir), read_only=False)
        try:
            connection.refuse_writes()
            connection.rows("BEGIN")
            yield connection
        finally:
            connection.close()
        return
    try:
        with psycopg.connect(settings.database, autocommit=True, connect_timeout=10) as raw:
            adapt(raw.adapters)
            raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield _PostgresSnapshot(raw)
    except psycopg.Error as error:
        raise DatabaseUnusable(f"the database stopped answering: {sentence_of(error)}; try again") from None


class _PostgresSnapshot:
    def __init__(self, raw: "psycopg.Connection[Row]") -> None:
        self._cursor = psycopg.RawCursor(raw)
        self._cursor.format = psycopg.pq.Format.BINARY

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query."""
        text, names = numbered(sql)
        return self._cursor.execute(text, [params[name] for name in names]).fetchall()


def continue_keys(connection: Connection, settings: Settings, table: Table) -> None:
    """Let the engine give new keys after those that were put there with their rows; SQLite does by itself."""
    if settings.database is not None and table.columns.get("id") == "key":
        connection.row(
            f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), GREATEST(MAX(id), 1)) FROM {table.name}"
        )
