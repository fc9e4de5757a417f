"""Backups under a live load, restored elsewhere; backups and restores that were cut or damaged."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from openecr.backup.folder import Folder
from tests.faults.store_check import broken_promises
from tests.postgres import Cluster
from tests.registry_client import RegistryClient, digest_of, image_index, image_manifest
from tests.running import Server, environment, free_port, openecr, running
from tests.waiting import wait_until

REPOSITORY = "faults/backup"
SHORT = {"OPENECR_PROMISE_SECONDS": "1", "OPENECR_LAYER_URL_SECONDS": "2", "OPENECR_TRASH_DAYS": "0"}
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "data"
    folder.mkdir()
    with running(folder, "--workers", "1") as started:
        started.client("ecr").create_repository(repositoryName=REPOSITORY)
        yield started


def client_of(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def pulled(client: RegistryClient, tag: str) -> dict[str, bytes]:
    """Everything that a tag leads to, each verified against its digest."""
    answer = client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}")
    assert answer.status == 200, answer
    found = {answer.headers["docker-content-digest"]: answer.body}
    document = json.loads(answer.body)
    for item in document.get("manifests", ()):
        found |= pulled(client, item["digest"])
    for item in (document["config"], *document["layers"]) if "layers" in document else ():
        content = client.pull_blob(REPOSITORY, item["digest"]).body
        assert digest_of(content) == item["digest"]
        found[item["digest"]] = content
    return found


def tags(client: RegistryClient) -> list[str]:
    return sorted(client.request("GET", f"/v2/{REPOSITORY}/tags/list").json["tags"] or ())


def restored(server: Server, folder: Path, target: Path, *flags: str, database: str | None = None) -> Server:
    """A new data directory from a backup, with the root key that the operator kept."""
    target.mkdir()
    more = ("--database", database) if database else ()
    openecr("restore", str(folder), "--data-dir", str(target), *flags, *more)
    shutil.copy2(server.data_dir / "root.key", target / "root.key")
    return Server(target, free_port(), ("--workers", "1"), database)


@dataclass
class Load:
    """Pushes that stay, and pushes that are deleted again, until told to stop."""

    client: RegistryClient
    stop: threading.Event = field(default_factory=threading.Event)
    kept: dict[str, bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            tag = f"t{number}-{turn}"
            layers = (b"shared" * 4000, tag.encode() * 3000)
            config = json.dumps({"architecture": "amd64", "os": "linux", "about": tag}).encode()
            for content in (config, *layers):
                self.client.push_blob(REPOSITORY, content)
            manifest = image_manifest(config, *layers)
            answer = self.client.push_manifest(REPOSITORY, tag, manifest)
            if answer.status == 201 and turn % 3:
                answer = self.client.request("DELETE", f"/v2/{REPOSITORY}/manifests/{tag}")
            elif answer.status == 201:
                self.kept[tag] = manifest
            if answer.status >= 300:
                self.failures.append(f"{answer.status} {answer.body!r}")
            turn += 1


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_backup_under_load_is_restored_elsewhere_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, engine: str
) -> None:
    for name, value in SHORT.items():
        monkeypatch.setenv(name, value)
    folder, target = tmp_path / "backups", tmp_path / "restored"
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data", "--workers", "1") as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        load = Load(client_of(server))
        threads = [threading.Thread(target=load.run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(load.kept) >= 3, "the first images are pushed")
        before = dict(load.kept)
        for _ in range(3):
            collecting = subprocess.Popen(
                [sys.executable, "-m", "openecr", "gc", "--data-dir", str(server.data_dir)],
                env=environment(),
                stdout=subprocess.DEVNULL,
            )
            said = openecr("backup", str(folder), "--data-dir", str(server.data_dir)).stdout
            assert "root key is not in the backup" in said
            assert collecting.wait(timeout=60) == 0
        load.stop.set()
        for thread in threads:
            thread.join()
        assert load.failures == []
        assert openecr("backup", "--verify", str(folder)).stdout.endswith("is sound\n")
        database = None
        if engine == "postgresql":
            database = request.getfixturevalue("postgres").create_database()
        copy = restored(server, folder, target, database=database)
        copy.start()
        try:
            client = client_of(copy)
            found = tags(client)
            assert set(before) <= set(found)
            for tag in found:
                pulled(client, tag)
            for tag, manifest in before.items():
                assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}").body == manifest
            # new rows take new keys
            client.push_image(REPOSITORY, "after")
            assert openecr("fsck", "--data-dir", str(target)).stdout.endswith("everything agrees\n")
        finally:
            copy.stop()
        if database is None:
            assert broken_promises(target) == []


def test_a_second_backup_copies_only_what_is_new_and_each_can_be_restored(server: Server, tmp_path: Path) -> None:
    client, folder = client_of(server), tmp_path / "backups"
    client.push_image(REPOSITORY, "v1", b"first" * 1000)
    index = image_index(client.request("GET", f"/v2/{REPOSITORY}/manifests/v1").body)
    assert client.push_manifest(REPOSITORY, "all", index, INDEX).status == 201
    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    first = pulled(client, "all")
    client.push_image(REPOSITORY, "v2", b"second" * 1000)
    said = openecr("backup", str(folder), "--data-dir", str(server.data_dir)).stdout
    assert "4 layers, of which 2 were new" in said
    names = [line.split()[0] for line in openecr("backup", "--list", str(folder)).stdout.splitlines()]
    assert len(names) == 2

    old = restored(server, folder, tmp_path / "old", "--at", names[0])
    old.start()
    try:
        assert tags(client_of(old)) == ["all", "v1"]
        assert pulled(client_of(old), "all") == first
    finally:
        old.stop()

    server.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "v2"}])
    said = openecr("backup", str(folder), "--prune", "--keep", "1", "--data-dir", str(server.data_dir)).stdout
    assert "removed 2 backups and 0 layers" in said  # the trash holds them for a week
    assert openecr("backup", "--verify", str(folder)).stdout.endswith("is sound\n")


def test_a_deployment_that_is_not_empty_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    client_of(server).push_image(REPOSITORY, "v1")
    openecr("backup", str(tmp_path / "backups"), "--data-dir", str(server.data_dir))

    served = openecr("restore", str(tmp_path / "backups"), "--data-dir", str(server.data_dir), check=False)
    assert "already serves" in served.stderr
    server.stop()
    refused = openecr("restore", str(tmp_path / "backups"), "--data-dir", str(server.data_dir), check=False)

    assert refused.returncode == 1
    assert "is not empty" in refused.stderr


def test_a_backup_that_was_killed_is_none_and_the_next_one_is_whole(server: Server, tmp_path: Path) -> None:
    client, folder = client_of(server), tmp_path / "backups"
    for number in range(60):
        client.push_blob(REPOSITORY, b"%d" % number * 1000)
    client.push_image(REPOSITORY, "v1")
    killed = subprocess.Popen(
        [sys.executable, "-m", "openecr", "backup", str(folder), "--data-dir", str(server.data_dir)],
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: any((folder / "objects").rglob("*-*")), "the backup copies")
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=60)
    assert list((folder / "snapshots").glob("*/manifest.json")) == []

    refused = openecr("restore", str(folder), "--data-dir", str(tmp_path / "new"), check=False)
    assert (refused.returncode, "was cut" in refused.stderr) == (1, True)

    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    copy = restored(server, folder, tmp_path / "copy")
    copy.start()
    try:
        assert pulled(client_of(copy), "v1") == pulled(client, "v1")
    finally:
        copy.stop()


@pytest.mark.parametrize("target", ["manifest.json", "image.jsonl", "object"])
def test_a_backup_that_was_damaged_is_told_and_not_restored(server: Server, tmp_path: Path, target: str) -> None:
    folder = tmp_path / "backups"
    client_of(server).push_image(REPOSITORY, "v1", b"a layer" * 100)
    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    path = next(
        (folder / ("objects" if target == "object" else "snapshots")).rglob("*-*" if target == "object" else target)
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert openecr("backup", "--verify", str(folder), check=False).returncode == 1
    done = openecr("restore", str(folder), "--data-dir", str(tmp_path / "new"), check=False)

    assert (done.returncode, "damaged" in done.stderr) == (1, True)


def test_a_backup_whose_columns_are_statements_is_not_restored(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    backups = Folder(folder)
    (name,) = backups.names()
    made = backups.manifest(name)
    columns = ["name, value) SELECT name, value FROM deployment; --", "value"]
    backups.write_manifest(name, replace(made, columns=made.columns | {"deployment": columns}))

    done = openecr("restore", str(folder), "--data-dir", str(tmp_path / "new"), check=False)

    assert (done.returncode, "that no openecr wrote" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_what_others_put_beside_backups_is_left_alone(server: Server, tmp_path: Path) -> None:
    folder, outside = tmp_path / "backups", tmp_path / "outside"
    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    (outside / "kept").mkdir(parents=True)
    (folder / "snapshots" / "notes").mkdir()
    (folder / "snapshots" / "README").write_text("ours")
    (folder / "snapshots" / "20260101T000000.000000Z").symlink_to(outside)

    openecr("backup", str(folder), "--prune", "--keep", "1", "--data-dir", str(server.data_dir))

    assert (folder / "snapshots" / "notes").is_dir()
    assert (folder / "snapshots" / "README").read_text() == "ours"
    assert (outside / "kept").is_dir()


def test_a_restore_that_was_killed_is_not_served_and_is_ended_by_running_it_again(
    server: Server, tmp_path: Path
) -> None:
    client, folder, target = client_of(server), tmp_path / "backups", tmp_path / "new"
    for number in range(60):
        client.push_blob(REPOSITORY, b"%d" % number * 1000)
    client.push_image(REPOSITORY, "v1")
    openecr("backup", str(folder), "--data-dir", str(server.data_dir))
    killed = subprocess.Popen(
        [sys.executable, "-m", "openecr", "restore", str(folder), "--data-dir", str(target)],
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: any((target / "blobs").rglob("*-*")), "the restore copies")
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=60)

    refused = openecr("serve", "--data-dir", str(target), "--port", str(free_port()), check=False)
    assert (refused.returncode, "was cut" in refused.stderr) == (2, True)
    assert not (target / "root.key").exists()

    openecr("restore", str(folder), "--data-dir", str(target))
    shutil.copy2(server.data_dir / "root.key", target / "root.key")
    with running(target, "--workers", "1") as copy:
        assert pulled(client_of(copy), "v1") == pulled(client, "v1")


def test_postgresql_is_backed_up_and_restored_into_sqlite(tmp_path: Path, postgres: Cluster) -> None:
    folder = tmp_path / "backups"
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data", "--workers", "1", database=postgres.create_database()) as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        client = client_of(server)
        client.push_image(REPOSITORY, "v1", bytes(range(256)))
        openecr("backup", str(folder), "--data-dir", str(server.data_dir))
        wanted = pulled(client, "v1")
        copy = restored(server, folder, tmp_path / "copy")
    copy.start()
    try:
        assert pulled(client_of(copy), "v1") == wanted
    finally:
        copy.stop()
    assert broken_promises(tmp_path / "copy") == []


def test_a_layer_that_is_damaged_is_not_backed_up_as_if_it_were_sound(server: Server, tmp_path: Path) -> None:
    client_of(server).push_image(REPOSITORY, "v1", b"a layer" * 100)
    largest = max((server.data_dir / "blobs").rglob("*-*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(b"x" * largest.stat().st_size)

    done = openecr("backup", str(tmp_path / "backups"), "--data-dir", str(server.data_dir), check=False)

    assert (done.returncode, "1 layers are damaged" in done.stdout) == (1, True)
    openecr("backup", "--verify", str(tmp_path / "backups"))
