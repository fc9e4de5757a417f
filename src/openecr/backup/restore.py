"""Verify a backup, and fill an empty deployment from it, on either engine.

Everything is checked before the first row is written. A restore that was cut says so to the next server that starts,
and is ended by running it again: what is there already stays.
"""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from openecr.backup.folder import BackupRefused, Folder, Manifest, StoredObject, check_file
from openecr.backup.take import Watcher
from openecr.blobs.regions import RegionStores
from openecr.blobs.store import BlobStore, ObjectMissing
from openecr.db import deployment as facts
from openecr.db import schema
from openecr.db.connection import Connection, Database
from openecr.db.engines import migrate_database, open_database
from openecr.db.migrations import migrations
from openecr.db.schema import Table
from openecr.db.snapshot import continue_keys
from openecr.services.ecr.integrity.blob_bytes import write_object
from openecr.settings import Settings

_ROWS = 200
_ROWS_WITH_MANIFESTS = 20
_AT_ONCE = 8
_HELD_BY = ("account", "registry", "deployment_key", "blob")
"""A deployment that has none of these is empty."""


async def verify(folder: Folder, name: str, watcher: Watcher) -> list[str]:
    """Read a whole backup; every file that is not what its manifest says, and every layer.

    Raises:
        BackupRefused: its manifest is damaged.
    """
    manifest = folder.manifest(name)
    damaged = check_files(folder, name, manifest)
    if damaged:
        return damaged
    watcher.expect(manifest.size_bytes)
    store = folder.objects()
    for batch in _batches(folder.stored_objects(name)):
        sound = await asyncio.gather(*(_is_sound(store, item) for item in batch))
        damaged += [
            f"layer object {item.object_id}" for item, is_sound in zip(batch, sound, strict=True) if not is_sound
        ]
        watcher.advance(sum(item.size_bytes for item in batch))
    return damaged


def check_files(folder: Folder, name: str, manifest: Manifest) -> list[str]:
    """The files of a snapshot that are damaged or gone."""
    return [
        f"file {path}"
        for item, about in manifest.files.items()
        if not check_file(path := folder.snapshots / name / item, about)
    ]


async def restore(settings: Settings, blobs: RegionStores, folder: Folder, name: str, watcher: Watcher) -> Manifest:
    """Fill an empty deployment from a backup.

    Raises:
        BackupRefused: the backup is damaged, a newer release made it, or the deployment is not empty.
    """
    manifest = folder.manifest(name)
    if manifest.schema > len(migrations()):
        raise BackupRefused(
            f"the backup {name} was made by a newer openecr ({manifest.version}); restore it with that release"
        )
    damaged = check_files(folder, name, manifest)
    if damaged:
        raise BackupRefused(f"the backup {name} is damaged: {damaged[0]}; use another with --at")
    _require_known_columns(name, manifest)
    await asyncio.to_thread(migrate_database, settings, manifest.schema)
    database = await open_database(settings)
    try:
        await database.write(partial(begin, name=name))
        watcher.expect(manifest.size_bytes)
        await _restore_objects(folder, name, blobs, watcher)
        for table in schema.tables(migrations()[: manifest.schema]):
            if f"{table.name}.jsonl" in manifest.files:
                await _restore_table(database, settings, table, folder.snapshots / name, manifest.columns[table.name])
    finally:
        await database.close()
    await asyncio.to_thread(migrate_database, settings)
    database = await open_database(settings)
    try:
        for store, opened in blobs.each().items():
            mark = await database.read(partial(facts.mark_of, store=store))
            if mark is not None:
                await opened.check(mark, is_marked=False)  # from now on this is the store of the deployment's layers
        await database.write(lambda db: facts.forget(db, facts.RESTORING))
    finally:
        await database.close()
    return manifest


def _require_known_columns(name: str, manifest: Manifest) -> None:
    """A backup's columns become part of statements: only those that the schema has, each once."""
    for table in schema.tables(migrations()[: manifest.schema]):
        if f"{table.name}.jsonl" in manifest.files:
            columns = manifest.columns.get(table.name, [])
            if not columns or len(set(columns)) < len(columns) or not set(columns) <= set(table.columns):
                raise BackupRefused(
                    f"the backup {name} has columns of {table.name} that no openecr wrote; do not trust it"
                )


def begin(db: Connection, name: str) -> None:
    """Say that a restore is under way, in a database that holds nothing else."""
    under_way = facts.find(db, facts.RESTORING)
    if under_way == name:
        return
    if under_way is not None:
        raise BackupRefused(f"filling it from {under_way} was cut; run that again first")
    if any(db.row(f"SELECT 1 FROM {table} LIMIT 1") is not None for table in _HELD_BY):  # noqa: S608 - constants
        raise BackupRefused(
            "the target is not empty: it holds a deployment; give a database, or a data directory, that was never used"
        )
    facts.put(db, facts.RESTORING, name)


async def _restore_objects(folder: Folder, name: str, blobs: BlobStore, watcher: Watcher) -> None:
    store = folder.objects()
    for batch in _batches(folder.stored_objects(name)):
        await asyncio.gather(*(_bring(store, blobs, item) for item in batch))
        watcher.advance(sum(item.size_bytes for item in batch))


async def _bring(store: BlobStore, blobs: BlobStore, item: StoredObject) -> None:
    """Copy a layer, and read it again where it is now."""
    if await _is_sound(blobs, item):
        return
    if not await _is_sound(store, item):
        raise BackupRefused(f"the backup's layer object {item.object_id} is damaged or gone; use another with --at")
    async with aclosing(store.read(item.object_id, 0, item.size_bytes)) as pieces:
        await write_object(blobs, item.object_id, pieces)
    if not await _is_sound(blobs, item):
        raise BackupRefused(f"the layer object {item.object_id} did not arrive as it was; look after the disk")


async def _is_sound(store: BlobStore, item: StoredObject) -> bool:
    try:
        found = await store.digests(item.object_id, ("sha256",))
    except (ObjectMissing, OSError):
        return False
    return found["sha256"].hex() == item.sha256


async def _restore_table(
    database: Database, settings: Settings, table: Table, source: Path, columns: list[str]
) -> None:
    most = _ROWS_WITH_MANIFESTS if table.has_manifests else _ROWS
    as_bytes = {name for name in columns if table.columns.get(name) == "bytes"}
    with (source / f"{table.name}.jsonl").open("rb") as lines:
        for batch in _batches(_rows(lines, columns, as_bytes), most):
            await database.write(partial(_insert, table=table, columns=columns, batch=batch))
    await database.write(lambda db: continue_keys(db, settings, table))


def _rows(lines: Any, columns: list[str], as_bytes: set[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        row = dict(zip(columns, orjson.loads(line), strict=True))
        for name in as_bytes:
            if row[name] is not None:
                row[name] = base64.b64decode(row[name])
        yield row


def _insert(db: Connection, table: Table, columns: list[str], batch: list[dict[str, Any]]) -> None:
    for row in batch:
        schema.insert(db, table, columns, row)


def _batches(items: Iterator[Any], most: int = _AT_ONCE) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch
