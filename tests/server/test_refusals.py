"""What a user does wrong, and what fails around a command, is one sentence with the remedy, and status 1 or 2."""

import asyncio
import shutil
import sqlite3
import threading
from importlib import metadata
from pathlib import Path

import psycopg
import pytest

from openecr.backup.folder import BackupRefused, Folder
from openecr.composition import compose
from openecr.data_dir import database_path
from openecr.db.connection import DatabaseUnusable
from openecr.db.migrations import migrations
from openecr.db.postgres_address import unusable
from openecr.keyring import root_key_path
from openecr.settings import Settings, without_secrets
from tests.postgres import Cluster
from tests.registry_client import RegistryClient
from tests.running import environment, free_port, openecr, running


def refused(*words: str, status: int = 1, **variables: str) -> str:
    done = openecr(*words, check=False, env=environment() | variables)

    assert done.returncode == status, done.stderr
    told = done.stderr.splitlines()
    assert len(told) == 1, done.stderr
    assert told[0].startswith("openecr: ")
    return told[0]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left")
    with running(folder, "--workers", "1"):
        pass
    return folder


@pytest.fixture
def deployment(left: Path, tmp_path: Path) -> Path:
    """A stopped deployment of one's own."""
    return shutil.copytree(left, tmp_path / "deployment")


def set_schema(folder: Path, number: int, oldest_reader: int) -> None:
    connection = sqlite3.connect(database_path(folder))
    connection.execute("UPDATE deployment SET value = ? WHERE name = 'oldest_reader'", (str(oldest_reader),))
    connection.execute(f"PRAGMA user_version = {number}")
    connection.commit()
    connection.close()


def test_nothing_under_a_disabled_key_is_exported(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with running(data_dir, "--workers", "1") as server:
        key = server.client("kms").create_key()["KeyMetadata"]["Arn"]
        configuration = {"encryptionType": "KMS", "kmsKey": key}
        server.client("ecr").create_repository(repositoryName="sealed", encryptionConfiguration=configuration)
        RegistryClient(server.port, server.password()).push_image("sealed", "v1")
        server.client("kms").disable_key(KeyId=key)

        told = refused("export", "sealed", "--to", str(tmp_path / "out.tar"), "--data-dir", str(data_dir))

    assert told == f"openecr: {key} is disabled; nothing under this key can be read until it is enabled again"


@pytest.mark.parametrize("command", [("status",), ("gc",), ("fsck",), ("usage",)])
def test_a_command_refuses_a_database_that_it_cannot_use(deployment: Path, command: tuple[str, ...]) -> None:
    known = len(migrations())
    set_schema(deployment, known + 1, oldest_reader=known + 1)
    assert "was made by a newer openecr" in refused(*command, "--data-dir", str(deployment))

    set_schema(deployment, known - 1, oldest_reader=1)
    assert "move it forward with: openecr migrate" in refused(*command, "--data-dir", str(deployment))


def test_a_database_that_is_refused_is_closed(deployment: Path) -> None:
    set_schema(deployment, len(migrations()) + 1, oldest_reader=len(migrations()) + 1)

    before = set(threading.enumerate())

    async def compose_and_look() -> list[str]:
        with pytest.raises(DatabaseUnusable):
            await compose(Settings(data_dir=deployment))
        return [thread.name for thread in threading.enumerate() if thread not in before]

    left = asyncio.run(compose_and_look())
    assert not [name for name in left if name.startswith("openecr-writer")]


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert openecr("--version", cwd=tmp_path).stdout == f"openecr {metadata.version('openecr')}\n"


def test_a_newer_database_that_this_release_can_use_is_used(deployment: Path) -> None:
    set_schema(deployment, len(migrations()) + 1, oldest_reader=1)

    assert "0 images" in openecr("fsck", "--data-dir", str(deployment)).stdout


def test_a_file_that_is_no_database_is_said_to_be_none(deployment: Path) -> None:
    for path in deployment.glob("openecr.db-*"):
        path.unlink()
    database_path(deployment).write_bytes(b"junk" * 1000)

    for command in (("status",), ("serve", "--port", str(free_port()))):
        assert "is no database, or is damaged; restore" in refused(*command, "--data-dir", str(deployment))


def test_a_start_that_fails_for_its_store_makes_no_root_key(tmp_path: Path) -> None:
    where = f"s3://layers/openecr?endpoint=http://127.0.0.1:{free_port()}"
    words = ("serve", "--data-dir", str(tmp_path), "--port", str(free_port()), "--blobs", where)

    told = refused(*words, status=2, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")

    assert "cannot be reached" in told
    assert "check endpoint= and the store itself" in told
    assert not root_key_path(tmp_path).exists()


def test_an_empty_database_has_no_registry(postgres: Cluster, tmp_path: Path) -> None:
    told = refused("status", "--data-dir", str(tmp_path), OPENECR_DATABASE=postgres.create_database())

    assert "start one with: openecr serve" in told


@pytest.mark.parametrize("command", [(), ("quota",)])
def test_a_command_that_is_not_there_leads_to_the_help(command: tuple[str, ...]) -> None:
    assert refused(*command, "nosuch", status=2).endswith(f"; see: {' '.join(('openecr', *command))} --help")


@pytest.mark.parametrize("at", ["yesterday", "20260", "2026-07-28T1"])
def test_what_is_no_instant_chooses_no_backup(tmp_path: Path, at: str) -> None:
    with pytest.raises(BackupRefused, match=f"'{at}' is no instant; write it like 20260728"):
        Folder(tmp_path).choose(at)


def test_an_instant_with_a_space_is_one_of_that_day(tmp_path: Path) -> None:
    names = ["20260727T235959.000000Z", "20260728T115900.000000Z", "20260728T130000.000000Z"]
    for name in names:
        (tmp_path / "snapshots" / name).mkdir(parents=True)
        (tmp_path / "snapshots" / name / "manifest.json").touch()

    assert Folder(tmp_path).choose("2026-07-28 12:00") == names[1]
    assert Folder(tmp_path).choose("20260727") == names[0]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('FATAL: password authentication failed for user "openecr"', "set PGPASSWORD, or PGPASSFILE"),
        ("fe_sendauth: no password supplied", "set PGPASSWORD, or PGPASSFILE"),
        ('FATAL: database "openecr" does not exist', "make it with: createdb"),
        ("permission denied for schema public", "let this role own the database"),
        ("Connection refused Is the server running on that host?", "check --database, and that the server runs"),
    ],
)
def test_why_a_database_cannot_be_used_comes_with_what_helps(said: str, remedy: str) -> None:
    error = psycopg.OperationalError(f"connection failed: {said}")

    told = str(unusable("postgresql://openecr:secret@db/openecr", error))

    assert told.startswith("the database postgresql://openecr:***@db/openecr cannot be used: ")
    assert told.endswith(f"; {remedy}")
    assert "Is the server running" not in told
    assert isinstance(unusable("postgresql:///x", psycopg.OperationalError()), DatabaseUnusable)


def test_a_password_among_the_parameters_is_not_shown() -> None:
    assert without_secrets("postgresql://u@h/d?password=secret&a=b") == "postgresql://u@h/d?password=***&a=b"
