"""The engines that tests of queries and decisions run over. A new engine is a class here and a line in ENGINES."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from openecr.db.connection import Connection, Database
from openecr.db.migrations import migrate, migrate_postgres
from openecr.db.postgres import PostgresDatabase, connect
from openecr.db.sqlite import SqliteConnection, SqliteDatabase, host_clock_us
from tests.postgres import Cluster

Clock = Callable[[], int]


class Sqlite:
    """Fresh embedded databases."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "openecr.db"
        migrate(self.path)
        self._open: list[Any] = []

    def database(self, clock_us: Clock = host_clock_us) -> Database:
        """The database, on a clock that the test moves."""
        return SqliteDatabase(self.path, clock_us)

    def connection(self, clock_us: Clock = host_clock_us) -> Connection:
        """A connection on which every statement is committed alone."""
        self._open.append(SqliteConnection(self.path, read_only=False, clock_us=clock_us))
        found: Connection = self._open[-1]
        return found

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._open:
            connection.close()


class _ClockedPostgres(PostgresDatabase):
    def __init__(self, url: str, clock_us: Clock) -> None:
        super().__init__(url, connections=4, memory=None)
        self._clock = clock_us
        self._watch.look()  # what ``start`` does, also where a loop runs already
        self._watch.start()

    def clock_us(self) -> int:
        return self._clock()


class _Looking:
    """The looks of a database that has no loop to be closed on."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def close(self) -> None:
        self._database._watch.stop()


class Postgresql:
    """Fresh databases of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.url = cluster.create_database(migrate_postgres)
        self._open: list[Any] = []

    def database(self, clock_us: Clock = host_clock_us) -> Database:
        """The database, on a clock that the test moves."""
        return _ClockedPostgres(self.url, clock_us)

    def connection(self, clock_us: Clock = host_clock_us) -> Connection:
        """A connection on which every statement is committed alone."""
        database = _ClockedPostgres(self.url, clock_us)
        connection, session = connect(database)
        self._open += [session, _Looking(database)]
        return connection

    def close(self) -> None:
        """Let go of the connections."""
        for item in self._open:
            item.close()


Engine = Sqlite | Postgresql
ENGINES = ("sqlite", "postgresql")
