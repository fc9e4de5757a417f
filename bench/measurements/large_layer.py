"""A 2 GB layer, pushed and pulled: wall seconds of each, and whether memory stays flat.

First a layer of a tenth of that size goes in and out, then the 2 GB one; flat means that the peak RSS of the largest
process with the second is at most 1.2 times that with the first. The file is sent by the kernel; curl pulls.
"""

import time
from pathlib import Path

from bench.client import Client
from bench.content import random_file
from bench.load import download_bytes_per_second
from bench.measurement import Bench, Gate, Row
from bench.processes import MemoryWatch
from bench.servers import Server

_REPOSITORY = "bench/large"
_FLAT = Gate(1.2, "at most", "value")


class LargeLayer:
    """Whether size costs memory."""

    name = "large-layer"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        def push_and_pull(server: Server, path: Path, digest: str) -> tuple[float, float, float]:
            """Push seconds, pull seconds, peak RSS in bytes."""
            size_bytes = path.stat().st_size
            with MemoryWatch(server.pid) as watch:
                start = time.perf_counter()
                with Client(server) as client:
                    client.push_blob_file(_REPOSITORY, digest, path)
                push_seconds = time.perf_counter() - start
                target = f"/v2/{_REPOSITORY}/blobs/{digest}"
                speed = download_bytes_per_second(server, target, size_bytes=size_bytes, times=1)
            return push_seconds, size_bytes / speed, watch.peak_rss_bytes

        def one_turn(server: Server) -> dict[str, float]:
            _, _, small_peak_bytes = push_and_pull(server, small, small_digest)
            push_seconds, pull_seconds, peak_bytes = push_and_pull(server, large, large_digest)
            return {
                "push": push_seconds,
                "pull": pull_seconds,
                "rss": peak_bytes / 1e6,
                "growth": peak_bytes / small_peak_bytes,
            }

        small, large = bench.folder / "small-layer", bench.folder / "large-layer"
        try:
            small_digest = random_file(small, bench.scale.large_bytes // 10)
            large_digest = random_file(large, bench.scale.large_bytes)
            with bench.fresh_servers() as servers:
                for server in servers.values():
                    server.create_repository(_REPOSITORY)
                samples = bench.interleave(servers, one_turn, rounds=1)
        finally:
            small.unlink(missing_ok=True)
            large.unlink(missing_ok=True)
        metric = f"layer of {bench.scale.large_bytes / 1e9:.3g} GB"
        return [
            samples.row("push", f"{metric}, push", "s"),
            samples.row("pull", f"{metric}, pull", "s"),
            samples.row("rss", f"{metric}, peak memory, largest process", "MB RSS"),
            samples.row("growth", f"{metric}, peak memory over that of a tenth", "times", _FLAT),
        ]
