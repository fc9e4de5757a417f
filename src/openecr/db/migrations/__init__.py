"""Move a database forward, one numbered SQL file at a time, under the write lock.

A file is one text for every engine; ``{key}``, ``{bytes}`` and ``{table}`` are the dialect's words, and
BIGINT is INTEGER on SQLite, whose integers have 64 bits and whose strict tables know no other name. Adjacent releases
only add, so that a running older server keeps working while a newer one starts. A migration that an older release
could not live with raises ``oldest_reader`` in the table ``deployment``: the oldest schema whose release may use the
database.
"""

import fcntl
import os
from importlib.resources import files
from pathlib import Path

from openecr.db.connection import DatabaseUnusable
from openecr.db.sqlite import SqliteConnection, write_lock_path

SQLITE_WORDS = {
    "{key}": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "{bytes}": "BLOB",
    "{table}": "STRICT",
    "BIGINT": "INTEGER",
}


def migrate(path: Path) -> int:
    """Bring the embedded database at ``path`` to this release's schema; the number of migrations applied.

    Raises:
        DatabaseUnusable: a newer release changed the database beyond what this one can use.
    """
    texts = migrations()
    lock = os.open(write_lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Before the first connection: two that turn a new file into a WAL database at once do not wait for each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _migrate_locked(path, texts)
    finally:
        os.close(lock)


def migrations() -> list[str]:
    """The numbered texts, in order."""
    folder = files(__package__)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text() for name in names]


def render(text: str) -> str:
    """A migration in SQLite's words."""
    for word, meaning in SQLITE_WORDS.items():
        text = text.replace(word, meaning)
    return text.rstrip().rstrip(";")


def _migrate_locked(path: Path, texts: list[str]) -> int:
    connection = SqliteConnection(path, read_only=False)
    try:
        done = _version(connection)
        if done > len(texts):
            _require_readable(connection, path, done, len(texts))
            return 0
        for number, text in enumerate(texts[done:], start=done + 1):
            connection.script(f"BEGIN IMMEDIATE;\n{render(text)};\nPRAGMA user_version = {number};\nCOMMIT")
        return len(texts) - done
    finally:
        connection.close()


def _require_readable(connection: SqliteConnection, path: Path, made_by: int, known: int) -> None:
    """Refuse a newer database that this release must not touch."""
    found = connection.row("SELECT value FROM deployment WHERE name = 'oldest_reader'")
    # The first releases put their own version there, which every later one may read.
    oldest = 1 if found is not None and not str(found[0]).isdigit() else int(found[0]) if found else known + 1
    if oldest > known:
        raise DatabaseUnusable(
            f"the database {path} was made by a newer openecr (schema {made_by}, this one knows {known}); "
            "start that release"
        )


def _version(connection: SqliteConnection) -> int:
    found = connection.row("PRAGMA user_version")
    return int(found[0]) if found else 0
