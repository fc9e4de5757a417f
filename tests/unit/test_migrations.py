"""A database is moved forward once, whole, by one process, and never by an older release."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from openecr.db import migrations
from openecr.db.connection import DatabaseUnusable
from openecr.db.migrations import migrate
from openecr.db.sqlite import SqliteConnection

MIGRATE = """
import sys
from pathlib import Path
from openecr.db.migrations import migrate
sys.stdin.readline()
print(migrate(Path(sys.argv[1])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openecr.db"


@pytest.fixture
def migrated(path: Path) -> Iterator[SqliteConnection]:
    migrate(path)
    connection = SqliteConnection(path, read_only=False)
    yield connection
    connection.close()


def test_a_fresh_database_gets_every_migration(path: Path) -> None:
    assert migrate(path) == len(migrations.migrations())


def test_migrating_again_does_nothing(path: Path) -> None:
    migrate(path)

    assert migrate(path) == 0


def test_a_database_of_a_newer_release_is_refused_untouched(path: Path, migrated: SqliteConnection) -> None:
    migrated.rows("PRAGMA user_version = 999")
    migrated.run("UPDATE deployment SET value = '999' WHERE name = 'oldest_reader'")

    with pytest.raises(DatabaseUnusable, match="made by a newer openecr"):
        migrate(path)

    assert migrated.row("PRAGMA user_version") == (999,)


def test_a_newer_database_that_older_releases_may_use_is_left_as_it_is(path: Path, migrated: SqliteConnection) -> None:
    migrated.rows("PRAGMA user_version = 999")

    assert migrate(path) == 0
    assert migrated.row("PRAGMA user_version") == (999,)


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = migrations.migrations()
    migrate(path)
    broken = [*before, "CREATE TABLE half (id BIGINT); CREATE TABLE account (id BIGINT);"]
    monkeypatch.setattr(migrations, "migrations", lambda: broken)

    with pytest.raises(apsw.Error):
        migrate(path)

    connection = SqliteConnection(path, read_only=False)
    assert connection.row("PRAGMA user_version") == (len(before),)
    assert connection.row("SELECT 1 FROM sqlite_schema WHERE name = 'half'") is None
    connection.close()


def test_every_table_is_strict(migrated: SqliteConnection) -> None:
    tables = migrated.rows(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT GLOB 'sqlite_*'"
    )

    assert len(tables) > 10
    assert [name for name, strict in tables if not strict] == []


def test_every_reference_restricts(migrated: SqliteConnection) -> None:
    references = migrated.rows(
        'SELECT t.name, f."from", f.on_delete FROM pragma_table_list t JOIN pragma_foreign_key_list(t.name) f'
        " WHERE t.schema = 'main'"
    )

    assert len(references) > 10
    assert [row for row in references if row[2] != "RESTRICT"] == []


def test_every_reference_has_an_index_so_that_deletes_do_not_scan(migrated: SqliteConnection) -> None:
    lacking = migrated.rows(
        'SELECT t.name, f."from" FROM pragma_table_list t JOIN pragma_foreign_key_list(t.name) f'
        " WHERE t.schema = 'main' AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) i"
        ' JOIN pragma_index_info(i.name) c WHERE c.seqno = 0 AND c.name = f."from")'
        # A key that is one integer is the table's own order.
        " AND f.\"from\" <> (SELECT CASE WHEN COUNT(*) = 1 THEN MIN(k.name) ELSE '' END"
        " FROM pragma_table_info(t.name) k WHERE k.pk > 0)"
    )
    assert lacking == []


def test_processes_that_migrate_at_once_do_it_once(path: Path) -> None:
    command = [sys.executable, "-c", MIGRATE, str(path)]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    outputs = [process.communicate(timeout=60) for process in started]

    assert [error for _, error in outputs if error] == []
    assert sorted(int(text) for text, _ in outputs) == [0, 0, 0, 0, 0, len(migrations.migrations())]
