"""Bring segments from where they were written to where every server reads them: compressed, encrypted as layers are,
in the blob store, named by a row.

Each machine seals its own files: nobody else has them. Records of changes are in the database, and sealed by a job of
the deployment. A file is removed only once its row is committed, and a file whose row is there is only removed, so that
whatever dies in between nothing is lost and nothing is sealed twice.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from openecr.blobs.store import BlobStore
from openecr.db import audit, uploads
from openecr.db.audit import Recorder, Segment
from openecr.db.connection import Connection, Database
from openecr.encryption import (
    AES256,
    NO_KEY,
    DataKey,
    LocalKeys,
    encrypts,
    open_store,
    wrap_under_service_key,
)
from openecr.events.audit_log import SUFFIX, folder_of, instant_of, lines_of
from openecr.keyring import Keyring
from openecr.settings import Settings

_WRITES_AT_ONCE = 2000
_MOST_BATCHES = 100
_PRUNED_AT_ONCE = 200
_WRITING_US = 3600 * 1_000_000
"""How long an object may be under way before it counts as left behind."""
_DAY_US = 86_400 * 1_000_000
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Archive:
    """Where sealed segments are kept, and with what."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keyring: Keyring
    new_object_id: Callable[[str], str]

    async def put(self, name: str, lines: list[bytes], also: Callable[[Connection], object] = lambda _db: None) -> bool:
        """Seal lines under a name; False where that name was sealed meanwhile.

        Args:
            also: runs in the transaction that makes them readable.
        Raises:
            StorageFull, StoreFailed: nothing was sealed; the object goes by itself.
        """
        instants = [instant for line in lines if (instant := instant_of(line)) is not None]
        if not instants:
            await self.database.write(also)
            return True
        object_id = self.new_object_id(self.settings.region)
        key = wrap_under_service_key(self.keyring) if self._encrypts(object_id) else NO_KEY
        content = await asyncio.to_thread(zlib.compress, b"\n".join(lines) + b"\n", _LEVEL)
        # Named before its first byte, so that it is never an orphan.
        await self.database.write(lambda db: uploads.discard_object(db, object_id, db.clock_us() + _WRITING_US))
        await self._write(object_id, key, content)

        def settle(db: Connection) -> bool:
            is_first = uploads.keep_object(db, object_id) and audit.insert_segment(
                db,
                name=name,
                object_id=object_id,
                data_key=key.wrapped,
                size_bytes=len(content),
                records=len(instants),
                first_us=min(instants),
                last_us=max(instants),
            )
            if is_first:
                also(db)
            else:
                uploads.discard_object(db, object_id, db.clock_us())
            return is_first

        return await self.database.write(settle)

    async def get(self, segment: Segment) -> list[bytes]:
        """The lines of a sealed segment.

        Raises:
            ObjectMissing, BlobDamaged, StoreFailed: it cannot be read.
        """
        store = await self._store(segment.data_key)
        pieces = bytearray()
        async with aclosing(store.read(segment.object_id, 0, segment.size_bytes)) as read:
            async for piece in read:
                pieces += piece
        return lines_of(await asyncio.to_thread(zlib.decompress, bytes(pieces)))

    def _encrypts(self, object_id: str) -> bool:
        return encrypts(self.settings, self.blobs, AES256, object_id)

    async def _store(self, data_key: bytes | None) -> BlobStore:
        return await open_store(self.blobs, self.keyring, LocalKeys(self.database, self.keyring), data_key)

    async def _write(self, object_id: str, key: DataKey, content: bytes) -> None:
        store = await self._store(key.wrapped)
        writer = await store.open_writer(object_id, 0)
        try:
            writer.write(content)
            await writer.drain()
        finally:
            await writer.close()
        await store.seal(object_id, len(content))


async def seal_files(archive: Archive) -> int:
    """Seal what processes of this machine have ended writing, and tell until when everything is sealed; how many."""
    folder = folder_of(archive.settings.data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    sealed = 0
    for path in segment_paths(folder):
        with _taken(path) as is_ended:
            if not is_ended:
                continue
            if not await archive.database.read(partial(audit.is_sealed, name=path.name)):
                lines = lines_of(await asyncio.to_thread(path.read_bytes))
                await archive.put(path.name, lines)
                sealed += 1
            path.unlink(missing_ok=True)
    now_us = archive.database.clock_us()
    left = [int(path.name.partition("-")[0]) for path in segment_paths(folder)]
    recorder = Recorder(server_id(folder), socket.gethostname(), min([now_us, *left]), now_us)
    await archive.database.write(partial(audit.note_recorder, recorder=recorder))
    return sealed


async def seal_writes(archive: Archive) -> int:
    """Seal the records of changes that the database holds; how many."""
    sealed = 0
    for _ in range(_MOST_BATCHES):
        rows = await archive.database.read(partial(audit.writes_after, after=0, most=_WRITES_AT_ONCE))
        if not rows:
            break
        keys = [key for key, _, _ in rows]
        lines = [record.rstrip(b"\n") for _, _, record in rows]
        # The name is the work's, so that of two that do it at once one wins.
        name = f"writes-{keys[0]}-{keys[-1]}"
        await archive.put(name, lines, partial(audit.forget_writes, keys=keys))
        sealed += len(keys)
        if len(rows) < _WRITES_AT_ONCE:
            break
    return sealed


async def prune(archive: Archive) -> int:
    """Remove segments all of whose records are older than the retention; how many."""
    before_us = archive.database.clock_us() - archive.settings.audit_days * _DAY_US

    def some(db: Connection) -> int:
        ended = audit.segments_ended(db, before_us, _PRUNED_AT_ONCE)
        for segment in ended:
            audit.delete_segment(db, segment.key)
            uploads.discard_object(db, segment.object_id, db.clock_us())
        audit.forget_recorders(db, before_us)
        return len(ended)

    pruned = 0
    while found := await archive.database.write(some):
        pruned += found
    return pruned


def segment_paths(folder: Path) -> list[Path]:
    """The segments of this machine that are not sealed yet, the oldest first."""
    return sorted(folder.glob(f"[0-9]*{SUFFIX}")) if folder.exists() else []


def server_id(folder: Path) -> str:
    """This machine's name among those that record: of its data directory, made once."""
    path = folder / "server"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(str(uuid4()))
    return path.read_text()


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Hold a segment that no process writes any more; False where one does, or another seals it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    else:
        yield True
    finally:
        os.close(descriptor)
