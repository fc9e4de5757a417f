"""Encrypted against unencrypted layers, both of openecr in one run: GET and push of 200 MB.

The row's first column is a server with ``encryption: on``, the second one with ``encryption: storage``, which sends
files without copying them. Measured like ``blob-get`` and ``blob-push``.
"""

from contextlib import ExitStack

from bench.client import Client
from bench.content import random_blob
from bench.measurement import Bench, Gate, Row, Side
from bench.measurements.blob_get import downloads
from bench.measurements.blob_push import push_at_once
from bench.processes import cpu_seconds, settled_cpu_seconds
from bench.servers import OpenEcr, Server

_REPOSITORY = "bench/encryption"
_WORKERS = 2


class Encryption:
    """What encryption at rest costs."""

    name = "encryption"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        blob = random_blob(bench.scale.blob_bytes)
        path = f"/v2/{_REPOSITORY}/blobs/{blob.digest}"

        def get(server: Server) -> dict[str, float]:
            return downloads(server, path, len(blob.content))

        def push(server: Server) -> dict[str, float]:
            cpu_before = cpu_seconds(server.pid)
            wall_seconds = push_at_once(server, _REPOSITORY, [random_blob(bench.scale.blob_bytes)])
            return {"wall": wall_seconds, "push_cpu": settled_cpu_seconds(server.pid) - cpu_before}

        with ExitStack() as stack:
            servers: dict[Side, Server] = {
                "openecr": stack.enter_context(OpenEcr(bench.folder / "encrypted", _WORKERS, {"encryption": "on"})),
                "peer": stack.enter_context(OpenEcr(bench.folder / "plain", _WORKERS, {"encryption": "storage"})),
            }
            for server in servers.values():
                server.create_repository(_REPOSITORY)
                with Client(server) as client:
                    client.push_blob(_REPOSITORY, blob.digest, blob.content)
                    assert client.blob_digest(_REPOSITORY, blob.digest) == blob.digest
            samples = bench.interleave(servers, get)
            pushed = bench.interleave(servers, push)
        note = "the peer of this row is openecr with encryption: storage"
        return [
            samples.row("mb_per_second", "encrypted blob GET, 200 MB", "MB/s", Gate(0.5, "at least"), note),
            samples.row("cpu", "encrypted blob GET, 200 MB: server CPU", "CPU-s/blob", note=note),
            pushed.row("wall", "encrypted blob push, 200 MB", "s", note=note),
            pushed.row("push_cpu", "encrypted blob push, 200 MB: server CPU", "CPU-s", note=note),
        ]
