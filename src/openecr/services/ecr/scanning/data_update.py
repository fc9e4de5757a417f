"""New vulnerability data: fetched or given, built into an index, and put into use; what was in use stays until then.

    feeds → downloads → records → index file → object of the blob store → row

Only one update at a time works in a data directory. What ends before the last step leaves downloads that the next one
goes on with, and otherwise nothing.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import orjson

from openecr.data_dir import vulnerability_data_path
from openecr.db import vulnerability_data as rows
from openecr.db.vulnerability_data import Published
from openecr.deployment import Deployment
from openecr.remote.downloads import Absent, DownloadFailed, Downloads
from openecr.scan.vulndb import archives, exploits, schema
from openecr.scan.vulndb.archives import SourceRefused
from openecr.scan.vulndb.building import Builder, BuildRefused, Built, Read, restamp
from openecr.scan.vulndb.description import Description
from openecr.scan.vulndb.ecosystems import FOUND, TEXTS
from openecr.scan.vulndb.exploits import ExploitsRefused
from openecr.services.ecr.scanning.vulnerability_data import publish
from openecr.settings import Settings

_EPSS, _KEV = "epss.csv", "kev.json"
_BUILD = "build-"
_UNREAD_SHARE = 100
"""One file of so many may be unreadable; more, and it is not the data that it should be."""
_UNREAD_ALWAYS = 10


class UpdateRefused(Exception):
    """The data is not changed; one sentence says why."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """What an index is built from."""

    places: tuple[Path, ...]
    epss: Path | None = None
    exploited: Path | None = None
    inputs: str = ""
    """A digest of all of it; empty where it is not known."""
    data_us: int | None = None
    """As of when it is; None where only the records can tell."""
    fetched: tuple[str, ...] = ()
    """What had changed at its source."""
    unchanged: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    """What the source does not have."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told what happens."""

    download: Callable[[str, int, int | None], None] = lambda _name, _done, _total: None
    """(what, bytes that are there, bytes of all of it)."""
    read: Callable[[int, int], None] = lambda _step, _total: None
    """(bytes more that were read, bytes of all records)."""
    write: Callable[[], None] = lambda: None
    """All records are read; the file is written."""


@dataclass(slots=True)
class Outcome:
    """A build, and what was not read of what it should be of."""

    built: Built
    read: Read = field(default_factory=Read)
    again: bool = False
    """It is the build in use under a new time."""


@contextmanager
def working_folder(data_dir: Path) -> Iterator[Path]:
    """The folder of the vulnerability data, held against other updates.

    Raises:
        UpdateRefused: another one is at work there.
    """
    folder = vulnerability_data_path(data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "update.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpdateRefused(
                f"another update of the vulnerability data is at work in {folder}; wait for it"
            ) from None
        for left in folder.glob(f"{_BUILD}*"):
            shutil.rmtree(left)
        yield folder
    finally:
        os.close(descriptor)


def chosen_ecosystems(settings: Settings) -> tuple[str, ...]:
    """Which exports are fetched.

    Raises:
        UpdateRefused: there is no such ecosystem.
    """
    if not settings.vulndb_ecosystems:
        return FOUND
    unknown = sorted(set(settings.vulndb_ecosystems) - {*FOUND, *TEXTS})
    if unknown:
        raise UpdateRefused(
            f"vulndb_ecosystems has '{unknown[0]}', of which no package would be found; there are {', '.join(FOUND)}, "
            f"and {', '.join(TEXTS)} for NVD's texts"
        )
    return tuple(dict.fromkeys(settings.vulndb_ecosystems))


def fetch(settings: Settings, folder: Path, environment: Mapping[str, str], now_us: int, watcher: Watcher) -> Feeds:
    """What the source has now; only what changed is fetched.

    Raises:
        UpdateRefused: something cannot be fetched, or is gone that was there before.
    """
    kept = folder / "downloads"
    kept.mkdir(mode=0o700, exist_ok=True)
    downloads = Downloads(kept, environment)
    try:
        return _Fetching(settings, downloads, watcher).run(now_us)
    except DownloadFailed as failed:
        raise UpdateRefused(f"{failed}; the data in use stays") from None
    finally:
        downloads.close()


class _Fetching:
    def __init__(self, settings: Settings, downloads: Downloads, watcher: Watcher) -> None:
        self._settings = settings
        self._downloads = downloads
        self._watcher = watcher
        self._digests: dict[str, str] = {}
        self._fetched: list[str] = []
        self._unchanged: list[str] = []

    def run(self, now_us: int) -> Feeds:
        """Everything, one after another."""
        settings = self._settings
        places, absent = [], []
        for ecosystem in chosen_ecosystems(settings):
            url = f"{settings.vulndb_url.rstrip('/')}/{quote(ecosystem)}/all.zip"
            try:
                places.append(self._one(f"{ecosystem}.zip", ecosystem, url))
            except Absent:
                if settings.vulndb_ecosystems or self._downloads.has(f"{ecosystem}.zip"):
                    raise
                absent.append(ecosystem)
        if not places:
            raise UpdateRefused(f"there is no vulnerability data at {settings.vulndb_url}; see the setting vulndb_url")
        epss = settings.vulndb_epss_url and self._one(_EPSS, "EPSS", settings.vulndb_epss_url)
        exploited = settings.vulndb_kev_url and self._one(_KEV, "KEV", settings.vulndb_kev_url)
        self._downloads.forget(frozenset(self._digests))
        inputs = hashlib.sha256(repr((schema.FORMAT, sorted(self._digests.items()))).encode()).hexdigest()
        return Feeds(
            tuple(places),
            epss or None,
            exploited or None,
            inputs,
            now_us,
            tuple(self._fetched),
            tuple(self._unchanged),
            tuple(absent),
        )

    def _one(self, name: str, shown: str, url: str) -> Path:
        found = self._downloads.fetch(name, url, lambda done, total: self._watcher.download(shown, done, total))
        self._digests[name] = found.kept.sha256
        (self._fetched if found.changed else self._unchanged).append(shown)
        return found.path


@contextmanager
def built(feeds: Feeds, folder: Path, in_use: Published | None, now_us: int, watcher: Watcher) -> Iterator[Outcome]:
    """An index of these feeds; gone when the context ends, unless it was moved.

    Args:
        in_use: where it is of the very same feeds, and a copy is here, it is only given the new time.
    Raises:
        UpdateRefused: they are not what they should be.
    """
    workplace = Path(tempfile.mkdtemp(prefix=_BUILD, dir=folder))
    try:
        target = workplace / "new.index"
        again = _again(feeds, folder, in_use, target, now_us)
        yield again or _new(feeds, workplace, target, now_us, watcher)
    finally:
        shutil.rmtree(workplace)


def _again(feeds: Feeds, folder: Path, in_use: Published | None, target: Path, now_us: int) -> Outcome | None:
    known = description_of(in_use)
    if in_use is None or known is None or not feeds.inputs or known.inputs != feeds.inputs or feeds.data_us is None:
        return None
    copy = folder / f"{in_use.generation}.index"
    try:
        with copy.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != in_use.sha256:
                return None
    except FileNotFoundError:
        return None
    return Outcome(restamp(copy, target, known, built_us=now_us, data_us=feeds.data_us), again=True)


def _new(feeds: Feeds, workplace: Path, target: Path, now_us: int, watcher: Watcher) -> Outcome:
    builder = Builder(target)
    try:
        total_bytes = sum(map(archives.size_bytes, feeds.places))
        for place in feeds.places:
            records = archives.records_of(
                place, scratch=workplace, advance=lambda size_bytes: watcher.read(size_bytes, total_bytes)
            )
            for raw in records:
                builder.add(raw)
        _require_readable(builder.read)
        builder.know_exploits(
            exploits.epss(feeds.epss) if feeds.epss else None,
            exploits.exploited(feeds.exploited) if feeds.exploited else None,
        )
        watcher.write()
        return Outcome(builder.finish(built_us=now_us, data_us=feeds.data_us, inputs=feeds.inputs), builder.read)
    except (SourceRefused, BuildRefused, ExploitsRefused) as refused:
        raise UpdateRefused(f"{refused}; the data in use stays") from None
    finally:
        builder.close()


def _require_readable(read: Read) -> None:
    if read.unread > max(_UNREAD_ALWAYS, (read.records + read.unread) // _UNREAD_SHARE):
        raise UpdateRefused(
            f"{read.unread} of {read.records + read.unread} files are no records that can be read, the first of them "
            f"{read.reasons[0]}; the data in use stays"
        )


async def settle(deployment: Deployment, folder: Path, outcome: Outcome) -> int:
    """Put a build into use; its generation.

    Raises:
        StorageFull, StoreFailed, DataDamaged
    """
    made = outcome.built
    document = orjson.dumps(made.description.document()).decode()
    generation = await publish(deployment, made.path, built_us=made.description.data_us, sources=document)
    # Where the processes of this machine look for a copy.
    os.replace(made.path, folder / f"{generation}.index")
    return generation


async def in_use(deployment: Deployment) -> Published | None:
    """The build that the deployment matches with."""
    return await deployment.database.read(rows.current)


def description_of(published: Published | None) -> Description | None:
    """What is told of a published build; None where it was published by an openecr that told otherwise."""
    try:
        return None if published is None else Description.of(orjson.loads(published.sources))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def lost(before: Description | None, after: Description) -> Sequence[str]:
    """The ecosystems that there was data of, and is none any more: images with their packages cannot be judged."""
    return sorted(set(before.ecosystems) - set(after.ecosystems)) if before is not None else []
