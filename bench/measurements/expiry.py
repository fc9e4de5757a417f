"""Pulls while a lifecycle policy expires 50,000 images: the 99th percentile of a manifest GET, beside that of an idle
server.

One client, a process of its own, asks a hundred times a second for an image of another repository, as deployments do;
it waits between requests, so that it does not take the processor that the server needs. The images are rows, one layer
each, as pushes leave them.
"""

import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import apsw

from bench.client import Client
from bench.content import random_image
from bench.measurement import Bench, Gate, Row
from bench.servers import OpenEcr

_EXPIRING, _PULLED = "bench/expiring", "bench/pulled"
_KEPT = 100
_PAUSE_SECONDS = 0.01
_IDLE_SECONDS = 20.0
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + :count) "
_FILL = (
    (
        "INSERT INTO blob (id, registry_key, encryption_key, object_id, cipher, size_bytes, created_us)"
        " SELECT i, :registry, 'AES256:', printf('%08x-0000-4000-8000-000000000000', i), 'none', 1, 1 FROM n"
    ),
    (
        "INSERT INTO layer (id, repository_key, digest, blob_key, promised_until_us, linked_us)"
        " SELECT i, :repository, unhex(printf('01%064x', i)), i, 1, 1 FROM n"
    ),
    (
        "INSERT INTO image (id, repository_key, digest, media_type, manifest_size_bytes, image_size_bytes, pushed_us,"
        " ever_tagged, status, manifest) SELECT i, :repository, unhex(printf('01%064x', i)), 'm', 1, 1, i, 1,"
        " 'ACTIVE', x'7b7d' FROM n"
    ),
    "INSERT INTO image_layer (image_key, position, layer_key, media_type) SELECT i, 0, i, 'm' FROM n",
    "INSERT INTO tag (repository_key, name, image_key, moved_us) SELECT :repository, printf('v%d', i), i, 1 FROM n",
)
_POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": _KEPT},
            "action": {"type": "expire"},
        }
    ]
}


class Expiry:
    """What a great expiry costs those who pull."""

    name = "expiry"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        count = bench.scale.expired_images
        with OpenEcr(bench.folder / "openecr", 2, {"lifecycle_delay": "0"}) as server:
            assert isinstance(server, OpenEcr)
            for name in (_EXPIRING, _PULLED):
                server.create_repository(name)
            with Client(server) as client:
                client.push_image(_PULLED, random_image([1000]), "v1")
            bench.say(f"expiry: filling {count} images")
            _fill(server, count)
            with _Pulling(server) as idle:
                time.sleep(_IDLE_SECONDS)
            bench.say("expiry: the policy runs")
            began = time.monotonic()
            with _Pulling(server) as busy:
                server.put_lifecycle_policy(_EXPIRING, json.dumps(_POLICY))
                while (left := _images(server)) > _KEPT:
                    bench.say(f"  {left} images are left")
                    time.sleep(5)
                seconds = time.monotonic() - began
        before, during = idle.percentile(0.99), busy.percentile(0.99)
        return [
            Row(f"pulls, idle: p99 of {len(idle.latencies_ms)}", "ms", [before]),
            Row(f"pulls while {count} images expire: p99 of {len(busy.latencies_ms)}", "ms", [during]),
            Row("  times the idle one", "", [during / before], gate=Gate(2, "at most", on="value")),
            Row("  medians: idle, then busy", "ms", [idle.percentile(0.5), busy.percentile(0.5)]),
            Row("  images expired a second", "", [(count - _KEPT) / seconds]),
        ]


class _Pulling:
    """Pulls at a pace for as long as the block lasts."""

    def __init__(self, server: OpenEcr) -> None:
        self.latencies_ms: list[float] = []
        context = multiprocessing.get_context("spawn")
        self._answers, sender = context.Pipe()
        address = _Address(server.host, server.port, dict(server.headers))
        self._process = context.Process(target=_pull, args=(address, sender))

    def __enter__(self) -> "_Pulling":
        self._process.start()
        assert self._answers.recv() == "began"
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.send("end")
        self.latencies_ms = sorted(self._answers.recv())
        self._process.join()

    def percentile(self, share: float) -> float:
        """The latency that this share of the pulls did not exceed."""
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


class _Address:
    """What a client needs to know of a server, for another process."""

    def __init__(self, host: str, port: int, headers: dict[str, str]) -> None:
        self.host, self.port, self.headers = host, port, headers


def _pull(address: _Address, answers: "Connection[Any, Any]") -> None:
    latencies_ms: list[float] = []
    with Client(address) as client:
        client.request("GET", f"/v2/{_PULLED}/manifests/v1", (200,))
        answers.send("began")
        while not answers.poll(_PAUSE_SECONDS):
            began = time.perf_counter()
            client.request("GET", f"/v2/{_PULLED}/manifests/v1", (200,))
            latencies_ms.append((time.perf_counter() - began) * 1000)
    answers.send(latencies_ms)


def _fill(server: OpenEcr, count: int) -> None:
    connection = apsw.Connection(str(server.data_dir / "openecr.db"))
    connection.set_busy_timeout(60_000)
    ((repository, registry),) = connection.execute(
        "SELECT id, registry_key FROM repository WHERE name = ?", (_EXPIRING,)
    ).fetchall()
    wanted = {"count": count, "repository": repository, "registry": registry}
    with connection:
        for statement in _FILL:
            table, _, rest = statement.partition(" SELECT ")
            asked = {name: value for name, value in wanted.items() if f":{name}" in _NUMBERS + statement}
            connection.execute(f"{_NUMBERS}{table} SELECT {rest}", asked)
    connection.close()


def _images(server: OpenEcr) -> int:
    connection = apsw.Connection(str(server.data_dir / "openecr.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(60_000)
        counted = "SELECT COUNT(*) FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = ?"
        found: int = connection.execute(counted, (_EXPIRING,)).get
        return found
    finally:
        connection.close()
