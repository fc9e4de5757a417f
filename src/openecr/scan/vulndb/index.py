"""The index file, read: one immutable build, looked up by package, by record and by CVE."""

import errno
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import orjson
import zstandard

from openecr.scan.advisories import Advisory, Details
from openecr.scan.record_ids import is_cve
from openecr.scan.vulndb import packing, schema
from openecr.scan.vulndb.description import Description

_KEPT_ADVISORIES = 50_000
"""About 50 MB; a kernel alone has thousands."""
_STEP = 4096
_RECORDS_OF_A_CVE = 4
"""What one lacks another may have; more are not asked."""
_PRAGMAS = (
    "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 4294967296"
)


class IndexUnusable(Exception):
    """The file is no index that this openecr can read, or not the one that was published; one sentence."""


class Index:
    """One build of the vulnerability database; ``openecr.scan.advisories.AdvisoryIndex``. For any number of threads."""

    def __init__(self, connection: apsw.Connection, description: Description) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._rows: OrderedDict[tuple[str, str], tuple[Advisory, ...]] = OrderedDict()
        self._kept_advisories = 0
        self._package_content = packing.decompressor(_meta(connection, "package dictionary"))
        self._detail_content = packing.decompressor(_meta(connection, "detail dictionary"))
        self.description = description
        """How old it is, how much of what it holds, from whom."""
        self._ecosystems = frozenset(description.ecosystems)

    def close(self) -> None:
        """Let go of the file; nothing can be looked up after."""
        with self._lock:
            self._connection.close(True)
            self._rows.clear()
            self._kept_advisories = 0

    @property
    def built_us(self) -> int:
        """When it was built."""
        return self.description.built_us

    @property
    def data_us(self) -> int:
        """As of when its data is."""
        return self.description.data_us

    @property
    def ecosystems(self) -> frozenset[str]:
        """Every ecosystem that it has records of, with releases."""
        return self._ecosystems

    def advisories(self, ecosystem: str, package: str) -> tuple[Advisory, ...]:
        """Every record on a package by its normalised name.

        Raises:
            IndexUnusable: the file is damaged.
        """
        key = (ecosystem, package)
        with self._lock:
            found = self._rows.get(key)
            if found is not None:
                self._rows.move_to_end(key)
                return found
            content = self._one("SELECT advisories FROM package WHERE ecosystem = ? AND name = ?", key)
            found = () if content is None else self._unpacked_row(key, content)
            self._rows[key] = found
            self._kept_advisories += 1 + len(found)
            while self._kept_advisories > _KEPT_ADVISORIES and len(self._rows) > 1:
                self._kept_advisories -= 1 + len(self._rows.popitem(last=False)[1])
            return found

    def details(self, ids: tuple[str, ...]) -> dict[str, Details]:
        """What is told of these records, and of CVEs: by NVD's own record, else by what others tell of the same
        vulnerability. Those of which nothing is known are left out.

        Raises:
            IndexUnusable: the file is damaged.
        """
        found: dict[str, Details] = {}
        with self._lock:
            for name in dict.fromkeys(ids):
                told = self._of_cve(name) if is_cve(name) else self._of_record(name)
                if told is not None:
                    found[name] = told
        return found

    def withdrawn(self, ids: tuple[str, ...]) -> frozenset[str]:
        """Those of these records that their source took back: why a finding is gone."""
        with self._lock:
            asked = "SELECT 1 FROM withdrawn WHERE id = ?"
            return frozenset(name for name in ids if self._one(asked, (name,)) is not None)

    def rows(self) -> Iterator[tuple[str, str, bytes]]:
        """(ecosystem, package, digest of its advisories) of every package, in order.

        Raises:
            IndexUnusable: the file is damaged.
        """
        after: tuple[str, str] = ("", "")
        while True:
            with self._lock:
                found = self._all(_ROWS_AFTER, (*after, _STEP))
            yield from found
            if len(found) < _STEP:
                return
            after = found[-1][:2]

    def _of_record(self, name: str) -> Details | None:
        content = self._one("SELECT content FROM detail WHERE id = ?", (name,))
        if content is None:
            return None
        details, cves = self._unpacked_details(name, content)
        return self._with_exploits(details, cves)

    def _of_cve(self, cve: str) -> Details | None:
        told: Details | None = None
        for name, rank in self._all(_TELLS_OF, (cve, _RECORDS_OF_A_CVE)):
            if told is not None and rank >= schema.ONE_OF_MANY:
                break
            content = self._one("SELECT content FROM detail WHERE id = ?", (name,))
            if content is not None:
                details, _ = self._unpacked_details(name, content)
                told = details if told is None else _completed(told, details)
        return None if told is None else self._with_exploits(told, (cve,))

    def _with_exploits(self, details: Details, cves: tuple[str, ...]) -> Details:
        found = [row for cve in cves for row in self._all("SELECT epss, exploited FROM exploit WHERE cve = ?", (cve,))]
        if not found:
            return details
        scores = [float(score) for score, _ in found if score is not None]
        return replace(details, epss=max(scores, default=None), exploited=any(listed for _, listed in found))

    def _unpacked_row(self, key: tuple[str, str], content: bytes) -> tuple[Advisory, ...]:
        try:
            plain = self._package_content.decompress(content, max_output_size=packing.ROW_BYTES)
            return packing.unpack_row(*key, plain)
        except (zstandard.ZstdError, orjson.JSONDecodeError, ValueError, TypeError, LookupError):
            raise IndexUnusable(_DAMAGED) from None

    def _unpacked_details(self, name: str, content: bytes) -> tuple[Details, tuple[str, ...]]:
        try:
            plain = self._detail_content.decompress(content, max_output_size=packing.ROW_BYTES)
            return packing.unpack_details(name, plain)
        except (zstandard.ZstdError, orjson.JSONDecodeError, ValueError, TypeError, LookupError):
            raise IndexUnusable(_DAMAGED) from None

    def _one(self, sql: str, key: tuple[str, ...]) -> Any:
        """The only column of the only row; None where there is none."""
        found = self._all(sql, key)
        return found[0][0] if found else None

    def _all(self, sql: str, key: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(sql, key).fetchall()
        except (apsw.CorruptError, apsw.NotADBError, apsw.IOError):
            raise IndexUnusable(_DAMAGED) from None


_DAMAGED = "the vulnerability database is damaged; make it anew with: openecr vulndb update"
_ROWS_AFTER = """
SELECT ecosystem, name, digest FROM package WHERE (ecosystem, name) > (?, ?) ORDER BY ecosystem, name LIMIT ?
"""
_TELLS_OF = "SELECT id, rank FROM alias WHERE cve = ? ORDER BY rank, id LIMIT ?"


def _completed(told: Details, other: Details) -> Details:
    """What one record lacks, from another of the same vulnerability."""
    if not (told.summary or told.details):
        told = replace(told, summary=other.summary, details=other.details)
    if not told.ratings:
        told = replace(told, ratings=other.ratings)
    return replace(told, published_us=other.published_us) if told.published_us is None else told


def open_index(path: Path, *, sha256_hex: str | None = None) -> Index:
    """Open a build.

    Args:
        sha256_hex: what the file was published with; None where that was seen to, or it was not published.
    Raises:
        IndexUnusable
        FileNotFoundError
    """
    if sha256_hex is not None and _digest(path) != sha256_hex:
        raise IndexUnusable(f"{path} is damaged: it is not what was published")
    connection = _connect(path)
    try:
        _require_format(path, connection)
        return Index(connection, Description.of(orjson.loads(_meta(connection, "description"))))
    except (apsw.Error, orjson.JSONDecodeError, LookupError, TypeError, ValueError, zstandard.ZstdError):
        connection.close()
        raise IndexUnusable(f"{path} is damaged; make it anew with: openecr vulndb update") from None
    except IndexUnusable:
        connection.close()
        raise


def _connect(path: Path) -> apsw.Connection:
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no vulnerability database", str(path))
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    try:
        connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.execute(_PRAGMAS).fetchall()
    except apsw.Error:
        raise IndexUnusable(f"{path} is no vulnerability database; make it anew with: openecr vulndb update") from None
    return connection


def _require_format(path: Path, connection: apsw.Connection) -> None:
    try:
        application = connection.pragma("application_id")
        found = connection.pragma("user_version")
    except apsw.Error:
        application, found = None, None
    if application != schema.APPLICATION_ID:
        raise IndexUnusable(f"{path} is no vulnerability database; make it anew with: openecr vulndb update")
    if found != schema.FORMAT:
        raise IndexUnusable(
            f"{path} is a vulnerability database of another openecr (format {found}, this one reads {schema.FORMAT}); "
            "make it anew with: openecr vulndb update"
        )


def _meta(connection: apsw.Connection, name: str) -> bytes:
    found: list[Any] = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchall()
    return bytes(found[0][0])


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest()
