"""Tags list over 10,000 tags: requests a second of the default listing request, and wall seconds of a full walk.

The tags name variants of one image, 500 tags each (ECR takes at most 1,000 tags an image). The default request is
``GET /v2/<name>/tags/list`` without parameters, by wrk with 8
connections; what each server puts in that answer (a page, or everything) is noted. The walk follows every Link.
"""

import time

from bench.client import Client, push_many_manifests
from bench.content import random_image, variant
from bench.load import requests_per_second
from bench.measurement import Bench, Gate, Row
from bench.servers import Server

_REPOSITORY = "bench/tags"
_CONNECTIONS = 8
_TAGS_PER_IMAGE = 500


class TagsList:
    """How fast tags are listed."""

    name = "tags-list"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        tags = [f"v1.{number}" for number in range(bench.scale.tags)]
        image = random_image([4096])
        manifests = [variant(image, number) for number in range(len(tags) // _TAGS_PER_IMAGE + 1)]

        def load(server: Server) -> int:
            """Push the tags; the number of tags in the default answer."""
            server.create_repository(_REPOSITORY)
            with Client(server) as client:
                client.push_image(_REPOSITORY, image, tags[0])
                pairs = ((tag, manifests[number // _TAGS_PER_IMAGE]) for number, tag in enumerate(tags[1:]))
                push_many_manifests(server, _REPOSITORY, pairs, image.media_type, _CONNECTIONS)
                pages = list(client.tag_pages(_REPOSITORY))
            listed = [tag for page in pages for tag in page]
            assert sorted(listed) == sorted(tags), f"{server.name} lists {len(listed)} of {len(tags)} tags"
            return len(pages[0])

        def one_turn(server: Server) -> dict[str, float]:
            path = f"/v2/{_REPOSITORY}/tags/list"
            seconds = bench.scale.wrk_seconds
            values = {
                "default": requests_per_second(server, path, connections=_CONNECTIONS, seconds=seconds),
                "n": requests_per_second(server, f"{path}?n=1000", connections=_CONNECTIONS, seconds=seconds),
            }
            with Client(server) as client:
                start = time.perf_counter()
                listed = sum(len(page) for page in client.tag_pages(_REPOSITORY))
                values["walk"] = time.perf_counter() - start
            assert listed == len(tags)
            return values

        with bench.fresh_servers() as servers:
            answered = {}
            for side, server in servers.items():
                bench.say(f"tags list: pushing {len(tags)} tags to {side}")
                answered[side] = load(server)
            samples = bench.interleave(servers, one_turn)
        note = "tags in the default answer: " + ", ".join(f"{side} {number}" for side, number in answered.items())
        metric = f"tags list of {len(tags)}"
        return [
            samples.row("default", f"{metric}, default request", "requests/s", Gate(5, "at least"), note),
            samples.row("n", f"{metric}, n=1000", "requests/s", None, "docker-registry 2.8 ignores n and sends all"),
            samples.row("walk", f"{metric}, full walk, 1 connection", "s"),
        ]
