"""Whether a data directory keeps its promises: read straight from the database and the store, past the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw

from openecr.app import compose
from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.call import Deployment
from openecr.names import Digest
from openecr.settings import Settings


def broken_promises(data_dir: Path) -> list[str]:
    """Every manifest that names a missing or wrong blob, and every other reference that dangles."""
    connection = apsw.Connection(str(data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    found = [f"database: {row}" for row in connection.execute("PRAGMA foreign_key_check").fetchall()]
    checked = connection.execute("PRAGMA integrity_check").fetchall()
    found += [f"database: {row[0]}" for row in checked if row[0] != "ok"]
    rows: Any = connection.execute(
        "SELECT DISTINCT b.object_id, b.data_key, b.size_bytes, d.digest FROM blob b"
        " JOIN blob_digest d ON d.blob_key = b.id"
    ).fetchall()
    found += asyncio.run(_broken_blobs(data_dir, rows))
    images: Any = connection.execute("SELECT manifest, digest FROM image").fetchall()
    for manifest, stored in images:
        if Digest.of(manifest, Digest(stored).algorithm) != Digest(stored):
            found.append(f"manifest {Digest(stored)} has other bytes")
    connection.close()
    return found


def stored_digests(data_dir: Path) -> set[str]:
    """The sha256 digests of every blob, by its bytes in the store."""
    connection = apsw.Connection(str(data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    rows: Any = connection.execute("SELECT object_id, data_key, size_bytes FROM blob").fetchall()
    connection.close()

    async def read() -> set[str]:
        async with _deployment(data_dir) as deployment:
            return {str(Digest.of(await _content(deployment, *row))) for row in rows}

    return asyncio.run(read())


def stored_objects(data_dir: Path) -> set[str]:
    """The id of every object in the store."""
    return {path.name for path in (data_dir / "blobs").rglob("*") if path.is_file()}


def unnamed_objects(data_dir: Path) -> set[str]:
    """Objects in the store that no row names: nobody would ever delete them."""
    connection = apsw.Connection(str(data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    rows: Any = connection.execute(
        "SELECT object_id FROM blob UNION SELECT object_id FROM upload UNION SELECT object_id FROM discarded_object"
    ).fetchall()
    connection.close()
    return stored_objects(data_dir) - {row[0] for row in rows}


async def _broken_blobs(data_dir: Path, rows: Any) -> list[str]:
    found: list[str] = []
    async with _deployment(data_dir) as deployment:
        for object_id, data_key, size_bytes, stored in rows:
            digest = Digest(stored)
            try:
                held_bytes = await (await deployment.store_of(data_key)).size_bytes(object_id)
                content = await _content(deployment, object_id, data_key, held_bytes)
            except ObjectMissing:
                found.append(f"blob {digest} has no object")
                continue
            except BlobDamaged as damaged:
                found.append(f"blob {digest}: {damaged}")
                continue
            if held_bytes != size_bytes:
                found.append(f"blob {digest} has {held_bytes} of {size_bytes} bytes")
            elif Digest.of(content, digest.algorithm) != digest:
                found.append(f"blob {digest} has other bytes")
    return found


async def _content(deployment: Deployment, object_id: str, data_key: bytes | None, size_bytes: int) -> bytes:
    store = await deployment.store_of(data_key)
    return b"".join([piece async for piece in store.read(object_id, 0, size_bytes)])


@asynccontextmanager
async def _deployment(data_dir: Path) -> AsyncIterator[Deployment]:
    deployment = await compose(Settings(data_dir=data_dir))
    try:
        yield deployment
    finally:
        await deployment.database.close()
