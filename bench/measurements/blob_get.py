"""Blob GET of 200 MB: bytes a second of one download at a time, the redirect followed and its time counted.

curl fetches the blob three times a turn over one connection into /dev/null. The bytes are in the page cache. The
server's CPU-seconds per blob are told beside it, because curl and the server share the machine.
"""

from bench.client import Client
from bench.content import random_blob
from bench.load import download_bytes_per_second
from bench.measurement import Bench, Gate, Row
from bench.processes import cpu_seconds, settled_cpu_seconds
from bench.servers import Server

_REPOSITORY = "bench/blobs"
_TIMES = 3


def downloads(server: Server, path: str, size_bytes: int) -> dict[str, float]:
    """The speed of a blob's GETs one after another, and the server's CPU seconds for each."""
    cpu_before = cpu_seconds(server.pid)
    speed = download_bytes_per_second(server, path, size_bytes=size_bytes, times=_TIMES)
    return {"mb_per_second": speed / 1e6, "cpu": (settled_cpu_seconds(server.pid) - cpu_before) / _TIMES}


class BlobGet:
    """How fast a large blob is served."""

    name = "blob-get"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        blob = random_blob(bench.scale.blob_bytes)
        path = f"/v2/{_REPOSITORY}/blobs/{blob.digest}"

        def one_turn(server: Server) -> dict[str, float]:
            return downloads(server, path, len(blob.content))

        with bench.fresh_servers() as servers:
            for server in servers.values():
                server.create_repository(_REPOSITORY)
                with Client(server) as client:
                    client.push_blob(_REPOSITORY, blob.digest, blob.content)
                    assert client.blob_digest(_REPOSITORY, blob.digest) == blob.digest
            samples = bench.interleave(servers, one_turn)
        return [
            samples.row("mb_per_second", "blob GET, 200 MB", "MB/s", Gate(0.65, "at least")),
            samples.row("cpu", "blob GET, 200 MB: server CPU", "CPU-s/blob"),
        ]
