"""Collection while clients push, delete and pull: nothing that is promised or named goes, and the rest comes back."""

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.store_check import broken_promises, stored_digests, unnamed_objects
from tests.registry_client import Answer, RegistryClient, digest_of, image_manifest
from tests.running import Server, openecr, running
from tests.waiting import wait_until

REPOSITORY = "faults/collection"
PUSHES = 120
PUSHERS = 3
SHARED = [bytes([number]) * 50_000 for number in range(6)]
SHORT = {"OPENECR_PROMISE_SECONDS": "6", "OPENECR_LAYER_URL_SECONDS": "1", "OPENECR_TRASH_DAYS": "0"}


@dataclass
class Load:
    """What the pushers keep, and every answer that was not a success."""

    kept: dict[str, bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in SHORT.items():
        monkeypatch.setenv(name, value)
    with running(tmp_path, "--workers", "2") as started:
        yield started


def test_pushes_never_fail_while_garbage_is_collected_and_space_comes_back(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    client = RegistryClient(server.port, server.password())
    load = Load()
    threads = [threading.Thread(target=_push_and_delete, args=(client, load, number)) for number in range(PUSHERS)]
    for thread in threads:
        thread.start()

    while any(thread.is_alive() for thread in threads):
        openecr("gc", "--data-dir", str(server.data_dir))

    assert load.failures == []
    for tag, manifest in load.kept.items():
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}").body == manifest
        for layer in json.loads(manifest)["layers"]:
            assert digest_of(client.pull_blob(REPOSITORY, layer["digest"]).body) == layer["digest"]
    wait_until(lambda: _only_named_bytes_are_left(server, load), "the space of deleted images came back")
    server.stop()
    assert broken_promises(server.data_dir) == []


def _push_and_delete(client: RegistryClient, load: Load, number: int) -> None:
    """Push images that share layers, asking for each layer first as Docker does, and delete most of them again."""
    choose = random.Random(number)
    for turn in range(PUSHES // PUSHERS):
        tag = f"t{number}-{turn}"
        layers = [*choose.sample(SHARED, 2), choose.randbytes(20_000)]
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
        manifest = image_manifest(config, *layers)
        for content in (config, *layers):
            digest = digest_of(content)
            if client.request("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}").status == 404:
                _expect(load, client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", content), 201)
        _expect(load, client.push_manifest(REPOSITORY, tag, manifest), 201)
        if turn % 10:
            _expect(load, client.request("DELETE", f"/v2/{REPOSITORY}/manifests/{tag}"), 202)
        else:
            with load.lock:
                load.kept[tag] = manifest


def _expect(load: Load, answer: Answer, status: int) -> None:
    if answer.status != status:
        with load.lock:
            load.failures.append(f"{answer.status} {answer.body!r}")


def _only_named_bytes_are_left(server: Server, load: Load) -> bool:
    """Collect, and see whether the store holds the kept images' layers and nothing else."""
    openecr("gc", "--data-dir", str(server.data_dir))
    named = {
        item["digest"]
        for manifest in load.kept.values()
        for item in (json.loads(manifest)["config"], *json.loads(manifest)["layers"])
    }
    return not unnamed_objects(server.data_dir) and stored_digests(server.data_dir) == named
