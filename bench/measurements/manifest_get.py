"""Manifest GET by tag and by digest: requests a second at 32 connections.

One image of two small layers is pushed; wrk asks for its manifest over and over, one thread, connections kept open.
"""

from bench.client import Client
from bench.content import MANIFEST_TYPE, random_image
from bench.load import requests_per_second
from bench.measurement import Bench, Gate, Row
from bench.servers import Server

_REPOSITORY = "bench/manifests"
_CONNECTIONS = 32
_GATE = Gate(5, "at least")


def manifests_per_second(server: Server, repository_name: str, digest: str, seconds: float) -> dict[str, float]:
    """Requests a second for one manifest, by its tag ``latest`` and by its digest."""
    return {
        key: requests_per_second(
            server,
            f"/v2/{repository_name}/manifests/{reference}",
            connections=_CONNECTIONS,
            seconds=seconds,
            headers={"Accept": MANIFEST_TYPE},
        )
        for key, reference in (("tag", "latest"), ("digest", digest))
    }


class ManifestGet:
    """How fast manifests are served."""

    name = "manifest-get"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        image = random_image([4096, 4096])

        def one_turn(server: Server) -> dict[str, float]:
            return manifests_per_second(server, _REPOSITORY, image.digest, bench.scale.wrk_seconds)

        with bench.fresh_servers() as servers:
            for server in servers.values():
                server.create_repository(_REPOSITORY)
                with Client(server) as client:
                    client.push_image(_REPOSITORY, image, "latest")
                    assert client.pull_manifest(_REPOSITORY, image.digest, MANIFEST_TYPE) == image.manifest
            samples = bench.interleave(servers, one_turn)
        return [
            samples.row("tag", "manifest GET by tag, 32 connections", "requests/s", _GATE),
            samples.row("digest", "manifest GET by digest, 32 connections", "requests/s", _GATE),
        ]
