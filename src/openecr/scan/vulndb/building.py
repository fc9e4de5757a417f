"""Records, one after another → the index file. Neither all records nor all rows are ever in memory.

Records arrive by archive and are wanted by package, and one record may arrive several times: GitHub's stand in the
export of every ecosystem that they name. So they are first written, packed, to a staging database beside the target, in
sorted batches; a row is then the run of what belongs to one package, without what a newer copy of a record replaced.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import apsw
import orjson

from openecr.scan.record_ids import cve_of, is_cve
from openecr.scan.vulndb import osv, packing, schema
from openecr.scan.vulndb.archives import RawRecord
from openecr.scan.vulndb.description import Description, SourceShare
from openecr.scan.vulndb.osv import Record, RecordRefused
from openecr.scan.vulndb.sources import EPSS, EXPLOITED, Terms, terms

_BATCH_ROWS = 20_000
_SAMPLES = 4_000
_SAMPLE_BYTES = 4096
_SMALL_CACHE = "PRAGMA cache_size = -65536"
_TOLD_UNREAD = 20
_STAGING = """
CREATE TABLE record (id TEXT NOT NULL PRIMARY KEY, modified_us INTEGER NOT NULL, turn INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE advisory (ecosystem TEXT NOT NULL, package TEXT NOT NULL, id TEXT NOT NULL, turn INTEGER NOT NULL,
    part INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (ecosystem, package, id, turn, part)) WITHOUT ROWID;
CREATE TABLE alias (cve TEXT NOT NULL, rank INTEGER NOT NULL, id TEXT NOT NULL, turn INTEGER NOT NULL,
    PRIMARY KEY (cve, rank, id, turn)) WITHOUT ROWID;
CREATE TABLE exploit (cve TEXT NOT NULL PRIMARY KEY, epss REAL, exploited INTEGER NOT NULL) WITHOUT ROWID;
"""
_NEWER = """
INSERT INTO record VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET modified_us = excluded.modified_us,
    turn = excluded.turn, withdrawn = excluded.withdrawn, content = excluded.content
    WHERE excluded.modified_us > record.modified_us
"""


class BuildRefused(Exception):
    """No index can be made of these records; one sentence."""


@dataclass(slots=True)
class Read:
    """What came of the files that should be records."""

    records: int = 0
    unread: int = 0
    reasons: list[str] = field(default_factory=list)
    """Of the first that are unread."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished file."""

    path: Path
    size_bytes: int
    sha256: str
    description: Description


class Builder:
    """One build, from the first record to the finished file.

    Args:
        target: where the file will be; beside it lies what is needed meanwhile.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._staging_path = target.with_name(target.name + ".staging")
        self.read = Read()
        self._is_finished = False
        for path in (self._staging_path, target):
            path.unlink(missing_ok=True)
        self._staging = _fresh(self._staging_path, _STAGING)
        self._staging.execute("BEGIN")
        self._advisories: list[tuple[str, str, str, int, int, bytes]] = []
        self._aliases: list[tuple[str, int, str, int]] = []
        self._exploit_sources: list[Terms] = []
        self._turn = 0

    def add(self, raw: RawRecord) -> None:
        """One file that should be a record."""
        try:
            if raw.content is None:
                raise RecordRefused("is larger than a record may be")
            record = osv.read(raw.content)
        except RecordRefused as refused:
            self.read.unread += 1
            if len(self.read.reasons) < _TOLD_UNREAD:
                self.read.reasons.append(f"{raw.where}: {refused}")
            return
        self.read.records += 1
        self._turn += 1
        with _disk(self._staging_path):
            self._stage(record)

    def know_exploits(self, epss: Iterable[tuple[str, float]] | None, exploited: frozenset[str] | None) -> None:
        """Scores of EPSS and the CVEs known to be exploited; None where there is no such list."""
        with _disk(self._staging_path):
            if epss is not None:
                self._staging.executemany("INSERT OR REPLACE INTO exploit VALUES (?, ?, 0)", epss)
                self._exploit_sources.append(EPSS)
            if exploited is not None:
                known = "INSERT INTO exploit VALUES (?, NULL, 1) ON CONFLICT (cve) DO UPDATE SET exploited = 1"
                self._staging.executemany(known, ((cve,) for cve in sorted(exploited)))
                self._exploit_sources.append(EXPLOITED)

    def finish(self, *, built_us: int, data_us: int | None = None, inputs: str = "") -> Built:
        """Write the file.

        Args:
            data_us: as of when the data is; None where only the records can tell.
        Raises:
            BuildRefused: there is nothing in it.
            OSError: the disk is full.
        """
        with _disk(self._target):
            return self._finish(built_us, data_us, inputs)

    def _finish(self, built_us: int, data_us: int | None, inputs: str) -> Built:
        self._flush()
        self._staging.execute("COMMIT; BEGIN")
        # What no copy of a record says any more is left out by its turn; the join walks both tables in order.
        description = self._describe(built_us, data_us, inputs)
        if not description.ecosystems:
            raise BuildRefused("there is no record in it that speaks of a package")
        target = _fresh(self._target, schema.TABLES, page_bytes=schema.PAGE_BYTES)
        try:
            target.execute(
                f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = {schema.FORMAT}; BEGIN"
            )
            self._write_packages(target)
            self._write_details(target)
            self._write_rest(target, description)
            target.execute("COMMIT")
        finally:
            target.close()
        self._is_finished = True
        return finished(self._target, description)

    def close(self) -> None:
        """Let go of what a build has on the disk beside its finished file."""
        self._staging.close()
        self._staging_path.unlink(missing_ok=True)
        if not self._is_finished:
            self._target.unlink(missing_ok=True)

    def _stage(self, record: Record) -> None:
        cves = _cves(record)
        packed = packing.pack_details(record.details, [cve for cve, rank in cves if rank < schema.ONE_OF_MANY])
        values = (record.id, record.modified_us, self._turn, record.withdrawn, packed)
        self._staging.execute(_NEWER, values)
        if not self._staging.changes():
            return
        self._advisories += [
            (one.ecosystem, one.package, one.id, self._turn, part, packing.pack_advisory(one))
            for part, one in enumerate(record.advisories)
        ]
        if not record.withdrawn:
            self._aliases += [(cve, rank, record.id, self._turn) for cve, rank in cves]
        if len(self._advisories) >= _BATCH_ROWS or len(self._aliases) >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        # Sorted, so that a batch touches each page of the tree once.
        self._staging.executemany("INSERT INTO advisory VALUES (?, ?, ?, ?, ?, ?)", sorted(self._advisories))
        self._staging.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?, ?, ?)", sorted(self._aliases))
        self._advisories.clear()
        self._aliases.clear()

    def _describe(self, built_us: int, data_us: int | None, inputs: str) -> Description:
        sources: Counter[Terms] = Counter()
        newest_us = withdrawn = records = 0
        for name, modified_us, is_withdrawn in self._staging.execute("SELECT id, modified_us, withdrawn FROM record"):
            if modified_us <= built_us:
                newest_us = max(newest_us, modified_us)
            if is_withdrawn:
                withdrawn += 1
            else:
                records += 1
                sources[terms(name)] += 1
        shares = [SourceShare(one.source, one.license, one.url, count) for one, count in sources.items()]
        shares += [SourceShare(one.source, one.license, one.url, 0) for one in self._exploit_sources]
        ecosystems: Counter[str] = Counter()
        for ecosystem, names in groupby(self._staging.execute(_IDS_BY_ECOSYSTEM), key=lambda row: row[0]):
            ecosystems[ecosystem] = sum(1 for _ in names)
        return Description(
            schema.FORMAT,
            built_us,
            newest_us if data_us is None else data_us,
            inputs,
            records,
            withdrawn,
            self.read.unread,
            dict(ecosystems),
            tuple(sorted(shares, key=lambda share: (-share.records, share.source))),
        )

    def _rows(self) -> Iterator[tuple[str, str, bytes]]:
        """(ecosystem, package, packed row), in the order of the table."""
        for (ecosystem, package), found in groupby(self._staging.execute(_CURRENT), key=lambda row: (row[0], row[1])):
            yield ecosystem, package, packing.pack_row(content for _, _, content in found)

    def _details(self) -> Iterator[tuple[str, bytes]]:
        yield from self._staging.execute("SELECT id, content FROM record WHERE NOT withdrawn ORDER BY id")

    def _write_packages(self, target: apsw.Connection) -> None:
        dictionary = packing.train(_sampled(row for _, _, row in self._rows()))
        pack = packing.compressor(dictionary).compress
        target.executemany(
            "INSERT INTO package VALUES (?, ?, ?, ?)",
            ((ecosystem, name, packing.digest(row), pack(row)) for ecosystem, name, row in self._rows()),
        )
        target.execute("INSERT INTO meta VALUES ('package dictionary', ?)", (dictionary,))

    def _write_details(self, target: apsw.Connection) -> None:
        dictionary = packing.train(_sampled(content for _, content in self._details()))
        pack = packing.compressor(dictionary).compress
        target.executemany(
            "INSERT INTO detail VALUES (?, ?)", ((name, pack(content)) for name, content in self._details())
        )
        target.execute("INSERT INTO meta VALUES ('detail dictionary', ?)", (dictionary,))

    def _write_rest(self, target: apsw.Connection, description: Description) -> None:
        target.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?, ?)", self._staging.execute(_CURRENT_ALIASES))
        target.executemany(
            "INSERT INTO withdrawn VALUES (?)",
            self._staging.execute("SELECT id FROM record WHERE withdrawn ORDER BY id"),
        )
        target.executemany("INSERT INTO exploit VALUES (?, ?, ?)", self._staging.execute(_KNOWN_EXPLOITS))
        target.execute("INSERT INTO meta VALUES ('description', ?)", (orjson.dumps(description.document()),))


_CURRENT = """
SELECT a.ecosystem, a.package, a.content FROM advisory a JOIN record r ON r.id = a.id AND r.turn = a.turn
ORDER BY a.ecosystem, a.package, a.id, a.turn, a.part
"""
_CURRENT_ALIASES = """
SELECT a.cve, a.rank, a.id FROM alias a JOIN record r ON r.id = a.id AND r.turn = a.turn ORDER BY a.cve, a.rank, a.id
"""
_KNOWN_EXPLOITS = """
SELECT cve, epss, exploited FROM exploit WHERE EXISTS (SELECT 1 FROM alias WHERE alias.cve = exploit.cve) ORDER BY cve
"""
_IDS_BY_ECOSYSTEM = """
SELECT DISTINCT a.ecosystem, a.id FROM advisory a CROSS JOIN record r WHERE r.id = a.id AND r.turn = a.turn
ORDER BY a.ecosystem
"""


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What SQLite says of the disk, as the system says it."""
    try:
        yield
    except apsw.FullError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent)) from None
    except (apsw.IOError, apsw.CantOpenError):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path)) from None


def restamp(source: Path, target: Path, description: Description, *, built_us: int, data_us: int) -> Built:
    """The same build under a new time: what it was built from was looked at, and is still what there is."""
    with source.open("rb") as old, target.open("wb") as new:
        while piece := old.read(1024 * 1024):
            new.write(piece)
    again = replace(description, built_us=built_us, data_us=data_us)
    with _disk(target):
        connection = _open(target)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'description'", (orjson.dumps(again.document()),))
        connection.close()
    return finished(target, again)


def finished(path: Path, description: Description) -> Built:
    """A file that is written: on the disk, and with its checksum."""
    digest = sha256()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return Built(path, path.stat().st_size, digest.hexdigest(), description)


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


def _sampled(rows: Iterable[bytes]) -> list[bytes]:
    """Some of many, spread over all of them: every n-th, n doubling as they turn out to be more."""
    kept: list[bytes] = []
    step = 1
    for number, row in enumerate(rows):
        if number % step:
            continue
        kept.append(row[:_SAMPLE_BYTES])
        if len(kept) == 2 * _SAMPLES:
            kept = kept[::2]
            step *= 2
    return kept


def _fresh(path: Path, tables: str, *, page_bytes: int = 4096) -> apsw.Connection:
    connection = _open(path, create=True)
    connection.execute(f"PRAGMA page_size = {page_bytes}; {tables}")
    return connection


def _open(path: Path, *, create: bool = False) -> apsw.Connection:
    """For writing a file that nobody else has: what a crash leaves of it is thrown away."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags=flags)
    connection.execute(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SMALL_CACHE}")
    return connection
