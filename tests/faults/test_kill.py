"""``kill -9`` of any process at any point: what was answered 2xx is there, and nothing dangles."""

import http.client
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.faults.processes import children, is_alive
from tests.faults.store_check import broken_promises
from tests.registry_client import OCI_MANIFEST, RegistryClient, digest_of, image_manifest
from tests.running import Server, free_port
from tests.waiting import wait_until

PUSHES = int(os.environ.get("OPENECR_TEST_CRASH_PUSHES", "200"))
PUSHERS = 4
SEED = int(os.environ.get("OPENECR_TEST_SEED", "1"))
REPOSITORY = "faults/kill"


@dataclass
class Pushes:
    """What the pushers did: acknowledged images by tag, and how many attempts were made."""

    left: int = PUSHES
    attempts: int = 0
    acknowledged: dict[str, tuple[bytes, list[bytes]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_tag(self) -> str | None:
        """The tag of the next attempt; None once there were enough."""
        with self.lock:
            if not self.left:
                return None
            self.left -= 1
            self.attempts += 1
            return f"v{self.attempts}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path, free_port(), ("--workers", "2"))
    started.start()
    yield started
    started.stop()


def test_every_acknowledged_push_survives_kills_of_workers_job_process_and_parent(server: Server) -> None:
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    client = RegistryClient(server.port, server.password())
    pushes = Pushes()
    threads = [threading.Thread(target=_push_all, args=(client, pushes, SEED * 100 + n)) for n in range(PUSHERS)]
    for thread in threads:
        thread.start()

    killed = _kill_at_random(server, pushes, threads)

    assert {"worker", "job", "parent"} <= set(killed)
    assert pushes.acknowledged
    server.stop()
    assert broken_promises(server.data_dir) == []
    server.start()
    for tag, (manifest, blobs) in pushes.acknowledged.items():
        assert client.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}", Accept=OCI_MANIFEST).body == manifest
        for content in blobs:
            assert client.pull_blob(REPOSITORY, digest_of(content)).body == content


def _kill_at_random(server: Server, pushes: Pushes, threads: list[threading.Thread]) -> list[str]:
    """Kill a process after a random number of attempts, again and again; the roles killed."""
    choose = random.Random(SEED)
    killed: list[str] = []
    turn = ["worker", "job", "parent", "worker"]
    while any(thread.is_alive() for thread in threads):
        reached = pushes.attempts + choose.randrange(5, 20)
        wait_until(partial(_reached, pushes, threads, reached), "the pushers went on", 120)
        role = turn[len(killed) % len(turn)]
        victims = [pid for pid, is_a in children(server).items() if is_a == role]
        assert server.process is not None
        everyone = list(children(server))
        os.kill(server.process.pid if role == "parent" else choose.choice(victims or everyone), signal.SIGKILL)
        killed.append(role)
        if role == "parent":
            server.process.wait()
            wait_until(partial(_all_ended, everyone), "the children ended")
            server.start()
        server.wait_until_ready()
    return killed


def _reached(pushes: Pushes, threads: list[threading.Thread], attempts: int) -> bool:
    return pushes.attempts >= attempts or not any(thread.is_alive() for thread in threads)


def _all_ended(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def _push_all(client: RegistryClient, pushes: Pushes, seed: int) -> None:
    """Push images until there were enough attempts; an attempt that fails is not acknowledged."""
    make = random.Random(seed)
    while (tag := pushes.next_tag()) is not None:
        layers = [make.randbytes(make.choice((100, 50_000, 1_500_000))) for _ in range(2)]
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
        manifest = image_manifest(config, *layers)
        try:
            for content in (config, *layers):
                _upload_in_steps(client, content)
            answer = client.push_manifest(REPOSITORY, tag, manifest)
        except (OSError, http.client.HTTPException, _Refused):
            continue
        if answer.status == 201:
            with pushes.lock:
                pushes.acknowledged[tag] = (manifest, [config, *layers])


class _Refused(Exception):
    """The server answered something else than the step's success."""


def _upload_in_steps(client: RegistryClient, content: bytes) -> None:
    """POST, PATCH and PUT, each on its own connection, so that they meet different workers."""
    opened = client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    if opened.status != 202:
        raise _Refused
    appended = client.request("PATCH", opened.headers["location"], content)
    if appended.status != 202:
        raise _Refused
    location = appended.headers["location"]
    finished = client.request("PUT", f"{location}?digest={digest_of(content)}", Content_Length="0")
    if finished.status != 201:
        raise _Refused
