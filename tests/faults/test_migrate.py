"""A deployment carried over to PostgreSQL, and its layers to another store: all arrives, and a move that was cut is run
again."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from openecr.backup import move as moving
from openecr.backup import move_layers
from openecr.backup.folder import BackupRefused
from openecr.backup.take import Watcher
from openecr.blobs.store import BlobStore
from openecr.composition import composed
from openecr.db import jobs, schema
from openecr.db.connection import Connection
from openecr.services.ecr.integrity.blob_bytes import write_object
from openecr.settings import Settings
from tests.object_store import ObjectStore
from tests.postgres import Cluster
from tests.registry_client import RegistryClient, digest_of, image_manifest
from tests.running import Server, environment, free_port, openecr, running
from tests.waiting import wait_until

REPOSITORY = "faults/moved"


Fill = Callable[..., tuple[dict[str, bytes], str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Fill:
    """Makes stopped embedded deployments with images, a trash, and an upload that is under way: manifests, upload path.

    Those that are asked for alike are copies of one.
    """
    kept: dict[tuple[Any, ...], tuple[Path, dict[str, bytes], str]] = {}

    def copy(folder: Path, *flags: str, images: int = 3, large: bytes = b"shared") -> tuple[dict[str, bytes], str]:
        if (flags, images, large) not in kept:
            made = tmp_path_factory.mktemp("filled")
            kept[flags, images, large] = made, *_fill(made, *flags, images=images, large=large)
        made, manifests, location = kept[flags, images, large]
        shutil.copytree(made, folder)
        return dict(manifests), location

    return copy


def _fill(folder: Path, *flags: str, images: int, large: bytes) -> tuple[dict[str, bytes], str]:
    manifests = {}
    with running(folder, "--workers", "1", *flags) as server:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY, tags=[{"Key": "team", "Value": "é"}])
        client = RegistryClient(server.port, server.password())
        for number in range(images):
            config = json.dumps({"number": number}).encode()
            for content in (config, large, b"own %d" % number):
                client.push_blob(REPOSITORY, content)
            manifest = image_manifest(config, large, b"own %d" % number)
            assert client.push_manifest(REPOSITORY, f"v{number}", manifest).status == 201
            manifests[f"v{number}"] = manifest
        ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "v0"}])
        opened = client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        location = opened.headers["location"]
        assert client.request("PATCH", location, body=b"first half, ").status == 202
    del manifests["v0"]
    return manifests, location


def assert_pulled(client: RegistryClient, manifests: dict[str, bytes]) -> None:
    """Everything is there, byte for byte."""
    for tag, manifest in manifests.items():
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}").body == manifest
        document = json.loads(manifest)
        for layer in (document["config"], *document["layers"]):
            assert digest_of(client.pull_blob(REPOSITORY, layer["digest"]).body) == layer["digest"]


def assert_goes_on(client: RegistryClient, upload: str) -> None:
    """The upload that was under way has its first half."""
    whole = b"first half, second half"
    assert client.request("PATCH", upload, body=b"second half").status == 202
    assert client.request("PUT", f"{upload}?digest={digest_of(whole)}").status == 201
    assert client.pull_blob(REPOSITORY, digest_of(whole)).body == whole


def test_everything_goes_over_and_the_old_deployment_is_left(filled: Fill, tmp_path: Path, postgres: Cluster) -> None:
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
        assert_pulled(client, manifests)
        assert_goes_on(client, upload)
        openecr("undelete", f"{REPOSITORY}:v0", "--data-dir", str(folder))
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/v0").status == 200
        config = b"{}"
        client.push_blob(REPOSITORY, config)
        client.push_blob(REPOSITORY, b"new")
        assert client.push_manifest(REPOSITORY, "new", image_manifest(config, b"new")).status == 201
        assert openecr("fsck", "--data-dir", str(folder)).returncode == 0
    finally:
        server.stop()


def test_a_move_that_was_killed_is_run_again(filled: Fill, tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "data"
    manifests, _ = filled(folder, images=12)
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
        assert_pulled(RegistryClient(cut.port, cut.password()), manifests)
    finally:
        cut.stop()


def test_a_target_that_holds_something_is_refused(filled: Fill, tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "data"
    filled(folder)
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
    filled: Fill, tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    filled(folder)
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


def with_credentials(store: ObjectStore) -> dict[str, str]:
    """The environment of a command that moves layers to a store."""
    return environment() | store.credentials


def keys_in(store: ObjectStore, bucket: str) -> set[str]:
    """The names of a bucket's objects, without the prefix."""
    found = store.client().list_objects_v2(Bucket=bucket).get("Contents", ())
    return {item["Key"].removeprefix("layers/") for item in found}


def objects_of(folder: Path) -> dict[str, Path]:
    """The files of a deployment's layers, by object id."""
    return {path.name: path for path in (folder / "blobs").glob("??/??/*")}


@pytest.mark.parametrize("encryption", ["on", "storage"])
def test_layers_go_to_an_object_store_as_they_lie(
    filled: Fill, tmp_path: Path, object_store: ObjectStore, encryption: str
) -> None:
    folder, bucket = tmp_path / "data", object_store.new_bucket()
    flags = ("--encryption", encryption)
    manifests, upload = filled(folder, *flags, large=bytes(range(256)) * 50_000)
    lying = {name: path.read_bytes() for name, path in objects_of(folder).items()}
    url = object_store.url(bucket, sse="store")

    told = openecr("migrate", "--blobs-to", url, "--data-dir", str(folder), env=with_credentials(object_store)).stdout

    assert f"start with: openecr serve --data-dir {folder} --blobs '{url}'\n" in told
    assert f"remove them: rm -r {folder / 'blobs'}\n" in told
    read = object_store.client().get_object
    moved = [name for name in keys_in(object_store, bucket) if not name.startswith("deployment-")]
    assert len(moved) >= 8, "three configs, three layers of their own, the shared one, the upload"
    for name in moved:
        assert read(Bucket=bucket, Key=f"layers/{name}")["Body"].read() == lying[name]
    assert {name: path.read_bytes() for name, path in objects_of(folder).items()} == lying
    with pytest.raises(AssertionError, match=rf"were moved to s3://{bucket}/layers, and file://{folder}/blobs has not"):
        Server(folder, free_port(), ("--workers", "1", *flags)).start()
    for path in objects_of(folder).values():
        path.unlink()
    variables = object_store.credentials
    with running(folder, "--workers", "1", *flags, "--blobs", url, variables=variables) as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, manifests)
        assert_goes_on(client, upload)
        layer = json.loads(manifests["v1"])["layers"][0]["digest"]
        there = client.request("GET", f"/v2/{REPOSITORY}/blobs/{layer}").headers["location"]
        assert there.startswith("/layers/" if encryption == "on" else f"{object_store.endpoint}/")
        openecr("undelete", f"{REPOSITORY}:v0", "--data-dir", str(folder))
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/v0").status == 200
        client.push_image(REPOSITORY, "new")
        assert openecr("fsck", "--data-dir", str(folder), env=with_credentials(object_store)).returncode == 0


def test_metadata_and_layers_go_in_one_move(
    filled: Fill, tmp_path: Path, object_store: ObjectStore, postgres: Cluster
) -> None:
    folder, database = tmp_path / "data", postgres.create_database()
    manifests, upload = filled(folder)
    url = object_store.url(object_store.new_bucket())
    command = ("migrate", "--to", database, "--blobs-to", url, "--data-dir", str(folder))

    told = openecr(*command, env=with_credentials(object_store)).stdout

    assert "found them equal" in told
    with pytest.raises(AssertionError, match="were moved to s3://"):
        Server(folder, free_port(), ("--workers", "1"), database).start()
    with pytest.raises(AssertionError, match="this deployment moved to"):
        Server(folder, free_port(), ("--workers", "1", "--blobs", url), variables=object_store.credentials).start()
    new = tmp_path / "new"
    new.mkdir()
    (new / "root.key").write_bytes((folder / "root.key").read_bytes())
    (new / "root.key").chmod(0o600)
    flags = ("--workers", "1", "--blobs", url)
    with running(new, *flags, database=database, variables=object_store.credentials) as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, manifests)
        assert_goes_on(client, upload)


def test_layers_come_back_and_the_place_between_is_refused(
    filled: Fill, tmp_path: Path, object_store: ObjectStore
) -> None:
    folder = tmp_path / "data"
    manifests, _ = filled(folder)
    url, other = object_store.url(object_store.new_bucket()), f"file://{tmp_path}/other"
    move = ("migrate", "--data-dir", str(folder))
    openecr(*move, "--blobs-to", url, env=with_credentials(object_store))
    openecr(*move, "--blobs", url, "--blobs-to", other, env=with_credentials(object_store))

    back = openecr(*move, "--blobs", other, "--blobs-to", f"file://{folder}/blobs").stdout

    assert "; 0 were copied now (0 bytes)" in back
    with pytest.raises(AssertionError, match="were moved to file://"):
        Server(folder, free_port(), ("--workers", "1", "--blobs", other)).start()
    with running(folder, "--workers", "1") as server:
        assert_pulled(RegistryClient(server.port, server.password()), manifests)


def test_a_move_of_layers_that_was_killed_leaves_all_as_it_was_and_is_run_again(
    filled: Fill, tmp_path: Path, object_store: ObjectStore
) -> None:
    folder, bucket = tmp_path / "data", object_store.new_bucket()
    manifests, _ = filled(folder, images=6, large=bytes(range(256)) * 250_000)
    url = object_store.url(bucket)
    command = [sys.executable, "-m", "openecr", "migrate", "--blobs-to", url, "--data-dir", str(folder)]
    with subprocess.Popen(command, env=with_credentials(object_store)) as killed:
        wait_until(
            lambda: killed.poll() is not None or keys_in(object_store, bucket) & set(objects_of(folder)),
            "the first objects to arrive",
        )
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, "the move ended before it could be killed"

    with running(folder, "--workers", "1") as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, manifests)
        client.push_image(REPOSITORY, "later")
    openecr("migrate", "--blobs-to", url, "--data-dir", str(folder), env=with_credentials(object_store))
    with running(folder, "--workers", "1", "--blobs", url, variables=object_store.credentials) as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, manifests)
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/later").status == 200


def test_a_damaged_layer_is_named_and_nothing_moves(filled: Fill, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    manifests, _ = filled(folder)
    damaged = json.loads(manifests["v2"])["layers"][1]["digest"]
    with running(folder, "--workers", "1") as server:
        rows = server.rows(
            "SELECT b.object_id FROM blob b JOIN blob_digest d ON d.blob_key = b.id WHERE d.digest = :digest",
            digest=b"\x01" + bytes.fromhex(damaged.removeprefix("sha256:")),
        )
    path = objects_of(folder)[str(rows[0][0])]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    move = ("migrate", "--data-dir", str(folder), "--blobs-to", f"file://{tmp_path}/other")

    refused = openecr(*move, check=False)

    assert refused.returncode == 1
    assert refused.stdout == f"damaged or gone: {damaged}, object {path.name}\n"
    assert "the deployment stays where it is" in refused.stderr
    with running(folder, "--workers", "1") as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, {"v1": manifests["v1"]})
    assert openecr("fsck", "--data-dir", str(folder), check=False).returncode == 1
    openecr(*move)
    with running(folder, "--workers", "1", "--blobs", f"file://{tmp_path}/other") as server:
        client = RegistryClient(server.port, server.password())
        assert_pulled(client, {"v1": manifests["v1"]})
        client.push_blob(REPOSITORY, b"own 2")
        assert_pulled(client, manifests)


def test_layers_under_a_key_that_is_disabled_move_too(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with running(folder, "--workers", "1") as server:
        kms = server.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        encrypted = {"encryptionType": "KMS", "kmsKey": key}
        server.client("ecr").create_repository(repositoryName=REPOSITORY, encryptionConfiguration=encrypted)
        client = RegistryClient(server.port, server.password())
        client.push_image(REPOSITORY, "v1", b"a layer")
        kms.disable_key(KeyId=key)

    openecr("migrate", "--data-dir", str(folder), "--blobs-to", f"file://{tmp_path}/other")

    with running(folder, "--workers", "1", "--blobs", f"file://{tmp_path}/other") as server:
        server.client("kms").enable_key(KeyId=key)
        client = RegistryClient(server.port, server.password())
        assert client.pull_blob(REPOSITORY, digest_of(b"a layer")).body == b"a layer"


def test_the_place_where_layers_are_is_refused_by_whatever_name(filled: Fill, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    (tmp_path / "other").symlink_to(folder / "blobs")
    lying = {name: path.read_bytes() for name, path in objects_of(folder).items()}
    move = ("migrate", "--data-dir", str(folder), "--blobs-to", f"file://{tmp_path}/other")

    refused = openecr(*move, check=False)

    assert (refused.returncode, "is where the layers are already" in refused.stderr) == (1, True)
    assert {name: path.read_bytes() for name, path in objects_of(folder).items()} == lying
    with running(folder, "--workers", "1"):
        served = openecr(*move, check=False)
    assert (served.returncode, "already serves the data directory" in served.stderr) == (1, True)


def test_what_arrived_otherwise_is_noticed_and_the_deployment_goes_on(
    filled: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    filled(folder)

    written: list[str] = []

    async def careless(blobs: BlobStore, object_id: str, pieces: AsyncIterator[bytes]) -> int:
        if written:  # the first is a layer's, and proven by its digest
            return await write_object(blobs, object_id, pieces)
        written.append(object_id)
        return await write_object(blobs, object_id, (piece[:-1] + b"?" async for piece in pieces))

    async def moved() -> None:
        async with composed(Settings(data_dir=folder)) as deployment:
            await move_layers.carry(deployment, f"file://{tmp_path}/other", Watcher())

    monkeypatch.setattr(move_layers, "write_object", careless)

    with pytest.raises(BackupRefused, match="did not arrive as it was"):
        asyncio.run(moved())

    with running(folder, "--workers", "1"):
        pass


def test_a_server_that_runs_elsewhere_meanwhile_is_noticed(
    filled: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    filled(folder)

    def turn(db: Connection) -> None:
        jobs.enqueue(db, queue="default", kind="measure-quotas", args="{}", key=None, due_us=0, max_attempts=1)

    async def moved() -> None:
        async with composed(Settings(data_dir=folder)) as deployment:

            async def beside(blobs: BlobStore, object_id: str, pieces: AsyncIterator[bytes]) -> int:
                await deployment.database.write(turn)
                return await write_object(blobs, object_id, pieces)

            monkeypatch.setattr(move_layers, "write_object", beside)
            await move_layers.carry(deployment, f"file://{tmp_path}/other", Watcher())

    with pytest.raises(BackupRefused, match="a server or a worker ran meanwhile"):
        asyncio.run(moved())
