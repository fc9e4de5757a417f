"""Memory: at rest, and the peak while manifests, pushes and a storm run together.

At rest is three seconds after start. The load is wrk on a manifest at 32 connections, four pushes of 200 MB at once,
again and again, and storms, all at the same time. RSS is told for the largest process of the server (its peak as the
kernel counts it), PSS for all its processes together (the largest of looks 0.1 s apart). MB are 10^6 bytes.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from bench.client import Client
from bench.content import MANIFEST_TYPE, random_blob, random_image
from bench.load import requests_per_second
from bench.measurement import Bench, Gate, Row
from bench.measurements.blob_push import push_at_once
from bench.measurements.storm import storm
from bench.processes import MemoryWatch, memory
from bench.servers import Server

_REPOSITORY = "bench/memory"
_MB = 1e6
_LOAD_GATE = Gate(250, "at most", "value")


class Memory:
    """What a server's processes occupy."""

    name = "memory"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        scale = bench.scale
        image = random_image([scale.storm_layer_bytes] * scale.storm_layers)
        seen: list[str] = []

        def load(server: Server) -> None:
            end = time.monotonic() + 3 * scale.wrk_seconds

            def manifests() -> None:
                path = f"/v2/{_REPOSITORY}/manifests/latest"
                seconds = 3 * scale.wrk_seconds
                requests_per_second(server, path, connections=32, seconds=seconds, headers={"Accept": MANIFEST_TYPE})

            def pushes() -> None:
                blobs = [random_blob(scale.blob_bytes) for _ in range(4)]
                push_at_once(server, _REPOSITORY, blobs)
                while time.monotonic() < end:
                    push_at_once(server, _REPOSITORY, [random_blob(scale.blob_bytes)])

            def storms() -> None:
                while time.monotonic() < end:
                    storm(server, _REPOSITORY, image, scale.storm_clients)

            with ThreadPoolExecutor(3) as pool:
                for running in [pool.submit(manifests), pool.submit(pushes), pool.submit(storms)]:
                    running.result()

        def at_rest(server: Server) -> dict[str, float]:
            found = memory(server.pid)
            return {
                "rest_rss": max(one.rss_bytes for one in found) / _MB,
                "rest_pss": sum(one.pss_bytes for one in found) / _MB,
            }

        def under_load(server: Server) -> dict[str, float]:
            with Client(server) as client:
                client.push_image(_REPOSITORY, image, "latest")
            with MemoryWatch(server.pid) as watch:
                load(server)
            peaks = (f"{one.command} {one.peak_rss_bytes / _MB:.0f}" for one in watch.processes.values())
            seen.append(f"{server.name}: {', '.join(peaks)}")
            return {"load_rss": watch.peak_rss_bytes / _MB, "load_pss": watch.peak_pss_bytes / _MB}

        with bench.fresh_servers() as servers:
            for server in servers.values():
                server.create_repository(_REPOSITORY)
            time.sleep(3)
            rest = bench.interleave(servers, at_rest, rounds=1)
            loaded = bench.interleave(servers, under_load, rounds=1)
        return [
            rest.row("rest_rss", "memory at rest, largest process", "MB RSS"),
            rest.row("rest_pss", "memory at rest, all processes", "MB PSS"),
            loaded.row("load_rss", "peak memory under load, largest process", "MB RSS", _LOAD_GATE, "; ".join(seen)),
            loaded.row("load_pss", "peak memory under load, all processes", "MB PSS"),
        ]
