"""A folder, a root file system or a project, as the one layer of an image.

Only files that a cataloger wants are sent to the engine, as a tar; links are not followed, other file systems not
entered. What cannot be read is told: it may hold anything.
"""

import os
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openecr.scan.catalogers import CATALOGERS
from openecr.scan.dispatch import Dispatch
from openecr.scan.indexing import Indexer
from openecr.scan.inventories import unpack
from openecr.scan.limits import LIMITS, LimitExceeded, Limits
from openecr.scan.squash import squash
from openecr.scan_targets.target import Target

_PIECE_BYTES = 1 << 20
_TOLD = 5
_PSEUDO = frozenset(("proc", "sys", "dev", "run"))
"""File systems at the top of a running system that hold no packages."""


async def read_folder(path: Path, indexer: Indexer, *, development: bool, limits: Limits = LIMITS) -> Target:
    """Read a folder.

    Args:
        development: packages that are needed only to build or test are told too.
    Raises:
        IndexingFailed, LimitExceeded
    """
    walk = _Walk(path, limits)
    layer = unpack(await indexer.index(walk.archive()))
    found = squash([layer], development=development)
    return Target(str(path), found, gaps=tuple(walk.gaps()))


@dataclass(slots=True)
class _Walk:
    """A folder on its way into a tar."""

    root: Path
    limits: Limits
    unread: list[str] = field(default_factory=list)
    """``path: why`` of what could not be read."""
    not_entered: list[str] = field(default_factory=list)
    _dispatch: Dispatch = field(default_factory=lambda: Dispatch(CATALOGERS))
    _entries: int = 0

    def gaps(self) -> Iterator[str]:
        """Sentences on what was not read."""
        for what, places in (
            ("files and folders could not be read", self.unread),
            ("other file systems were not entered; scan each", self.not_entered),
        ):
            if places:
                more = f" and {len(places) - _TOLD} more" if len(places) > _TOLD else ""
                yield f"{len(places)} {what}: {'; '.join(places[:_TOLD])}{more}."

    async def archive(self) -> AsyncIterator[bytes]:
        """The tar."""
        for piece in self._pieces():
            yield piece
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _pieces(self) -> Iterator[bytes]:
        device = self.root.stat().st_dev
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
            except OSError as error:
                self.unread.append(f"{_shown(folder) or '.'}: {error.strerror}")
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                yield from self._entry(entry, path, device, pending)

    def _entry(self, entry: "os.DirEntry[str]", path: str, device: int, pending: list[str]) -> Iterator[bytes]:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise LimitExceeded(f"the folder has more than {self.limits.entries} entries")
        try:
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                if about.st_dev == device:
                    pending.append(path)
                elif path not in _PSEUDO:
                    self.not_entered.append(_shown(path))
            elif stat.S_ISREG(about.st_mode):
                yield from self._file(path, about)
            elif stat.S_ISLNK(about.st_mode) and self._dispatch.by_path(path) and not self._is_inside(path):
                self.unread.append(f"{_shown(path)}: a link that leads out of the folder")
        except OSError as error:
            self.unread.append(f"{_shown(path)}: {error.strerror}")

    def _file(self, path: str, about: os.stat_result) -> Iterator[bytes]:
        size_bytes = about.st_size
        if not size_bytes:
            return
        descriptor = os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            head = file.read(self._dispatch.magic_bytes)
            if not self._dispatch.by_path(path) and not self._dispatch.by_magic(head):
                return
            if size_bytes > self.limits.file_bytes:
                self.unread.append(f"{_shown(path)}: larger than {self.limits.file_bytes} bytes")
                return
            file.seek(0)
            header = tarfile.TarInfo(path)
            header.size, header.mode = size_bytes, 0o755 if about.st_mode & 0o111 else 0o644
            yield header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
            left = size_bytes
            while left and (piece := file.read(min(_PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
            if left:
                self.unread.append(f"{_shown(path)}: it became shorter while it was read")
            # The header said how long it is.
            yield from _zeros(left + -size_bytes % tarfile.BLOCKSIZE)

    def _is_inside(self, path: str) -> bool:
        """Whether what a link means lies in the folder, where it is read for itself; an absolute one means the root
        of the file system that the folder is."""
        target = os.readlink(self.root / path)
        if os.path.isabs(target):
            return (self.root / target.lstrip("/")).exists()
        reached = os.path.normpath(os.path.join(os.path.dirname(path), target))
        return reached != ".." and not reached.startswith("../")


def _zeros(size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0:
        yield bytes(min(size_bytes, _PIECE_BYTES))
        size_bytes -= _PIECE_BYTES


def _shown(path: str) -> str:
    """A name that may be any bytes, as it can be printed."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
