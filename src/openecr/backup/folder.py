"""The folder of backups: names, checksums, durability."""

import base64
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from openecr.blobs.filesystem import FilesystemStore, sync_folder

FORMAT = 1
_WHEN = re.compile(r"[0-9]{4}([0-9]{2}){0,2}|[0-9]{8}T([0-9]{2}){0,3}(\.[0-9]+)?Z?")
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z")
_INSTANT = "%Y%m%dT%H%M%S.%fZ"


class BackupRefused(Exception):
    """A backup cannot be made or used; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a snapshot: how many lines, and what its bytes are."""

    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is complete with."""

    schema: int
    """The number of migrations of the database that was read."""
    taken_us: int
    files: dict[str, File]
    columns: dict[str, list[str]]
    """Table → the names of the columns, in the order of its lines."""
    objects: int
    size_bytes: int
    version: str
    damaged: list[str] = field(default_factory=list)
    """Layers that the deployment itself did not have sound."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A line of ``objects.jsonl``: a layer as it lies in ``objects/``."""

    blob_key: int
    object_id: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of backups."""

    path: Path

    @property
    def snapshots(self) -> Path:
        """Where the snapshots are."""
        return self.path / "snapshots"

    def objects(self) -> FilesystemStore:
        """The layers."""
        return FilesystemStore(self.path / "objects")

    def names(self) -> list[str]:
        """Complete snapshots, the oldest first."""
        if not self.snapshots.is_dir():
            return []
        found = (item for item in self.snapshots.iterdir() if _NAME.fullmatch(item.name))
        return sorted(item.name for item in found if (item / "manifest.json").is_file())

    def cut(self) -> list[Path]:
        """Snapshots that were not completed."""
        if not self.snapshots.is_dir():
            return []
        found = (item for item in self.snapshots.iterdir() if _NAME.fullmatch(item.name) and not item.is_symlink())
        return [item for item in found if item.is_dir() and not (item / "manifest.json").is_file()]

    def choose(self, at: str | None) -> str:
        """The newest snapshot, or the newest at or before an instant.

        Args:
            at: a snapshot's name, or its beginning: ``20260728`` is the last of that day.
        Raises:
            BackupRefused: there is none, or what was given is no instant.
        """
        wanted = "" if at is None else re.sub(r"[-:]", "", at.strip()).replace(" ", "T")
        if at is not None and _WHEN.fullmatch(wanted) is None:
            raise BackupRefused(f"'{at}' is no instant; write it like 20260728 or 2026-07-28T12:00, in UTC")
        names = self.names()
        if not names:
            was_cut = " (the backup that is there was cut)" if self.cut() else ""
            raise BackupRefused(f"there is no complete backup in {self.path}{was_cut}; make one with: openecr backup")
        if at is None:
            return names[-1]
        fitting = [name for name in names if name <= wanted or name.startswith(wanted.rstrip("Z"))]
        if not fitting:
            raise BackupRefused(f"no backup in {self.path} is as old as {at}; the oldest is {names[0]}")
        return fitting[-1]

    def manifest(self, name: str) -> Manifest:
        """What a snapshot is complete with.

        Raises:
            BackupRefused: it is damaged, or a newer openecr made it.
        """
        content = (self.snapshots / name / "manifest.json").read_bytes()
        try:
            said = orjson.loads(content)
            body, told = said["snapshot"], said["sha256"]
            if hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest() != told:
                raise ValueError
            if body["format"] != FORMAT:
                raise BackupRefused(f"the backup {name} was made by a newer openecr; restore it with that release")
            files = {item: File(**about) for item, about in body.pop("files").items()}
            return Manifest(files=files, **body)
        except (ValueError, KeyError, TypeError):
            raise BackupRefused(f"the manifest of the backup {name} is damaged; use another with --at") from None

    def write_manifest(self, name: str, manifest: Manifest) -> None:
        """Complete a snapshot: everything else is durable by now."""
        body = asdict(manifest)
        told = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
        path = self.snapshots / name / "manifest.json"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(orjson.dumps({"snapshot": body, "sha256": told}, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
        part.rename(path)
        sync_folder(path.parent)
        sync_folder(self.snapshots)

    def stored_objects(self, name: str) -> Iterator[StoredObject]:
        """The layers of a snapshot, by their blobs' keys."""
        with (self.snapshots / name / "objects.jsonl").open("rb") as file:
            for line in file:
                yield StoredObject(*orjson.loads(line))


def name_at(instant_us: int) -> str:
    """The name of the snapshot of an instant."""
    seconds, micros = divmod(instant_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros).strftime(_INSTANT)


@contextmanager
def locked(folder: Path) -> Iterator[Folder]:
    """The folder, changed by nobody else meanwhile.

    Raises:
        BackupRefused: somebody else does, or it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupRefused(f"cannot write to {folder} ({error.strerror}); choose another folder") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"another backup is being made in {folder}; wait for its end") from None
        yield Folder(folder)
    finally:
        os.close(descriptor)


class LineWriter:
    """A file of a snapshot while it is written: one JSON array a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self._rows = self._size_bytes = 0

    def write(self, row: Sequence[Any]) -> None:
        """Add a line; bytes are base64 text."""
        line = orjson.dumps(list(row), default=_text) + b"\n"
        self._file.write(line)
        self._hash.update(line)
        self._rows += 1
        self._size_bytes += len(line)

    def close(self) -> File:
        """Make it durable; what it is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return File(self._rows, self._size_bytes, self._hash.hexdigest())


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError


def check_file(path: Path, about: File) -> bool:
    """Whether a file of a snapshot is what its manifest says."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1024 * 1024):
                digest.update(piece)
            return file.tell() == about.size_bytes and digest.hexdigest() == about.sha256
    except OSError:
        return False
