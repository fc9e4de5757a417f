"""Records, one after another → the index file. Neither all records nor all rows are ever in memory.

Records arrive by archive and are wanted by package, and one record may arrive several times: GitHub's stand in the
export of every ecosystem that they name. So they are staged first; a row is then the run of what belongs to a package,
without what a newer copy of a record replaced.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import apsw
import orjson

from openecr.scan.vulndb import osv, packing, schema
from openecr.scan.vulndb.archives import RawRecord
from openecr.scan.vulndb.description import Description, SourceShare
from openecr.scan.vulndb.osv import RecordRefused
from openecr.scan.vulndb.sources import EPSS, EXPLOITED, Terms, terms
from openecr.scan.vulndb.staging import Staging, disk, open_for_building

_SAMPLES = 4_000
_SAMPLE_BYTES = 4096
_TOLD_UNREAD = 20


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
        self.read = Read()
        self._is_finished = False
        target.unlink(missing_ok=True)
        self._staging = Staging(target.with_name(target.name + ".staging"))
        self._exploit_sources: list[Terms] = []

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
        with disk(self._target):
            self._staging.add(record)

    def know_exploits(self, epss: Iterable[tuple[str, float]] | None, exploited: frozenset[str] | None) -> None:
        """Scores of EPSS and the CVEs known to be exploited; None where there is no such list."""
        with disk(self._target):
            self._staging.know_exploits(epss or (), exploited or ())
        self._exploit_sources += [EPSS] if epss is not None else []
        self._exploit_sources += [EXPLOITED] if exploited is not None else []

    def finish(self, *, built_us: int, data_us: int | None = None, inputs: str = "") -> Built:
        """Write the file.

        Args:
            data_us: as of when the data is; None where only the records can tell.
        Raises:
            BuildRefused: there is nothing in it.
            OSError: the disk is full.
        """
        with disk(self._target):
            return self._finish(built_us, data_us, inputs)

    def _finish(self, built_us: int, data_us: int | None, inputs: str) -> Built:
        self._staging.settle()
        samples, ecosystems = self._survey()
        if not ecosystems:
            raise BuildRefused("there is no record in it that speaks of a package")
        description = self._describe(built_us, data_us, inputs, ecosystems)
        target = open_for_building(self._target, schema.TABLES, page_bytes=schema.PAGE_BYTES)
        try:
            target.execute(
                f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = {schema.FORMAT}; BEGIN"
            )
            self._write_packages(target, packing.train(samples))
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
        if not self._is_finished:
            self._target.unlink(missing_ok=True)

    def _rows(self) -> Iterator[tuple[str, str, bytes, set[int]]]:
        """(ecosystem, package, packed row, turns of its records), in the order of the table."""
        for (ecosystem, package), found in groupby(self._staging.advisories(), key=lambda row: (row[0], row[1])):
            rows = list(found)
            yield ecosystem, package, packing.pack_row(row[5] for row in rows), {row[4] for row in rows}

    def _survey(self) -> tuple[list[bytes], dict[str, int]]:
        """Samples of the rows, and how many records there are of each ecosystem."""
        counts: dict[str, int] = {}

        def contents() -> Iterator[bytes]:
            for ecosystem, found in groupby(self._rows(), key=lambda row: row[0]):
                turns: set[int] = set()
                for _, _, content, seen in found:
                    turns |= seen
                    yield content
                counts[ecosystem] = len(turns)

        return _sampled(contents()), counts

    def _describe(self, built_us: int, data_us: int | None, inputs: str, ecosystems: dict[str, int]) -> Description:
        sources: Counter[Terms] = Counter()
        newest_us = withdrawn = records = 0
        for name, modified_us, is_withdrawn in self._staging.records():
            if modified_us <= built_us:
                newest_us = max(newest_us, modified_us)
            if is_withdrawn:
                withdrawn += 1
            else:
                records += 1
                sources[terms(name)] += 1
        shares = [SourceShare(one.source, one.license, one.url, count) for one, count in sources.items()]
        shares += [SourceShare(one.source, one.license, one.url, 0) for one in self._exploit_sources]
        return Description(
            schema.FORMAT,
            built_us,
            newest_us if data_us is None else data_us,
            inputs,
            records,
            withdrawn,
            self.read.unread,
            ecosystems,
            tuple(sorted(shares, key=lambda share: (-share.records, share.source))),
        )

    def _write_packages(self, target: apsw.Connection, dictionary: bytes) -> None:
        pack = packing.compressor(dictionary).compress
        target.executemany(
            "INSERT INTO package VALUES (?, ?, ?, ?)",
            ((ecosystem, name, packing.digest(row), pack(row)) for ecosystem, name, row, _ in self._rows()),
        )
        target.execute("INSERT INTO meta VALUES ('package dictionary', ?)", (dictionary,))

    def _write_details(self, target: apsw.Connection) -> None:
        dictionary = packing.train(_sampled(content for _, content in self._staging.details()))
        pack = packing.compressor(dictionary).compress
        target.executemany(
            "INSERT INTO detail VALUES (?, ?)", ((name, pack(content)) for name, content in self._staging.details())
        )
        target.execute("INSERT INTO meta VALUES ('detail dictionary', ?)", (dictionary,))

    def _write_rest(self, target: apsw.Connection, description: Description) -> None:
        target.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?, ?)", self._staging.aliases())
        target.executemany("INSERT INTO withdrawn VALUES (?)", self._staging.withdrawn())
        target.executemany("INSERT INTO exploit VALUES (?, ?, ?)", self._staging.exploits())
        target.execute("INSERT INTO meta VALUES ('description', ?)", (orjson.dumps(description.document()),))


def restamp(source: Path, target: Path, description: Description, *, built_us: int, data_us: int) -> Built:
    """The same build under a new time: what it was built from was looked at, and is still what there is."""
    with source.open("rb") as old, target.open("wb") as new:
        while piece := old.read(1024 * 1024):
            new.write(piece)
    again = replace(description, built_us=built_us, data_us=data_us)
    with disk(target):
        connection = open_for_building(target)
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
