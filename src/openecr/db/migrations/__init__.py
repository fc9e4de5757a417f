"""Move a database forward, one numbered SQL file at a time, under a lock.

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
from typing import Any

import psycopg

from openecr.db import postgres_text
from openecr.db.connection import DatabaseUnusable
from openecr.db.postgres_address import unusable
from openecr.db.sqlite import SqliteConnection, write_lock_path

SQLITE_WORDS = {
    "{key}": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "{bytes}": "BLOB",
    "{table}": "STRICT",
    "BIGINT": "INTEGER",
}

_POSTGRES_LOCK = 0x6F70656E656372
"""openecr, in ASCII: whoever migrates holds the advisory lock of this number."""
_OLDEST_READER = "SELECT value FROM deployment WHERE name = 'oldest_reader'"
_PUT_VERSION = (
    "INSERT INTO deployment (name, value) VALUES ('schema', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def migrate(path: Path, upto: int | None = None) -> int:
    """Bring the embedded database at ``path`` to this release's schema; the number of migrations applied.

    Args:
        upto: stop at this schema: a backup is loaded into the schema that it was taken from, and moved on from there.
    Raises:
        DatabaseUnusable: a newer release changed the database beyond what this one can use.
    """
    texts = migrations()[:upto]
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


def migrate_postgres(url: str, upto: int | None = None) -> int:
    """Bring a PostgreSQL database to this release's schema; the number of migrations applied.

    One transaction for all of them, under a lock that servers which start at the same moment wait for. The number that
    SQLite keeps in its header is a fact of the deployment here.

    Raises:
        DatabaseUnusable: it cannot be reached, or a newer release changed it beyond what this one can use.
    """
    texts = migrations()[:upto]
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_POSTGRES_LOCK,))
            done = _postgres_version(connection)
            if done > len(texts):
                oldest = connection.execute(_OLDEST_READER).fetchone()
                require_readable(None if oldest is None else oldest[0], "the database", done, len(texts))
                return 0
            for text in texts[done:]:
                connection.execute(postgres_text.render(text).encode())
            if done < len(texts):
                connection.execute(_PUT_VERSION, (str(len(texts)),))
            return len(texts) - done
    except psycopg.Error as error:
        raise unusable(url, error) from None


def _postgres_version(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    found = connection.execute("SELECT to_regclass('deployment') IS NOT NULL").fetchone()
    if not (found and found[0]):
        return 0
    version = connection.execute("SELECT value FROM deployment WHERE name = 'schema'").fetchone()
    return int(version[0]) if version else 0


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
            found = connection.row(_OLDEST_READER)
            require_readable(None if found is None else found[0], f"the database {path}", done, len(texts))
            return 0
        for number, text in enumerate(texts[done:], start=done + 1):
            connection.script(f"BEGIN IMMEDIATE;\n{render(text)};\nPRAGMA user_version = {number};\nCOMMIT")
        return len(texts) - done
    finally:
        connection.close()


def require_readable(oldest_reader: str | None, which: str, made_by: int, known: int) -> None:
    """Refuse a newer database that this release must not touch."""
    # The first release put its own version there; its schema is the first.
    oldest = int(oldest_reader) if oldest_reader is not None and oldest_reader.isdigit() else 1
    if oldest > known:
        raise DatabaseUnusable(
            f"{which} was made by a newer openecr (schema {made_by}, this one knows {known}); start that release"
        )


def _version(connection: SqliteConnection) -> int:
    found = connection.row("PRAGMA user_version")
    return int(found[0]) if found else 0
