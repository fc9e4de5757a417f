"""100,000 images in one repository: openecr against itself, for the peer has no describe-images.

The images are tiny manifests of one config and layer, each under its own tag. Then, in turn: a page of DescribeImages
(100 images, milliseconds from sending a signed request to the last byte) from the first ten pages and from the last
ten full ones; and a push and a pull of a new manifest in the full repository and in one of a single image. Page time
at the end must stay within 1.5 times the start's, push and pull within 1.25 times.
"""

import json
import statistics
import time

from bench.client import Client, push_many_manifests
from bench.content import random_image, variant
from bench.measurement import Bench, Gate, Row
from bench.servers import OpenEcr, Server

_MANY, _FEW = "bench/many", "bench/few"
_PAGE_IMAGES = 100
_PAGES = 10
_PAGE_ROUNDS = 5
_PUSHES = 200
_CONNECTIONS = 8


class ManyImages:
    """Whether a full repository is slower."""

    name = "many-images"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        # Above the service quota of a repository, so that the last pushes are measured and not refused.
        with OpenEcr(bench.folder / "openecr", 2, {"images_per_repository": "1000000"}) as server:
            assert isinstance(server, OpenEcr)
            return self._measure(bench, server)

    def _measure(self, bench: Bench, server: OpenEcr) -> list[Row]:
        total = bench.scale.many_images
        image = random_image([1024])
        for repository in (_MANY, _FEW):
            server.create_repository(repository)
            with Client(server) as client:
                client.push_image(repository, image, "first")
        bench.say(f"many images: pushing {total} images")
        start = time.perf_counter()
        pairs = ((f"n{number}", variant(image, number)) for number in range(1, total))
        push_many_manifests(server, _MANY, pairs, image.media_type, _CONNECTIONS)
        load_seconds = time.perf_counter() - start
        bench.say(f"many images: {total / load_seconds:.0f} pushes/s; walking all pages")
        first_ms, last_ms = self._page_times(bench, server, total)
        latencies = self._latencies(server, total)
        ratios = {
            what: statistics.median(latencies[what, _MANY]) / statistics.median(latencies[what, _FEW])
            for what in ("push", "pull")
        }
        unchanged = Gate(1.25, "at most", "value")
        metric = f"{total} images"
        return [
            Row(f"{metric}, pushed over {_CONNECTIONS} connections", "images/s", [total / load_seconds]),
            Row(f"{metric}, describe-images page, start", "ms", first_ms),
            Row(f"{metric}, describe-images page, end", "ms", last_ms),
            Row(
                f"{metric}, describe-images page, end over start",
                "times",
                [statistics.median(last_ms) / statistics.median(first_ms)],
                gate=Gate(1.5, "at most", "value"),
            ),
            *(
                row
                for what in ("push", "pull")
                for row in (
                    Row(f"{metric}, {what} of a manifest", "ms", latencies[what, _MANY]),
                    Row(f"{metric}, {what}, over that with 1 image", "times", [ratios[what]], gate=unchanged),
                )
            ),
        ]

    def _page_times(self, bench: Bench, server: OpenEcr, total: int) -> tuple[list[float], list[float]]:
        """Milliseconds of pages at the start and at the end, asked for in turn."""
        tokens: list[str | None] = [None]
        images = 0
        with Client(server) as client:
            while True:
                _, answer = server.call_api(client, "DescribeImages", _page_request(tokens[-1]))
                page = json.loads(answer)
                images += len(page["imageDetails"])
                if not page.get("nextToken"):
                    break
                tokens.append(page["nextToken"])
            assert images == total, f"describe-images lists {images} of {total} images"
            bench.say(f"many images: {len(tokens)} pages")
            full = tokens[:-1]
            first, last = full[:_PAGES], full[-_PAGES:]
            first_ms, last_ms = [], []
            for _ in range(_PAGE_ROUNDS):
                for early, late in zip(first, last, strict=True):
                    first_ms.append(1000 * server.call_api(client, "DescribeImages", _page_request(early))[0])
                    last_ms.append(1000 * server.call_api(client, "DescribeImages", _page_request(late))[0])
        return first_ms, last_ms

    def _latencies(self, server: Server, total: int) -> dict[tuple[str, str], list[float]]:
        """Milliseconds of pushes and pulls of single manifests, in the full and in the small repository in turn."""
        image = random_image([1024])
        found: dict[tuple[str, str], list[float]] = {}
        with Client(server) as client:
            for repository in (_MANY, _FEW):
                client.push_image(repository, image, "latency")
            for number in range(total, total + _PUSHES):
                for repository in (_MANY, _FEW):
                    manifest = variant(image, number)
                    start = time.perf_counter()
                    client.push_manifest(repository, f"n{number}", manifest, image.media_type)
                    pushed = time.perf_counter()
                    client.pull_manifest(repository, f"n{number}", image.media_type)
                    pulled = time.perf_counter()
                    found.setdefault(("push", repository), []).append(1000 * (pushed - start))
                    found.setdefault(("pull", repository), []).append(1000 * (pulled - pushed))
        return found


def _page_request(token: str | None) -> bytes:
    request = {"repositoryName": _MANY, "maxResults": _PAGE_IMAGES}
    return json.dumps(request | ({"nextToken": token} if token else {})).encode()
