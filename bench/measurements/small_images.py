"""Push of 100 small images: wall seconds for all, over 1 and over 8 kept connections.

Each image has a config and one or two layers of 2 to 8 KiB, all its own. It is pushed as Docker does: HEAD, POST,
PATCH, PUT for each blob, then the manifest under a tag.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

from bench.client import Client
from bench.content import Image, random_image
from bench.measurement import Bench, Row
from bench.processes import cpu_seconds, settled_cpu_seconds
from bench.servers import Server

_REPOSITORY = "bench/small"


class SmallImages:
    """What many small pushes cost."""

    name = "small-images"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        numbers = count()

        def push(server: Server, images: list[tuple[int, Image]]) -> None:
            with Client(server) as client:
                for number, image in images:
                    client.push_image(_REPOSITORY, image, f"v{number}")

        def one_turn(server: Server, connections: int) -> dict[str, float]:
            images = [
                (number, random_image([2048 + 61 * (number % 100)] * (1 + number % 2)))
                for number, _ in zip(numbers, range(bench.scale.small_images), strict=False)
            ]
            shares = [images[offset::connections] for offset in range(connections)]
            cpu_before = cpu_seconds(server.pid)
            with ThreadPoolExecutor(connections) as pool:
                start = time.perf_counter()
                list(pool.map(partial(push, server), shares))
                wall_seconds = time.perf_counter() - start
            return {"wall": wall_seconds, "cpu": settled_cpu_seconds(server.pid) - cpu_before}

        rows = []
        for connections in (1, 8):
            bench.say(f"small images, {connections} connections")
            with bench.fresh_servers() as servers:
                for server in servers.values():
                    server.create_repository(_REPOSITORY)
                    push(server, [(next(numbers), random_image([2048]))])
                samples = bench.interleave(servers, partial(one_turn, connections=connections))
            metric = f"push of {bench.scale.small_images} small images, {connections} connection(s)"
            rows.append(samples.row("wall", metric, "s"))
            rows.append(samples.row("cpu", f"{metric}: server CPU", "CPU-s"))
        return rows
