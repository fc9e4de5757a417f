"""Secrets that are known to a test, and every place where they must not be found."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from openecr.db import schema
from openecr.keyring import ROOT_KEY_VARIABLE
from tests.faults.processes import children
from tests.object_store import ObjectStore
from tests.postgres import Cluster
from tests.registry_client import OCI_MANIFEST, RegistryClient
from tests.running import DEFAULT_ACCOUNT, Server, environment, openecr, running
from tests.waiting import wait_until

DATABASE_PASSWORD = "canary-of/the@database"
ROOT_KEY = "c0ffee" * 10 + "beef"
REPOSITORY = "secret/app"


@pytest.fixture
def server(postgres: Cluster, object_store: ObjectStore, tmp_path: Path) -> Iterator[Server]:
    """Everything that holds a secret: the database's password, the store's key, the root key in a variable."""
    database = postgres.create_database().replace("postgres@", f"postgres:{quote(DATABASE_PASSWORD, safe='')}@")
    variables = object_store.credentials | {
        "OPENECR_DATABASE": database,
        "OPENECR_BLOBS": object_store.url(object_store.new_bucket()),
        ROOT_KEY_VARIABLE: ROOT_KEY,
    }
    folder = tmp_path / "data"
    folder.mkdir()
    with running(folder, "--workers", "2", variables=variables, forked=False) as started:
        yield started


def test_no_secret_is_found_where_others_look(server: Server, object_store: ObjectStore, tmp_path: Path) -> None:
    variables = environment() | dict(server.variables)
    environment_of_user = server.environment()
    access_key_secret = environment_of_user["AWS_SECRET_ACCESS_KEY"]
    secrets = {
        "the database's password": DATABASE_PASSWORD,
        "the database's password, quoted": quote(DATABASE_PASSWORD, safe=""),
        "the root key": ROOT_KEY,
        "the store's key": object_store.secret_key,
        "the access key's secret": access_key_secret,
    }
    ecr, kms = server.client("ecr"), server.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    ecr.create_repository(repositoryName=REPOSITORY, encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key})
    ecr.create_repository(repositoryName="plain")
    client = RegistryClient(server.port, server.password())
    secrets["a registry password"] = client.password or ""
    client.push_image(REPOSITORY, "v1", b"layer" * 1000)
    client.push_image("plain", "v1", b"layer" * 1000)
    kms.disable_key(KeyId=key)
    client.request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    kms.enable_key(KeyId=key)
    client.request("PUT", f"/v2/{REPOSITORY}/manifests/x", b"{", Content_Type=OCI_MANIFEST)
    RegistryClient(server.port, "wrong").request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    said = {}
    for command in (
        ("status",),
        ("status", "--json"),
        ("jobs", "list"),
        ("keys", "list"),
        ("usage",),
        ("account", "list"),
        ("gc", "--dry-run"),
        ("fsck",),
        ("keys", "rotate", "secrets"),
        ("backup", str(tmp_path / "backups")),
        ("export", REPOSITORY, "--to", str(tmp_path / "export.tar")),
        ("restore", str(tmp_path / "backups")),
        ("jobs", "retry", "1"),
    ):
        done = openecr(*command, "--data-dir", str(server.data_dir), check=False, env=variables)
        said[" ".join(command)] = done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
    assert server.process is not None
    running_now = [server.process.pid, *children(server)]
    lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running_now)
    os.kill(running_now[-1], signal.SIGKILL)
    wait_until(lambda: set(children(server)) - set(running_now), "another process took the place of the killed one")
    address = server.data_dir / "server.json"
    mode = address.stat().st_mode
    secrets_beside_the_address = {name: text for name, text in secrets.items() if "database" not in name}
    told = address.read_text()
    server.stop()

    assert mode & 0o077 == 0
    for name, text in secrets_beside_the_address.items():
        assert text not in told, f"{name} is in server.json"
    for name, text in secrets.items():
        assert text not in server.log(), f"{name} is in the log"
        assert text.encode() not in lines, f"{name} is on a command line"
        for told_by, output in said.items():
            assert text not in output, f"{name} is told by openecr {told_by}"
        for folder in (tmp_path / "backups", tmp_path / "data"):
            for path in folder.rglob("*"):
                if path.is_file() and path != address:
                    assert text.encode() not in path.read_bytes(), f"{name} is in {path}"
        assert text.encode() not in (tmp_path / "export.tar").read_bytes()
    held = _database_as_text(server.variables["OPENECR_DATABASE"])
    for name, text in secrets.items():
        assert text not in held, f"{name} is in the database"
        assert text.encode().hex() not in held, f"{name} is in the database"
    assert DEFAULT_ACCOUNT in held


def _database_as_text(url: str) -> str:
    """Every row of every table, bytes in hex."""
    with psycopg.connect(url) as connection:
        rows = [
            str(row[0])
            for table in schema.tables()
            for row in connection.execute(f"SELECT t::text FROM {table.name} t".encode())
        ]
    return "\n".join(rows)
