"""Whether a data directory keeps its promises: read straight from the database and the store, past the server."""

from pathlib import Path
from typing import Any

import apsw

from openecr.names import Digest


def broken_promises(data_dir: Path) -> list[str]:
    """Every manifest that names a missing or wrong blob, and every other reference that dangles."""
    connection = apsw.Connection(str(data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    found = [f"database: {row}" for row in connection.execute("PRAGMA foreign_key_check").fetchall()]
    checked = connection.execute("PRAGMA integrity_check").fetchall()
    found += [f"database: {row[0]}" for row in checked if row[0] != "ok"]
    rows: Any = connection.execute(
        "SELECT DISTINCT b.object_id, b.size_bytes, d.digest FROM blob b JOIN blob_digest d ON d.blob_key = b.id"
    ).fetchall()
    for object_id, size_bytes, stored in rows:
        digest = Digest(stored)
        path = data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id
        if not path.is_file():
            found.append(f"blob {digest} has no object")
        elif path.stat().st_size != size_bytes:
            found.append(f"blob {digest} has {path.stat().st_size} of {size_bytes} bytes")
        elif Digest.of(path.read_bytes(), digest.algorithm) != digest:
            found.append(f"blob {digest} has other bytes")
    images: Any = connection.execute("SELECT manifest, digest FROM image").fetchall()
    for manifest, stored in images:
        if Digest.of(manifest, Digest(stored).algorithm) != Digest(stored):
            found.append(f"manifest {Digest(stored)} has other bytes")
    connection.close()
    return found
