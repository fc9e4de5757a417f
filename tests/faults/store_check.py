"""Whether a deployment keeps its promises: read straight from the database and the store, past the servers.

``where`` is what the deployment's settings say besides the data directory: ``database``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import apsw
import psycopg

from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.composition import compose
from openecr.deployment import Deployment
from openecr.names import Digest
from openecr.settings import Settings

Query = Callable[[str], list[Any]]
NAMED_OBJECTS = (
    "SELECT object_id FROM blob UNION SELECT object_id FROM upload UNION SELECT object_id FROM discarded_object"
    " UNION SELECT object_id FROM audit_segment UNION SELECT object_id FROM vulnerability_data"
)
"""Every object that a row names."""
_REFERENCES = (
    "SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text, f.attname FROM pg_constraint c"
    " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
    " JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1] WHERE c.contype = 'f'"
)


def broken_promises(data_dir: Path, *, verified: set[str] | None = None, **where: Any) -> list[str]:
    """Every manifest that names a missing or wrong blob, and every other reference that dangles.

    Args:
        verified: objects whose bytes were right before, which are not read again; those that are right now are added.
    """
    settings = Settings(data_dir=data_dir, **where)
    with _opened(settings) as query:
        found = _damaged(query) if settings.database is None else _dangling(query)
        rows = query(
            "SELECT DISTINCT b.object_id, b.data_key, b.size_bytes, d.digest FROM blob b"
            " JOIN blob_digest d ON d.blob_key = b.id"
        )
        rows = [row for row in rows if verified is None or row[0] not in verified]
        broken = asyncio.run(_broken_blobs(settings, rows))
        if verified is not None:
            verified.update({row[0] for row in rows} - {object_id for object_id, _ in broken})
        # Looking takes a while: what was collected meanwhile has neither row nor object, and is not broken.
        named = {row[0] for row in query("SELECT object_id FROM blob")}
        found += [what for object_id, what in broken if object_id in named]
        return found + _broken_manifests(query)


def stored_digests(data_dir: Path, **where: Any) -> set[str]:
    """The sha256 digests of every blob, by its bytes in the store."""
    settings = Settings(data_dir=data_dir, **where)
    with _opened(settings) as query:
        rows = query("SELECT object_id, data_key, size_bytes FROM blob")

    async def read() -> set[str]:
        async with _deployment(settings) as deployment:
            return {str(Digest.of(await _content(deployment, *row))) for row in rows}

    return asyncio.run(read())


def stored_objects(data_dir: Path) -> set[str]:
    """The id of every object in the store."""
    return {path.name for path in (data_dir / "blobs").glob("??/??/*") if path.is_file()}


def unnamed_objects(data_dir: Path, **where: Any) -> set[str]:
    """Objects in the store that no row names: nobody would ever delete them."""
    stored = stored_objects(data_dir)
    with _opened(Settings(data_dir=data_dir, **where)) as query:
        return stored - {row[0] for row in query(NAMED_OBJECTS)}


@contextmanager
def _opened(settings: Settings) -> Iterator[Query]:
    if settings.database is None:
        embedded = apsw.Connection(str(settings.data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            yield lambda sql: embedded.execute(sql).fetchall()
        finally:
            embedded.close()
    else:
        with psycopg.connect(settings.database, autocommit=True) as shared:
            yield lambda sql: shared.execute(sql.encode()).fetchall()


def _damaged(query: Query) -> list[str]:
    found = [f"database: {row}" for row in query("PRAGMA foreign_key_check")]
    return found + [f"database: {row[0]}" for row in query("PRAGMA integrity_check") if row[0] != "ok"]


def _dangling(query: Query) -> list[str]:
    found: list[str] = []
    for table, column, parent, key in query(_REFERENCES):
        rows = query(
            f"SELECT c.{column} FROM {table} c WHERE c.{column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.{key} = c.{column})"
        )
        found += [f"database: {table}.{column} = {row[0]} is not in {parent}" for row in rows]
    return found


def _broken_manifests(query: Query) -> list[str]:
    """Manifests with other bytes than their digest's, and those that hold not all of the layers they name."""
    found: list[str] = []
    held: dict[int, set[str]] = {}
    for image_key, layer in query("SELECT i.image_key, l.digest FROM image_layer i JOIN layer l ON l.id = i.layer_key"):
        held.setdefault(image_key, set()).add(str(Digest(layer)))
    for image_key, manifest, stored in query("SELECT id, manifest, digest FROM image"):
        digest = Digest(stored)
        if Digest.of(manifest, digest.algorithm) != digest:
            found.append(f"manifest {digest} has other bytes")
        read = json.loads(manifest)
        named = {item["digest"] for item in (read.get("config"), *read.get("layers", ())) if item is not None}
        if missing := named - held.get(image_key, set()):
            found.append(f"manifest {digest} does not hold {sorted(missing)}")
    return found


async def _broken_blobs(settings: Settings, rows: Any) -> list[tuple[str, str]]:
    """(object id, what is wrong with it)."""
    found: list[tuple[str, str]] = []
    async with _deployment(settings) as deployment:
        for object_id, data_key, size_bytes, stored in rows:
            digest = Digest(stored)
            try:
                held_bytes = await (await deployment.store_of(data_key)).size_bytes(object_id)
                content = await _content(deployment, object_id, data_key, held_bytes)
            except ObjectMissing:
                found.append((object_id, f"blob {digest} has no object"))
                continue
            except BlobDamaged as damaged:
                found.append((object_id, f"blob {digest}: {damaged}"))
                continue
            if held_bytes != size_bytes:
                found.append((object_id, f"blob {digest} has {held_bytes} of {size_bytes} bytes"))
            elif Digest.of(content, digest.algorithm) != digest:
                found.append((object_id, f"blob {digest} has other bytes"))
    return found


async def _content(deployment: Deployment, object_id: str, data_key: bytes | None, size_bytes: int) -> bytes:
    store = await deployment.store_of(data_key)
    return b"".join([piece async for piece in store.read(object_id, 0, size_bytes)])


@asynccontextmanager
async def _deployment(settings: Settings) -> AsyncIterator[Deployment]:
    deployment = await compose(settings)
    try:
        yield deployment
    finally:
        await deployment.database.close()
