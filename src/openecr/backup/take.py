"""Take a backup, beside servers that push, delete and collect meanwhile.

    1  hold: from now on no object is deleted from the store
    2  one snapshot of every table, into files
    3  the objects that the snapshot names and the folder lacks, each hashed as it is copied
    4  the manifest: the backup is complete

The order is what makes it consistent: an object that the snapshot names can only become deletable after the hold was
taken. The hold is leased, so that a backup that was killed delays deletion for ten minutes.
"""

import asyncio
import base64
import hashlib
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from openecr import __version__
from openecr.backup.folder import (
    File,
    Folder,
    LineWriter,
    Manifest,
    StoredObject,
    locked,
    name_at,
)
from openecr.blobs.filesystem import FilesystemStore, sync_folder
from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.db import deployment as facts
from openecr.db import integrity, schema
from openecr.db.integrity import StoredBlob
from openecr.db.migrations import migrations
from openecr.db.schema import Reader, Table
from openecr.db.snapshot import snapshot
from openecr.deployment import Deployment
from openecr.encryption import open_store
from openecr.errors import KmsRefused
from openecr.names import Digest
from openecr.services.ecr.integrity.blob_bytes import stored_size_bytes
from openecr.services.ecr.object_hold import held

LEFT_OUT = frozenset(
    (
        "upload",
        "upload_segment",
        "discarded_object",
        "object_hold",
        "forgotten",
        "last_commit",
        "audit_segment",
        "audit_server",
        "vulnerability_data",
        "event",
    )
)
"""What only means something beside the store and the servers of its moment: uploads under way begin again. The audit
trail and the events tell what happened here: a deployment that is restored elsewhere begins its own. Vulnerability data
is fetched anew, rather than kept in every backup."""
_ROWS = 500
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Taken:
    """What a backup did."""

    name: str
    objects: int
    copied: int
    copied_bytes: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watcher:
    """Whoever shows how far a backup is."""

    expect: Callable[[int], None] = lambda _size_bytes: None
    advance: Callable[[int], None] = lambda _size_bytes: None


async def take(deployment: Deployment, path: Path, watcher: Watcher) -> Taken:
    """Take one backup into a folder.

    Raises:
        BackupRefused: another is being taken there.
        HoldLost: the hold lapsed because this machine slept.
    """
    with locked(path) as folder:
        async with held(deployment):
            name = name_at(deployment.database.clock_us())
            target = folder.snapshots / name
            target.mkdir(mode=0o700, parents=True)
            previous = folder.names()
            with snapshot(deployment.settings) as reader:
                files, columns = _dump(reader, target)
                total_bytes = _list_blobs(reader, target)
            watcher.expect(total_bytes)
            copying = _Copying(deployment, folder.objects(), watcher)
            known = folder.stored_objects(previous[-1]) if previous else iter(())
            files["objects.jsonl"] = await copying.run(target, known)
        (target / "blobs.tmp").unlink()
        sync_folder(target)
        manifest = Manifest(
            schema=len(migrations()),
            taken_us=deployment.database.clock_us(),
            files=files,
            columns=columns,
            objects=copying.objects,
            size_bytes=copying.size_bytes,
            version=__version__,
            damaged=copying.damaged,
        )
        folder.write_manifest(name, manifest)
        sync_folder(folder.path)
    return Taken(name, copying.objects, copying.copied, copying.copied_bytes, tuple(copying.damaged))


def _dump(reader: Reader, target: Path) -> tuple[dict[str, File], dict[str, list[str]]]:
    """Write every table, each row a line."""
    files: dict[str, File] = {}
    columns: dict[str, list[str]] = {}
    for table in schema.tables():
        if table.name not in LEFT_OUT:
            files[f"{table.name}.jsonl"] = _dump_table(reader, table, target)
            columns[table.name] = list(table.columns)
    return files, columns


def _dump_table(reader: Reader, table: Table, target: Path) -> File:
    lines = LineWriter(target / f"{table.name}.jsonl")
    for rows in schema.walk(reader, table):
        for row in rows:
            if not facts.is_engines(table.name, row):
                lines.write(row)
    return lines.close()


def _list_blobs(reader: Reader, target: Path) -> int:
    """Write down the blobs of the snapshot with their digests; how many bytes they are."""
    total_bytes, after = 0, 0
    lines = LineWriter(target / "blobs.tmp")
    while batch := integrity.blobs_after(reader, after, _ROWS):
        for blob in batch:
            about = (blob.key, blob.object_id, blob.cipher, blob.data_key, blob.size_bytes, blob.quarantined_us)
            lines.write((*about, blob.digests))
            total_bytes += blob.size_bytes
        after = batch[-1].key
    lines.close()
    return total_bytes


class _Copying:
    """Brings the objects of one snapshot into the folder."""

    def __init__(self, deployment: Deployment, store: FilesystemStore, watcher: Watcher) -> None:
        self._deployment = deployment
        self._store = store
        self._watcher = watcher
        self.objects = self.size_bytes = self.copied = self.copied_bytes = 0
        self.damaged: list[str] = []

    async def run(self, target: Path, known: Iterator[StoredObject]) -> File:
        """Copy what is missing, and list everything that is there."""
        lines = LineWriter(target / "objects.jsonl")
        batch: list[tuple[StoredBlob, StoredObject | None]] = []
        remembered = next(known, None)
        with closing(_listed(target / "blobs.tmp")) as blobs:
            for blob in blobs:
                while remembered is not None and remembered.blob_key < blob.key:
                    remembered = next(known, None)
                same = remembered is not None and remembered.object_id == blob.object_id
                batch.append((blob, remembered if same else None))
                if len(batch) == _AT_ONCE:
                    await self._bring(batch, lines)
                    batch = []
        await self._bring(batch, lines)
        return lines.close()

    async def _bring(self, batch: list[tuple[StoredBlob, StoredObject | None]], lines: LineWriter) -> None:
        for blob, stored in zip(
            [blob for blob, _ in batch],
            await asyncio.gather(*(self._one(blob, known) for blob, known in batch)),
            strict=True,
        ):
            self._watcher.advance(blob.size_bytes)
            if stored is None:
                self.damaged += [str(Digest(digest)) for digest in blob.digests[:1]]
                continue
            lines.write((stored.blob_key, stored.object_id, stored.size_bytes, stored.sha256))
            self.objects += 1
            self.size_bytes += stored.size_bytes

    async def _one(self, blob: StoredBlob, known: StoredObject | None) -> StoredObject | None:
        """The object in the folder; None where the deployment does not have it sound."""
        path = self._store.path(blob.object_id)
        size_bytes = stored_size_bytes(blob)
        if path is not None and path.stat().st_size == size_bytes:
            if known is not None and known.size_bytes == size_bytes:
                return known
            sha256 = await self._store.digests(blob.object_id, ("sha256",))
            if await self._is_sound(blob, sha256["sha256"]):
                await self._store.seal(blob.object_id, size_bytes)
                return StoredObject(blob.key, blob.object_id, size_bytes, sha256["sha256"].hex())
        if blob.quarantined_us is not None:
            return None
        try:
            raw = await self._copy(blob.object_id, size_bytes)
        except (ObjectMissing, OSError) as error:
            if isinstance(error, OSError) and error.filename is None:
                raise
            return None
        if await self._is_sound(blob, raw) is False:
            await self._store.delete(blob.object_id)
            return None
        self.copied += 1
        self.copied_bytes += size_bytes
        return StoredObject(blob.key, blob.object_id, size_bytes, raw.hex())

    async def _is_sound(self, blob: StoredBlob, sha256: bytes) -> bool | None:
        """Whether the copy in the folder, whose stored bytes have this sha256, is the blob; None where its KMS key may
        not be used now, so that nobody can tell."""
        if blob.data_key is not None:
            deployment = self._deployment
            try:
                store = await open_store(self._store, deployment.keyring, deployment.kms_keys, blob.data_key)
                sha256 = (await store.digests(blob.object_id, ("sha256",)))["sha256"]
            except KmsRefused:
                return None
            except (BlobDamaged, ObjectMissing):
                return False
        return Digest.from_raw("sha256", sha256).stored in blob.digests

    async def _copy(self, object_id: str, size_bytes: int) -> bytes:
        digest = hashlib.sha256()
        writer = await self._store.open_writer(object_id, 0)
        try:
            async for piece in self._deployment.blobs.read(object_id, 0, size_bytes):
                writer.write(piece)
                digest.update(piece)
                await asyncio.sleep(0)
        finally:
            await writer.close()
        await self._store.seal(object_id, size_bytes)
        return digest.digest()


def _listed(path: Path) -> Generator[StoredBlob]:
    with path.open("rb") as file:
        for line in file:
            key, object_id, cipher, data_key, size_bytes, quarantined_us, digests = orjson.loads(line)
            stored = tuple(base64.b64decode(item) for item in digests)
            wrapped = None if data_key is None else base64.b64decode(data_key)
            yield StoredBlob(key, 0, "", object_id, cipher, wrapped, size_bytes, None, quarantined_us, None, stored)


def prune(path: Path, keep: int | None) -> tuple[int, int]:
    """Remove all but the newest ``keep`` backups, what cut ones left, and the layers that no backup names any more.

    Returns:
        how many backups went, and how many layers.
    """
    with locked(path) as folder:
        names = folder.names()
        gone = names[: max(len(names) - keep, 0)] if keep is not None else []
        for name in gone:
            # Without its manifest a backup is none: it goes first, durably.
            (folder.snapshots / name / "manifest.json").unlink()
            sync_folder(folder.snapshots / name)
        for left in folder.cut():
            shutil.rmtree(left)
        return len(gone), sum(_prune_objects(folder, digit) for digit in "0123456789abcdef")


def _prune_objects(folder: Folder, digit: str) -> int:
    """Remove the unnamed layers whose ids begin with a digit: a sixteenth of the names is held in memory."""
    named = {
        item.object_id
        for name in folder.names()
        for item in folder.stored_objects(name)
        if item.object_id.startswith(digit)
    }
    removed = 0
    for path in (folder.path / "objects").glob(f"{digit}?/??/*"):
        if path.name not in named:
            path.unlink()
            removed += 1
    return removed
