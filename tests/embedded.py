"""The embedded database of a data directory, past its processes: for states that no client can make quickly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw


def execute(data_dir: Path, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Change or read it."""
    connection = apsw.Connection(str(data_dir / "openecr.db"))
    try:
        connection.set_busy_timeout(30_000)
        return connection.execute(sql, tuple(parameters)).fetchall()
    finally:
        connection.close()
