"""fsck on deployments that were really broken: each kind of damage is found, quarantined or repaired, and told apart
from what merely changes meanwhile."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from openecr.names import Digest
from tests.registry_client import Answer, RegistryClient, digest_of, image_index, image_manifest
from tests.running import OTHER_ACCOUNT, Server, openecr, running
from tests.waiting import wait_until

REPOSITORY = "faults/fsck"
LAYER = bytes(range(256)) * 300
DIGEST = digest_of(LAYER)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1", accounts=(OTHER_ACCOUNT,)) as started:
        started.client("ecr").create_repository(repositoryName=REPOSITORY)
        yield started


@pytest.fixture
def client(server: Server) -> RegistryClient:
    """A client of a registry with an image and an index of it."""
    return filled(server)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of such a registry that was stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    with running(folder, "--workers", "1") as server:
        for name in (REPOSITORY, "faults/second"):
            server.client("ecr").create_repository(repositoryName=name)
        filled(server)
    return folder


def filled(server: Server) -> RegistryClient:
    made = RegistryClient(server.port, server.password())
    made.push_image(REPOSITORY, "v1", LAYER)
    manifest = made.request("GET", f"/v2/{REPOSITORY}/manifests/v1").body
    index = image_index(manifest)
    assert made.push_manifest(REPOSITORY, "all", index, "application/vnd.oci.image.index.v1+json").status == 201
    return made


def fsck(server: Server, *flags: str) -> dict[str, Any]:
    done = openecr("fsck", "--json", "--data-dir", str(server.data_dir), *flags, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if any(not item["repaired"] for item in found["findings"]) else 0)
    return found


def kinds(server: Server, *flags: str) -> list[str]:
    return [item["kind"] for item in fsck(server, *flags)["findings"]]


def sql(server: Server, text: str, **params: Any) -> list[tuple[Any, ...]]:
    """Run a statement behind the server's back, without the constraints that would forbid it."""
    connection = apsw.Connection(str(server.data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(10_000)
    connection.execute("PRAGMA foreign_keys = OFF")
    found = connection.execute(text, params).fetchall()
    connection.close()
    return found


def object_of(server: Server, digest: str) -> Path:
    stored = Digest.parse(digest)
    assert stored is not None
    rows = sql(
        server,
        "SELECT b.object_id FROM blob_digest d JOIN blob b ON b.id = d.blob_key WHERE d.digest = :digest",
        digest=stored.stored,
    )
    object_id = str(rows[0][0])
    return server.data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def head(client: RegistryClient, digest: str = DIGEST) -> int:
    return client.request("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}").status


def test_a_sound_deployment_has_no_findings(server: Server, client: RegistryClient) -> None:
    found = fsck(server)

    assert found["findings"] == []
    assert found["checked"] == {"blobs": 2, "images": 2, "size_bytes": found["checked"]["size_bytes"], "hashed": True}
    assert found["checked"]["size_bytes"] > len(LAYER)


@pytest.mark.parametrize(
    ("damage", "kind", "flags"),
    [
        (flip_a_bit, "blob-bytes", ()),
        (cut, "blob-size", ("--quick",)),
        (lengthen, "blob-size", ("--quick",)),
        (Path.unlink, "blob-missing", ("--quick",)),
    ],
)
def test_damaged_bytes_are_found_served_to_nobody_and_healed_by_the_next_push(
    server: Server, client: RegistryClient, damage: Callable[[Path], None], kind: str, flags: tuple[str, ...]
) -> None:
    path = object_of(server, DIGEST)
    url = client.request("GET", f"/v2/{REPOSITORY}/blobs/{DIGEST}").headers["location"]
    damage(path)
    left = path.read_bytes() if path.exists() else None

    assert kinds(server, *flags) == [kind]

    refused = client.request("GET", f"/v2/{REPOSITORY}/blobs/{DIGEST}")
    assert refused.error[:2] == (404, "BLOB_UNKNOWN")
    assert RegistryClient(server.port, None).request("GET", url).status == 404
    assert head(client) == 404
    told = server.client("ecr").batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=[DIGEST])
    assert told["layers"][0]["layerAvailability"] == "UNAVAILABLE"
    manifest = client.request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    assert manifest.status == 200
    # until the bytes are there, a manifest that names them is refused
    assert client.push_manifest(REPOSITORY, "again", manifest.body).status == 404

    client.push_blob(REPOSITORY, LAYER)

    assert client.pull_blob(REPOSITORY, DIGEST).body == LAYER
    assert client.push_manifest(REPOSITORY, "again", manifest.body).status == 201
    assert kinds(server) == []
    openecr("gc", "--data-dir", str(server.data_dir))
    assert (path.read_bytes() if path.exists() else None) == left


def test_damaged_bytes_stay_through_collection_until_the_operator_lets_them_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENECR_LAYER_URL_SECONDS", "2")
    with running(tmp_path, "--workers", "1") as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        client = RegistryClient(server.port, server.password())
        client.push_image(REPOSITORY, "v1", LAYER)
        path = object_of(server, DIGEST)
        flip_a_bit(path)
        assert kinds(server) == ["blob-bytes"]
        client.push_blob(REPOSITORY, LAYER)
        healed_by = object_of(server, DIGEST)
        # a blob that nothing held since a later moment goes first: then the damaged one's time was over, too
        client.push_blob(REPOSITORY, b"not held")
        other = object_of(server, digest_of(b"not held"))
        sql(server, "UPDATE layer SET promised_until_us = 0")
        wait_until(lambda: _collected(server, other), "an unheld blob went")
        assert path.exists()
        assert healed_by.exists()

        assert kinds(server, "--drop-healed") == []
        wait_until(lambda: _collected(server, path), "the damaged bytes went")

        assert client.pull_blob(REPOSITORY, DIGEST).body == LAYER


def test_an_object_that_came_back_is_served_again(server: Server, client: RegistryClient) -> None:
    path = object_of(server, DIGEST)
    away = path.with_name("away")
    path.rename(away)
    assert kinds(server, "--quick") == ["blob-missing"]
    away.rename(path)
    assert kinds(server, "--quick") == ["blob-quarantined"]

    assert kinds(server, "--quick", "--repair") == ["blob-quarantined"]

    assert kinds(server) == []
    assert client.pull_blob(REPOSITORY, DIGEST).body == LAYER


def test_another_registrys_copy_repairs_a_damaged_layer(server: Server, client: RegistryClient) -> None:
    server.client("ecr", OTHER_ACCOUNT).create_repository(repositoryName="other")
    other = RegistryClient(server.port, server.password(OTHER_ACCOUNT), prefix=f"/{OTHER_ACCOUNT}.us-east-1")
    other.push_image("other", "v1", LAYER)
    damaged = sql(server, "SELECT MIN(blob_key) FROM blob_digest WHERE digest = :d", d=_stored(DIGEST))[0][0]
    object_id = str(sql(server, "SELECT object_id FROM blob WHERE id = :key", key=damaged)[0][0])
    flip_a_bit(server.data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id)

    found = fsck(server, "--repair")["findings"]

    assert [(item["kind"], item["repaired"]) for item in found] == [("blob-bytes", True)]
    assert kinds(server) == []
    assert client.pull_blob(REPOSITORY, DIGEST).body == LAYER
    assert other.pull_blob("other", DIGEST).body == LAYER


def test_an_open_upload_of_the_same_bytes_repairs_a_damaged_layer(server: Server, client: RegistryClient) -> None:
    opened = client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    assert client.request("PATCH", opened.headers["location"], LAYER).status == 202
    object_of(server, DIGEST).unlink()

    assert [item["repaired"] for item in fsck(server, "--repair")["findings"]] == [True]
    assert client.pull_blob(REPOSITORY, DIGEST).body == LAYER


@pytest.fixture
def under_a_key(server: Server) -> str:
    """A repository under a KMS key of its own, with the layer; the key."""
    key: str = server.client("kms").create_key()["KeyMetadata"]["Arn"]
    encryption = {"encryptionType": "KMS", "kmsKey": key}
    server.client("ecr").create_repository(repositoryName="under/a-key", encryptionConfiguration=encryption)
    RegistryClient(server.port, server.password()).push_image("under/a-key", "v1", LAYER)
    return key


def test_a_damaged_layer_stays_quarantined_while_nobody_can_read_it(
    server: Server, client: RegistryClient, under_a_key: str
) -> None:
    of_key = "SELECT object_id FROM blob WHERE encryption_key LIKE 'KMS:%' AND size_bytes = :size"
    object_id = str(sql(server, of_key, size=len(LAYER))[0][0])
    flip_a_bit(server.data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id)
    assert kinds(server) == ["blob-bytes"]
    server.client("kms").disable_key(KeyId=under_a_key)

    found = fsck(server, "--repair")["findings"]

    assert [(item["kind"], item["repaired"]) for item in found] == [("blob-quarantined", False)]
    assert "sound" not in found[0]["what"]
    quarantined = sql(server, "SELECT COUNT(*) FROM blob WHERE quarantined_us IS NOT NULL")
    assert quarantined == [(1,)]
    server.client("kms").enable_key(KeyId=under_a_key)
    assert client.request("GET", f"/v2/under/a-key/blobs/{DIGEST}").error[:2] == (404, "BLOB_UNKNOWN")
    assert [item["repaired"] for item in fsck(server, "--repair")["findings"]] == [True]
    assert client.pull_blob("under/a-key", DIGEST).body == LAYER


def test_a_copy_that_nobody_can_read_is_passed_over_by_a_repair(
    server: Server, client: RegistryClient, under_a_key: str
) -> None:
    server.client("kms").disable_key(KeyId=under_a_key)
    of_other = "SELECT object_id FROM blob WHERE encryption_key = 'AES256:' AND size_bytes = :size"
    object_id = str(sql(server, of_other, size=len(LAYER))[0][0])
    flip_a_bit(server.data_dir / "blobs" / object_id[:2] / object_id[2:4] / object_id)

    found = fsck(server, "--repair")["findings"]

    assert [(item["kind"], item["repaired"]) for item in found] == [("blob-bytes", False)]


def test_a_store_that_is_not_there_quarantines_nothing(server: Server, client: RegistryClient) -> None:
    for number in range(30):
        client.push_blob(REPOSITORY, b"%d" % number)
    blobs = server.data_dir / "blobs"
    blobs.rename(server.data_dir / "elsewhere")
    blobs.mkdir()

    done = openecr("fsck", "--data-dir", str(server.data_dir), check=False)

    assert done.returncode == 1
    assert "are all missing" in done.stderr
    blobs.rmdir()
    (server.data_dir / "elsewhere").rename(blobs)
    assert kinds(server) == []


ROWS: dict[str, tuple[str, bool]] = {
    "manifest-bytes": (
        "UPDATE image SET manifest = CAST(manifest || ' ' AS BLOB) WHERE id = (SELECT MIN(id) FROM image)",
        False,
    ),
    "manifest-fields": ("UPDATE image SET manifest_size_bytes = 1 WHERE id = (SELECT MIN(id) FROM image)", False),
    "image-references": ("DELETE FROM image_layer WHERE position = 1", False),
    "image-size": ("UPDATE image SET image_size_bytes = image_size_bytes + 1", True),
    "tag-elsewhere": (
        "UPDATE tag SET repository_key = (SELECT id FROM repository WHERE name = 'faults/second') WHERE name = 'v1'",
        False,
    ),
    "link-digest": ("UPDATE layer SET blob_key = (SELECT MAX(id) FROM blob)", False),
    "blob-unheld": (
        (
            "INSERT INTO blob (registry_key, encryption_key, object_id, cipher, size_bytes, created_us)"
            " SELECT registry_key, encryption_key, 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa', cipher, 0, 0 FROM blob"
            " LIMIT 1"
        ),
        True,
    ),
    "discarded-in-use": ("INSERT INTO discarded_object SELECT MIN(object_id), 9000000000000000 FROM blob", True),
    "foreign-key": ("UPDATE image_child SET child_key = 999", False),
    "upload-object": (
        (
            "INSERT INTO upload (upload_id, repository_key, principal_key, object_id, offset_bytes, lease_until_us,"
            " created_us, touched_us) SELECT 'u', id, 1, 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa', 5, 0, 0,"
            " 9000000000000000 FROM repository LIMIT 1"
        ),
        False,
    ),
    "job-failed": (
        (
            "INSERT INTO job (queue, kind, args, state, due_us, attempt, max_attempts, error, created_us)"
            " VALUES ('q', 'k', '{}', 'dead', 0, 1, 1, 'it broke', 0)"
        ),
        False,
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_that_was_broken_is_found(stopped: Path, tmp_path: Path, kind: str) -> None:
    server = Server(shutil.copytree(stopped, tmp_path / "data"), 0)
    statement, can_be_repaired = ROWS[kind]
    sql(server, statement)

    assert kind in kinds(server, "--quick")

    if can_be_repaired:
        assert kind in kinds(server, "--quick", "--repair")
        assert kind not in kinds(server, "--quick")


def test_a_deletion_that_would_not_come_back_is_found(server: Server, client: RegistryClient) -> None:
    client.push_image(REPOSITORY, "v2", b"another layer")
    assert client.request("DELETE", f"/v2/{REPOSITORY}/manifests/v2").status == 202
    assert kinds(server) == []
    sql(server, "UPDATE trash SET manifest = x'7b7d' WHERE manifest IS NOT NULL")
    assert kinds(server) == ["trash-manifest"]


def test_nothing_is_found_while_clients_push_and_delete(server: Server, client: RegistryClient) -> None:
    failures: list[Answer] = []
    threads = [threading.Thread(target=_load, args=(client, number, failures)) for number in range(3)]
    for thread in threads:
        thread.start()
    found = []
    while any(thread.is_alive() for thread in threads):
        found += fsck(server)["findings"]
    assert found == []
    assert failures == []


def _load(client: RegistryClient, number: int, failures: list[Answer]) -> None:
    for turn in range(25):
        tag = f"t{number}-{turn}"
        layers = (tag.encode() * 5000, b"shared" * 5000)
        config = json.dumps({"architecture": "amd64", "os": "linux", "about": tag}).encode()
        for content in (config, *layers):
            client.push_blob(REPOSITORY, content)
        answers = [client.push_manifest(REPOSITORY, tag, image_manifest(config, *layers))]
        if turn % 3:
            answers.append(client.request("DELETE", f"/v2/{REPOSITORY}/manifests/{tag}"))
        failures += [answer for answer in answers if answer.status >= 300]


def _collected(server: Server, path: Path) -> bool:
    openecr("gc", "--data-dir", str(server.data_dir))
    return not path.exists()


def _stored(digest: str) -> bytes:
    parsed = Digest.parse(digest)
    assert parsed is not None
    return parsed.stored
