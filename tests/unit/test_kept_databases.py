"""A database of every earlier schema, kept as a dump, moves forward with what it holds.

A migration that is released gets its dump here (``schema-NNNN.sql``) and is never changed again.
"""

import asyncio
from pathlib import Path

import apsw
import pytest

from openecr.db import images, repositories, trash
from openecr.db.migrations import migrate, migrations
from openecr.db.sqlite import SqliteDatabase
from openecr.names import RegistryName

KEPT = sorted((Path(__file__).parent / "databases").glob("schema-*.sql"))
REGISTRY = RegistryName("123456789012", "us-east-1")


def test_every_schema_that_was_released_is_kept() -> None:
    assert len(KEPT) == len(migrations())


@pytest.mark.parametrize("dump", KEPT, ids=lambda dump: dump.stem)
def test_a_kept_database_moves_forward_and_keeps_what_it_holds(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "openecr.db"
    connection = apsw.Connection(str(path))
    connection.execute(dump.read_text())
    connection.close()

    migrate(path)

    database = SqliteDatabase(path)
    try:
        repository = asyncio.run(database.read(lambda db: repositories.find(db, REGISTRY, "kept/app")))
        assert repository is not None
        assert repository.tag_mutability == "IMMUTABLE_WITH_EXCLUSION"
        assert asyncio.run(database.read(lambda db: images.tags_after(db, repository.key, "", 10))) == [
            "multi",
            "v1",
            "v2",
        ]
        pulled = asyncio.run(database.read(lambda db: images.pull_by_tag(db, REGISTRY, "kept/app", "v2")))
        assert pulled is not None
        assert b"sha256:" in pulled.manifest
        deleted = asyncio.run(
            database.read(lambda db: trash.tags_before(db, repository.registry_key, "kept/app", (2**62, 2**62), 10))
        )
        assert [tags for _, _, tags in deleted] == [("old",)]
        assert asyncio.run(database.read(lambda db: db.rows("PRAGMA foreign_key_check"))) == []
    finally:
        asyncio.run(database.close())
