"""Between records, which come one after another, and rows, each of one package: a database beside the index in making.

What is written is only appended: advisories in sorted runs, each as large as memory may be, which are merged when they
are read; a tree that grew in its middle would be written again with every batch.
"""

import errno
import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import zstandard

from openecr.scan.record_ids import cve_of, is_cve
from openecr.scan.vulndb import packing, schema
from openecr.scan.vulndb.osv import Record

_RUN_ROWS = 20_000
_RUN_BYTES = 8 * 1024 * 1024
_TABLES = """
CREATE TABLE record (
    id TEXT NOT NULL PRIMARY KEY, modified_us INTEGER NOT NULL, turn INTEGER NOT NULL, withdrawn INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE detail (turn INTEGER NOT NULL PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE advisory (
    number INTEGER NOT NULL PRIMARY KEY, ecosystem TEXT NOT NULL, package TEXT NOT NULL, id TEXT NOT NULL,
    part INTEGER NOT NULL, turn INTEGER NOT NULL, content BLOB NOT NULL
);
CREATE TABLE alias (
    cve TEXT NOT NULL, rank INTEGER NOT NULL, id TEXT NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (cve, rank, id, turn)
) WITHOUT ROWID;
CREATE TABLE exploit (cve TEXT NOT NULL PRIMARY KEY, epss REAL, exploited INTEGER NOT NULL) WITHOUT ROWID;
"""
_RUN = """
SELECT ecosystem, package, id, part, turn, content FROM advisory WHERE number BETWEEN ? AND ? ORDER BY number
"""
_DETAILS = """
SELECT r.id, d.content FROM record r CROSS JOIN detail d WHERE d.turn = r.turn AND NOT r.withdrawn ORDER BY r.id
"""
_ALIASES = """
SELECT a.cve, a.rank, a.id FROM alias a JOIN record r ON r.id = a.id AND r.turn = a.turn ORDER BY a.cve, a.rank, a.id
"""
_EXPLOITS = """
SELECT cve, epss, exploited FROM exploit WHERE EXISTS (SELECT 1 FROM alias WHERE alias.cve = exploit.cve) ORDER BY cve
"""

AdvisoryRow = tuple[str, str, str, int, int, bytes]
"""(ecosystem, package, record, part of the record, turn, packed advisory); the turn is the record's number."""


class Staging:
    """The database; gone when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._connection = open_for_building(path, _TABLES)
        self._connection.execute("BEGIN")
        self._turn = 0
        self._replaced: set[int] = set()
        """Turns of copies of records of which there is a newer one."""
        self._advisories: list[AdvisoryRow] = []
        self._aliases: list[tuple[str, int, str, int]] = []
        self._pending_bytes = 0
        self._runs: list[tuple[int, int]] = []
        self._written = 0
        self._compress = zstandard.ZstdCompressor(level=1).compress

    def add(self, record: Record) -> None:
        """A record, unless a copy that is as new is there."""
        self._turn += 1
        if not self._takes(record):
            return
        cves = _cves(record)
        details = packing.pack_details(record.details, [cve for cve, rank in cves if rank < schema.ONE_OF_MANY])
        self._connection.execute("INSERT INTO detail VALUES (?, ?)", (self._turn, self._compress(details)))
        for part, advisory in enumerate(record.advisories):
            packed = packing.pack_advisory(advisory)
            self._advisories.append((advisory.ecosystem, advisory.package, record.id, part, self._turn, packed))
            self._pending_bytes += len(packed)
        if not record.withdrawn:
            self._aliases += [(cve, rank, record.id, self._turn) for cve, rank in cves]
        if max(len(self._advisories), len(self._aliases)) >= _RUN_ROWS or self._pending_bytes >= _RUN_BYTES:
            self._flush()

    def know_exploits(self, epss: Iterable[tuple[str, float]], exploited: Iterable[str]) -> None:
        """Scores of EPSS, and CVEs that are known to be exploited."""
        self._connection.executemany("INSERT OR REPLACE INTO exploit VALUES (?, ?, 0)", epss)
        known = "INSERT INTO exploit VALUES (?, NULL, 1) ON CONFLICT (cve) DO UPDATE SET exploited = 1"
        self._connection.executemany(known, ((cve,) for cve in sorted(exploited)))

    def settle(self) -> None:
        """All records are there."""
        self._flush()
        self._connection.execute("COMMIT; BEGIN")

    def records(self) -> Iterator[tuple[str, int, int]]:
        """(id, modified_us, whether it is withdrawn) of each record."""
        yield from _rows(self._connection, "SELECT id, modified_us, withdrawn FROM record")

    def advisories(self) -> Iterator[AdvisoryRow]:
        """Each advisory of the newest copy of its record, by ecosystem, package and record."""
        runs = [_rows(self._connection, _RUN, run) for run in self._runs]
        return (row for row in heapq.merge(*runs) if row[4] not in self._replaced)

    def details(self) -> Iterator[tuple[str, bytes]]:
        """(id, packed details) of each record that is not withdrawn, by id."""
        decompress = zstandard.ZstdDecompressor().decompress
        for name, content in _rows(self._connection, _DETAILS):
            yield name, decompress(content)

    def aliases(self) -> Iterator[tuple[str, int, str]]:
        """(CVE, rank, record that tells of it), by all of them."""
        yield from _rows(self._connection, _ALIASES)

    def withdrawn(self) -> Iterator[tuple[str]]:
        """The records that were taken back."""
        yield from _rows(self._connection, "SELECT id FROM record WHERE withdrawn ORDER BY id")

    def exploits(self) -> Iterator[tuple[str, float | None, int]]:
        """(CVE, EPSS, whether it is known to be exploited) of those that some record tells of."""
        yield from _rows(self._connection, _EXPLOITS)

    def close(self) -> None:
        """Remove it."""
        self._connection.close()
        self._path.unlink(missing_ok=True)

    def _takes(self, record: Record) -> bool:
        """Whether it is new, or newer than the copy that is there."""
        values = (record.id, record.modified_us, self._turn, record.withdrawn)
        self._connection.execute("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?)", values)
        if self._connection.changes():
            return True
        known = "SELECT modified_us, turn FROM record WHERE id = ?"
        ((modified_us, turn),) = _rows(self._connection, known, (record.id,))
        if modified_us >= record.modified_us:
            return False
        self._replaced.add(turn)
        self._connection.execute("REPLACE INTO record VALUES (?, ?, ?, ?)", values)
        return True

    def _flush(self) -> None:
        first = self._written
        self._connection.executemany(
            "INSERT INTO advisory VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((first + number, *row) for number, row in enumerate(sorted(self._advisories))),
        )
        self._written += len(self._advisories)
        if self._written > first:
            self._runs.append((first, self._written - 1))
        self._connection.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?, ?, ?)", sorted(self._aliases))
        self._advisories.clear()
        self._aliases.clear()
        self._pending_bytes = 0


def open_for_building(path: Path, tables: str = "", *, page_bytes: int = 4096) -> apsw.Connection:
    """A file that nobody else has: what a crash leaves of it is thrown away."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    connection.execute(f"PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA cache_size = -65536; {tables}")
    return connection


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """What SQLite says of the disk, as the system says it.

    Raises:
        OSError
    """
    try:
        yield
    except apsw.FullError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent)) from None
    except (apsw.IOError, apsw.CantOpenError):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path)) from None


def _rows(connection: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> Iterator[Any]:
    return iter(connection.execute(sql, bindings))


def _cves(record: Record) -> list[tuple[str, int]]:
    """(CVE, rank) of what a record tells of: the lower, the rather its words are the CVE's.

    Below 4 it is the same vulnerability; below 8 a distribution's record that is about this one CVE; from there on an
    advisory of several, whose words are of all of them.
    """
    details = record.details
    poor = 2 * (not (details.summary or details.details)) + (not details.ratings)
    same = {name for name in (record.id, *record.aliases) if is_cve(name)}
    own = cve_of(record.id)
    about = ({own} if own else {name for name in record.upstream if is_cve(name)}) - same
    ranked = [(cve, 0 if cve == record.id else poor) for cve in sorted(same)]
    return ranked + [(cve, poor + (4 if len(about) == 1 else schema.ONE_OF_MANY)) for cve in sorted(about)]
