"""Blob push of 200 MB: wall seconds, and CPU-seconds of all processes of the server, 1 and 4 at a time.

Each push is POST, one PATCH with all the bytes, PUT, over a connection of its own; the bytes are random and never
repeat. Wall time runs from the first POST to the last 201. CPU is read when the server rests again, so that work it
put off counts. With 4 at a time, both are for the four together. A last row sends the PATCH as ``docker push`` does,
with chunked transfer encoding in pieces of 32 KiB.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.client import Client
from bench.content import Blob, random_blob
from bench.measurement import Bench, Gate, Row
from bench.processes import cpu_seconds, settled_cpu_seconds
from bench.servers import Server

_REPOSITORY = "bench/pushes"
_WALL_GATE = Gate(0.77, "at most")
_CPU_GATE = Gate(0.7, "at most")
_DOCKER_CHUNK_BYTES = 32 * 1024


def push_at_once(server: Server, repository: str, blobs: list[Blob], chunk_bytes: int | None = None) -> float:
    """Wall seconds to push some blobs at once, a connection each."""

    def push(blob: Blob) -> None:
        with Client(server) as client:
            client.push_blob(repository, blob.digest, memoryview(blob.content), chunk_bytes=chunk_bytes)

    with ThreadPoolExecutor(len(blobs)) as pool:
        start = time.perf_counter()
        list(pool.map(push, blobs))
        return time.perf_counter() - start


class BlobPush:
    """What it costs to take in a large blob."""

    name = "blob-push"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        def one_turn(server: Server, at_once: int, chunk_bytes: int | None) -> dict[str, float]:
            blobs = [random_blob(bench.scale.blob_bytes) for _ in range(at_once)]
            cpu_before = cpu_seconds(server.pid)
            wall_seconds = push_at_once(server, _REPOSITORY, blobs, chunk_bytes)
            return {"wall": wall_seconds, "cpu": settled_cpu_seconds(server.pid) - cpu_before}

        rows = []
        variants: tuple[tuple[str, int, int | None, bool], ...] = (
            ("1 at a time", 1, None, True),
            ("4 at a time", 4, None, True),
            ("1 at a time, in chunks as docker push", 1, _DOCKER_CHUNK_BYTES, False),
        )
        for label, at_once, chunk_bytes, gated in variants:
            bench.say(f"blob push, {label}")
            with bench.fresh_servers() as servers:
                for server in servers.values():
                    server.create_repository(_REPOSITORY)
                    push_at_once(server, _REPOSITORY, [random_blob(1_000_000)])
                turn = partial(one_turn, at_once=at_once, chunk_bytes=chunk_bytes)
                samples = bench.interleave(servers, turn)
            metric = f"blob push, 200 MB, {label}"
            rows.append(samples.row("wall", metric, "s", _WALL_GATE if gated else None))
            rows.append(samples.row("cpu", f"{metric}: server CPU", "CPU-s", _CPU_GATE if gated else None))
        return rows
