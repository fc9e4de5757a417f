"""A data directory of its own: nothing plain on the disk, damage is never served, keys rotate while servers run."""

import http.client
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openecr.keyring import ROOT_KEY_VARIABLE, USES, root_key_path
from tests.api.support import push
from tests.embedded import execute
from tests.faults.processes import children
from tests.faults.store_check import broken_promises, stored_objects, unnamed_objects
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server, free_port, openecr, running
from tests.waiting import wait_until

MARKER = b"the plain bytes of a layer are found nowhere on the disk. "
LAYER = MARKER * 60_000
STORED_SEGMENT = 1024 * 1024 + 28
REPOSITORY = "at/rest"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1") as started:
        yield started


def docker_of(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


def objects_of(server: Server) -> list[Path]:
    return [path for path in (server.data_dir / "blobs").glob("*/*/*") if path.is_file()]


def job_turn(server: Server, kind: str) -> None:
    """Let a schedule's next turn come now, and wait for its end."""
    find = "SELECT id FROM job WHERE kind = ? AND state = 'ready'"
    wait_until(lambda: execute(server.data_dir, find, (kind,)), f"a turn of {kind} is owed")
    (owed,) = execute(server.data_dir, find, (kind,))
    execute(server.data_dir, "UPDATE job SET due_us = 0 WHERE id = ?", owed)
    wait_until(lambda: execute(server.data_dir, find, (kind,)) not in ([], [owed]), f"a turn of {kind} ended", 60)


@pytest.mark.parametrize("kind", ["AES256", "KMS", "KMS_DSSE"])
def test_the_plain_bytes_of_a_layer_are_nowhere_on_the_disk(server: Server, kind: str) -> None:
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY, encryptionConfiguration={"encryptionType": kind})
    docker = docker_of(server)
    push(docker, REPOSITORY, "one", "v1", layers=(LAYER,))
    location = docker.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
    docker.request("PATCH", location, LAYER[:-1])

    assert docker.pull_blob(REPOSITORY, digest_of(LAYER)).body == LAYER
    server.stop()
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 2 * len(LAYER) - 1
    assert [path for path in files if MARKER in path.read_bytes()] == []


def test_data_keys_and_key_material_are_nowhere_plain(server: Server) -> None:
    """What opens a layer is itself closed: the database without the root key reveals no key."""
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY, encryptionConfiguration={"encryptionType": "KMS"})
    docker_of(server).push_blob(REPOSITORY, LAYER)
    server.stop()
    root_key_path(server.data_dir).unlink()

    refused = openecr("serve", "--data-dir", str(server.data_dir), "--port", str(free_port()), check=False)

    assert refused.returncode == 1
    assert "there is no root key" in refused.stderr


@pytest.mark.parametrize("segment", [0, 1, 3])
def test_one_flipped_bit_is_never_served(server: Server, segment: int) -> None:
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    docker = docker_of(server)
    docker.push_blob(REPOSITORY, LAYER)
    url = docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}").headers["location"]
    (path,) = objects_of(server)
    flip(path, segment * STORED_SEGMENT + 700)

    received = received_of(server, url)

    assert received is None or (len(received) < len(LAYER) and LAYER.startswith(received))
    assert len(received or b"") <= segment * 1024 * 1024
    wait_until(lambda: f"segment {segment} of object" in server.log(), "the damage is in the log")
    # Ranges that do not touch the damage are whole, and the worker goes on.
    anonymous = RegistryClient(server.port, None)
    other = 2 * 1024 * 1024
    assert anonymous.request("GET", url, None, Range=f"bytes={other}-{other + 99}").body == LAYER[other : other + 100]


def test_segments_that_change_places_or_are_cut_off_are_never_served(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    docker = docker_of(server)
    docker.push_blob(REPOSITORY, LAYER)
    url = docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}").headers["location"]
    (path,) = objects_of(server)
    whole = path.read_bytes()

    path.write_bytes(whole[STORED_SEGMENT : 2 * STORED_SEGMENT] + whole[:STORED_SEGMENT] + whole[2 * STORED_SEGMENT :])
    assert received_of(server, url) is None
    for length in (len(whole) - 1, 2 * STORED_SEGMENT, 0):
        path.write_bytes(whole[:length])
        assert received_of(server, url) is None
    path.write_bytes(whole)
    assert received_of(server, url) == LAYER


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def received_of(server: Server, url: str) -> bytes | None:
    """The bytes of a 200, however many came; None where the answer was another, or none."""
    connection = http.client.HTTPConnection("localhost", server.port, timeout=30)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        try:
            return answer.read()
        except http.client.IncompleteRead as cut:
            return cut.partial
    except http.client.HTTPException:
        return None
    finally:
        connection.close()


def test_storage_leaves_layers_as_they_are_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1", "--encryption", "storage") as server:
        ecr = server.client("ecr")
        ecr.create_repository(repositoryName=REPOSITORY)
        ecr.create_repository(repositoryName="under/key", encryptionConfiguration={"encryptionType": "KMS"})
        docker = docker_of(server)
        docker.push_blob(REPOSITORY, LAYER)
        docker.push_blob("under/key", LAYER)

        assert "layers are not encrypted by openecr (encryption: storage)" in server.log()
        holding = [path for path in objects_of(server) if MARKER in path.read_bytes()]
        assert len(holding) == 1
        status = openecr("status", "--data-dir", str(tmp_path)).stdout
        assert "encryption      storage: 1 layers encrypted, 1 left to the disk or the object store" in status
        job_turn(server, "encrypt-stored")
        assert holding[0].read_bytes() == LAYER


def test_what_was_stored_before_is_encrypted_while_it_is_pulled(tmp_path: Path) -> None:
    """Also under a disabled key nothing of before is served, and presigned URLs of before go on."""
    layers = [random.Random(number).randbytes(200_000) + MARKER for number in range(12)]
    with running(tmp_path, "--workers", "2", "--encryption", "storage") as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        docker = docker_of(server)
        push(docker, REPOSITORY, "one", "v1", layers=tuple(layers))
    with running(tmp_path, "--workers", "2") as server:
        docker = docker_of(server)
        urls = {
            layer: docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(layer)}").headers["location"]
            for layer in layers
        }
        assert "13 (" in openecr("status", "--data-dir", str(tmp_path)).stdout
        failures: list[str] = []
        ended = threading.Event()

        def load() -> None:
            anonymous = RegistryClient(server.port, None)
            number = 0
            while not ended.is_set():
                layer = layers[number % len(layers)]
                if anonymous.request("GET", urls[layer]).body != layer:
                    failures.append("a presigned URL")
                if docker.pull_blob(REPOSITORY, digest_of(layer)).body != layer:
                    failures.append("a pull")
                docker.push_blob(REPOSITORY, b"pushed meanwhile %d" % number)
                openecr("gc", "--data-dir", str(tmp_path)) if number % 20 == 0 else None
                number += 1

        loading = threading.Thread(target=load)
        loading.start()
        job_turn(server, "encrypt-stored")
        plain = "SELECT COUNT(*) FROM blob WHERE cipher = 'none'"
        wait_until(lambda: execute(tmp_path, plain) == [(0,)], "everything is encrypted")
        ended.set()
        loading.join()

        assert failures == []
        for layer, url in urls.items():
            assert RegistryClient(server.port, None).request("GET", url).body == layer
        # The plain objects wait for the life of their presigned URLs, then they go.
        assert [path for path in objects_of(server) if MARKER in path.read_bytes()] != []
        execute(tmp_path, "UPDATE discarded_object SET due_us = 0")
        openecr("gc", "--data-dir", str(tmp_path))
        assert [path for path in objects_of(server) if MARKER in path.read_bytes()] == []
        assert unnamed_objects(tmp_path) == set()
        assert stored_objects(tmp_path) >= {row[0] for row in execute(tmp_path, "SELECT object_id FROM blob")}
        assert "wait for the job" not in openecr("status", "--data-dir", str(tmp_path)).stdout
    assert broken_promises(tmp_path) == []


def test_a_killed_job_leaves_every_layer_and_no_orphan(tmp_path: Path) -> None:
    layers = [random.Random(number).randbytes(4_000_000) for number in range(10)]
    with running(tmp_path, "--workers", "1", "--encryption", "storage") as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        push(docker_of(server), REPOSITORY, "one", "v1", layers=tuple(layers))
    with running(tmp_path, "--workers", "1") as server:
        execute(tmp_path, "UPDATE job SET due_us = 0 WHERE kind = 'encrypt-stored' AND state = 'ready'")
        some = "SELECT COUNT(*) FROM blob WHERE cipher <> 'none'"
        wait_until(lambda: execute(tmp_path, some)[0][0] >= 2, "some are encrypted")
        for pid in [pid for pid, role in children(server).items() if role == "job"]:
            os.kill(pid, signal.SIGKILL)
        docker = docker_of(server)
        for layer in layers:
            assert docker.pull_blob(REPOSITORY, digest_of(layer)).body == layer
        execute(tmp_path, "UPDATE job SET lease_until_us = 0 WHERE state = 'running'")
        wait_until(lambda: execute(tmp_path, some)[0][0] == 11, "the rest is encrypted", 120)
        execute(tmp_path, "UPDATE discarded_object SET due_us = 0")
        openecr("gc", "--data-dir", str(tmp_path))
        assert unnamed_objects(tmp_path) == set()
        assert stored_objects(tmp_path) >= {row[0] for row in execute(tmp_path, "SELECT object_id FROM blob")}
    assert broken_promises(tmp_path) == []


def test_damage_from_before_is_not_sealed_as_good(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1", "--encryption", "storage") as server:
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        docker_of(server).push_blob(REPOSITORY, LAYER)
        (path,) = objects_of(server)
        flip(path, 1000)
    with running(tmp_path, "--workers", "1") as server:
        job_turn(server, "encrypt-stored")

        assert execute(tmp_path, "SELECT cipher FROM blob") == [("none",)]
        assert "layer not encrypted" in server.log()
        assert "1 (" in openecr("status", "--data-dir", str(tmp_path)).stdout


def test_keys_rotate_while_a_server_runs(server: Server) -> None:
    """New keys of every use: what was signed, sealed and encrypted before goes on, and layers stay shared."""
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    docker = docker_of(server)
    docker.push_blob(REPOSITORY, LAYER)
    url = docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}").headers["location"]

    for use in USES:
        assert "without a restart" in openecr("keys", "rotate", use, "--data-dir", str(server.data_dir)).stdout
    execute(server.data_dir, "UPDATE deployment_key SET created_us = created_us - 60000000")
    newest = execute(server.data_dir, "SELECT id FROM deployment_key WHERE use = 'layer-url' ORDER BY id DESC")[0][0]

    def signs_with_the_new_key() -> bool:
        found = docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}").headers["location"]
        return f"key={newest}&" in found

    wait_until(signs_with_the_new_key, "the running server took the new keys up")
    assert RegistryClient(server.port, None).request("GET", url).body == LAYER
    assert docker.pull_blob(REPOSITORY, digest_of(LAYER)).body == LAYER
    docker.push_blob(REPOSITORY, b"under the new service key")
    ecr.create_repository(repositoryName="at/rest-too")
    docker.push_blob("at/rest-too", LAYER)
    assert execute(server.data_dir, "SELECT COUNT(*) FROM blob WHERE size_bytes > 1000") == [(1,)]
    listed = openecr("keys", "list", "--data-dir", str(server.data_dir)).stdout
    assert listed.count("in use") == len(USES)
    assert listed.count("verifies and opens") == len(USES)


def test_the_root_key_rotates_while_a_server_runs(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    docker = docker_of(server)
    docker.push_blob(REPOSITORY, LAYER)
    before = root_key_path(server.data_dir).read_text()

    openecr("keys", "rotate-root", "--data-dir", str(server.data_dir))
    openecr("keys", "rotate", "layer-url", "--data-dir", str(server.data_dir))

    after = root_key_path(server.data_dir)
    assert after.read_text() != before
    assert len(after.read_text().split()) == 1
    assert after.stat().st_mode & 0o777 == 0o600
    assert docker.pull_blob(REPOSITORY, digest_of(LAYER)).body == LAYER
    for pid in children(server):
        os.kill(pid, signal.SIGKILL)  # whoever starts again opens the keys with the new root key
    wait_until(lambda: answers(docker), "a new worker serves")
    server.stop()
    server.start()
    assert docker.pull_blob(REPOSITORY, digest_of(LAYER)).body == LAYER
    server.stop()
    root_key_path(server.data_dir).write_text(before)
    refused = openecr("serve", "--data-dir", str(server.data_dir), "--port", str(free_port()), check=False)
    assert "the root key does not open this database's keys" in refused.stderr
    root_key_path(server.data_dir).write_text(before)


def answers(docker: RegistryClient) -> bool:
    try:
        return docker.pull_blob(REPOSITORY, digest_of(LAYER)).body == LAYER
    except (OSError, http.client.HTTPException):
        return False


def test_a_root_key_in_a_variable_rotates_with_two_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "ab" * 32, "cd" * 32
    monkeypatch.setenv(ROOT_KEY_VARIABLE, old)
    with running(tmp_path, "--workers", "1"):
        printed = openecr("keys", "rotate-root", "--data-dir", str(tmp_path)).stdout
    (line,) = [text for text in printed.splitlines() if text.startswith(f"{ROOT_KEY_VARIABLE}=")]
    monkeypatch.setenv(ROOT_KEY_VARIABLE, f"{new},{line.partition('=')[2]}")
    with running(tmp_path, "--workers", "1") as server:
        openecr("keys", "rotate-root", "--data-dir", str(tmp_path))
        assert server.password()
    monkeypatch.setenv(ROOT_KEY_VARIABLE, new)
    with running(tmp_path, "--workers", "1") as server:
        assert server.password()
    assert not root_key_path(tmp_path).exists()


def test_a_deleted_key_takes_what_it_encrypted_along(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1", "--clock", "+1d") as server:
        kms, ecr = server.client("kms"), server.client("ecr")
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/gone", TargetKeyId=key["KeyId"])
        configuration = {"encryptionType": "KMS", "kmsKey": "alias/gone"}
        ecr.create_repository(repositoryName=REPOSITORY, encryptionConfiguration=configuration)
        push(docker_of(server), REPOSITORY, "one", "v1", layers=(LAYER,))
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
        job_turn(server, "destroy-keys")
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with running(tmp_path, "--workers", "1", "--clock", "+9d") as server:
        kms, ecr, docker = server.client("kms"), server.client("ecr"), docker_of(server)
        job_turn(server, "destroy-keys")

        missing = f"Key '{key['Arn']}' does not exist"
        assert raised(kms.describe_key, KeyId=key["KeyId"]) == missing
        assert key["KeyId"] not in [item["KeyId"] for item in kms.list_keys()["Keys"]]
        assert kms.list_aliases()["Aliases"] == []
        assert execute(tmp_path, "SELECT state, sealed_material FROM kms_key") == [("Deleted", None)]
        assert docker.request("GET", f"/v2/{REPOSITORY}/manifests/v1").error == (400, "DENIED", missing)
        ecr.delete_repository(repositoryName=REPOSITORY, force=True)


def raised(call: Any, **arguments: Any) -> str:
    with pytest.raises(Exception, match="An error occurred") as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Message"])  # type: ignore[attr-defined]


def test_a_layer_that_is_not_encrypted_yet_is_shut_with_its_key_too(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1", "--encryption", "storage") as server:
        key = server.client("kms").create_key()["KeyMetadata"]
        server.client("ecr").create_repository(repositoryName=REPOSITORY)
        docker = docker_of(server)
        docker.push_blob(REPOSITORY, LAYER)
        execute(tmp_path, "UPDATE repository SET encryption_type = 'KMS', kms_key = ?", (key["Arn"],))
        for table in ("blob", "blob_digest"):
            execute(tmp_path, f"UPDATE {table} SET encryption_key = 'KMS:' || ?", (key["Arn"],))
        url = docker.request("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}").headers["location"]
        assert received_of(server, url) == LAYER

        server.client("kms").disable_key(KeyId=key["KeyId"])

        answer = RegistryClient(server.port, None).request("GET", url)
        assert (answer.status, b"KMS.DisabledException" in answer.body) == (400, True)
