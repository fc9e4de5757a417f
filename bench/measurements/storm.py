"""A storm: 50 clients pull one image of five 1 MiB layers at once; wall seconds until the last has everything.

Each client opens a connection and takes the manifest by tag, then the config and every layer, redirects followed. The
clients are one process of their own (``bench.storm_client``) that drops the bytes in the kernel, so that the client is
not what is measured; its CPU-seconds are told beside the result.
"""

import json
import subprocess
import sys

from bench.client import Client
from bench.content import MANIFEST_TYPE, Image, random_image
from bench.measurement import Bench, Gate, Row
from bench.processes import cpu_seconds, settled_cpu_seconds
from bench.servers import Server

_REPOSITORY = "bench/storm"
_STORMS_PER_TURN = 3


def storm(server: Server, repository: str, image: Image, clients: int, storms: int = 1) -> list[dict[str, float]]:
    """Let the client process pull; ``wall_seconds`` and ``client_cpu_seconds`` of each storm."""
    order = {
        "host": server.host,
        "port": server.port,
        "headers": dict(server.headers),
        "clients": clients,
        "storms": storms,
        "manifest": {
            "path": f"/v2/{repository}/manifests/latest",
            "accept": MANIFEST_TYPE,
            "size": len(image.manifest),
        },
        "blobs": [
            {"path": f"/v2/{repository}/blobs/{digest}", "size": len(content)}
            for digest, content in image.blobs.items()
        ],
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.storm_client"],
        input=json.dumps(order),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    results: list[dict[str, float]] = json.loads(done.stdout)
    return results


class Storm:
    """How fast many clients get one image at once."""

    name = "storm"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        scale = bench.scale
        image = random_image([scale.storm_layer_bytes] * scale.storm_layers)

        def one_turn(server: Server) -> dict[str, float]:
            cpu_before = cpu_seconds(server.pid)
            results = storm(server, _REPOSITORY, image, scale.storm_clients, _STORMS_PER_TURN)
            cpu = settled_cpu_seconds(server.pid) - cpu_before
            return {
                "wall": sum(result["wall_seconds"] for result in results) / len(results),
                "client_cpu": sum(result["client_cpu_seconds"] for result in results) / len(results),
                "cpu": cpu / len(results),
            }

        with bench.fresh_servers() as servers:
            for server in servers.values():
                server.create_repository(_REPOSITORY)
                with Client(server) as client:
                    client.push_image(_REPOSITORY, image, "latest")
                    assert all(client.blob_digest(_REPOSITORY, digest) == digest for digest in image.blobs)
                storm(server, _REPOSITORY, image, scale.storm_clients)
            samples = bench.interleave(servers, one_turn)
        metric = f"storm: {scale.storm_clients} clients, {scale.storm_layers} layers of 1 MiB"
        return [
            samples.row("wall", metric, "s", Gate(0.7, "at most")),
            samples.row("cpu", f"{metric}: server CPU", "CPU-s"),
            samples.row("client_cpu", f"{metric}: client CPU", "CPU-s"),
        ]
