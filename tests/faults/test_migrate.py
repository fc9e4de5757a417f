"""An embedded deployment carried over to PostgreSQL: all of it arrives, and a move that was cut is run again."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from openecr.backup import move as moving
from openecr.backup.folder import BackupRefused
from openecr.db import schema
from openecr.settings import Settings
from tests.faults.processes import wait_until
from tests.postgres import Cluster
from tests.registry_client import RegistryClient, digest_of, image_manifest
from tests.running import Server, environment, free_port, openecr, running

REPOSITORY = "faults/moved"


def filled(folder: Path, images: int = 12) -> tuple[dict[str, bytes], str]:
    """A stopped embedded deployment with images, a trash, and an upload that is under way: manifests, upload path."""
    folder.mkdir()
    manifests = {}
    with running(folder, "--workers", "1") as server:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY, tags=[{"Key": "team", "Value": "é"}])
        client = RegistryClient(server.port, server.password())
        for number in range(images):
            config = json.dumps({"number": number}).encode()
            for content in (config, b"shared", b"own %d" % number):
                client.push_blob(REPOSITORY, content)
            manifest = image_manifest(config, b"shared", b"own %d" % number)
            assert client.push_manifest(REPOSITORY, f"v{number}", manifest).status == 201
            manifests[f"v{number}"] = manifest
        ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "v0"}])
        opened = client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        location = opened.headers["location"]
        assert client.request("PATCH", location, body=b"first half, ").status == 202
    del manifests["v0"]
    return manifests, location


def test_everything_goes_over_and_the_old_deployment_is_left(tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "data"
    manifests, upload = filled(folder)
    database = postgres.create_database()

    told = openecr("migrate", "--to", database, "--data-dir", str(folder)).stdout

    assert "found them equal" in told
    left = openecr("gc", "--data-dir", str(folder), check=False)
    assert (left.returncode, left.stderr) == (
        1,
        f"openecr: this deployment moved to {database}; give it with --database, or OPENECR_DATABASE\n",
    )
    server = Server(folder, free_port(), ("--workers", "1"), database)
    server.start()
    try:
        client = RegistryClient(server.port, server.password())
        for tag, manifest in manifests.items():
            assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}").body == manifest
            for layer in json.loads(manifest)["layers"]:
                assert digest_of(client.pull_blob(REPOSITORY, layer["digest"]).body) == layer["digest"]
        whole = b"first half, second half"
        assert client.request("PATCH", upload, body=b"second half").status == 202
        assert client.request("PUT", f"{upload}?digest={digest_of(whole)}").status == 201
        assert client.pull_blob(REPOSITORY, digest_of(whole)).body == whole
        openecr("undelete", f"{REPOSITORY}:v0", "--data-dir", str(folder))
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/v0").status == 200
        config = b"{}"
        client.push_blob(REPOSITORY, config)
        client.push_blob(REPOSITORY, b"new")
        assert client.push_manifest(REPOSITORY, "new", image_manifest(config, b"new")).status == 201
        assert openecr("fsck", "--data-dir", str(folder)).returncode == 0
    finally:
        server.stop()


def test_a_move_that_was_killed_is_run_again(tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "data"
    manifests, _ = filled(folder)
    database = postgres.create_database()
    command = [sys.executable, "-m", "openecr", "migrate", "--to", database, "--data-dir", str(folder)]
    with subprocess.Popen(command, env=environment()) as killed:
        wait_until(lambda: killed.poll() is not None or _is_being_filled(database), "the move to begin")
        killed.send_signal(signal.SIGKILL)
    cut = Server(folder, free_port(), ("--workers", "1"), database)
    if killed.returncode == -signal.SIGKILL and _is_being_filled(database):
        with pytest.raises(AssertionError, match="was cut; run it again"):
            cut.start()
        openecr("migrate", "--to", database, "--data-dir", str(folder))
    cut.start()
    try:
        client = RegistryClient(cut.port, cut.password())
        for tag, manifest in manifests.items():
            assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}").body == manifest
    finally:
        cut.stop()


def test_a_target_that_holds_something_is_refused(tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "data"
    filled(folder, images=1)
    database = postgres.create_database()
    other = tmp_path / "other"
    other.mkdir()
    with running(other, "--workers", "1", database=database):
        pass

    refused = openecr("migrate", "--to", database, "--data-dir", str(folder), check=False)

    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    assert openecr("gc", "--data-dir", str(folder)).returncode == 0


def test_a_row_that_arrived_otherwise_is_noticed_and_the_old_deployment_goes_on(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    filled(folder, images=2)
    insert = schema.insert

    def careless(connection: Any, table: Any, names: Any, row: Any) -> None:
        changed = {"media_type": "application/other"} if table.name == "image_layer" and row["position"] == 1 else {}
        insert(connection, table, names, {**row, **changed})

    monkeypatch.setattr(schema, "insert", careless)
    source = Settings(data_dir=folder)

    with pytest.raises(BackupRefused, match="the table image_layer did not arrive as it was"):
        asyncio.run(moving.move(source, replace(source, database=postgres.create_database())))

    with running(folder, "--workers", "1") as server:
        assert server.client("ecr").describe_images(repositoryName=REPOSITORY)["imageDetails"]


def _is_being_filled(database: str) -> bool:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT to_regclass('deployment') IS NOT NULL").fetchone()
        if not (found and found[0]):
            return False
        marked = connection.execute("SELECT 1 FROM deployment WHERE name = 'restoring'").fetchone()
        return marked is not None
