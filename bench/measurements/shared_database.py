"""Manifest GET with the metadata in PostgreSQL, against the same server with its embedded database, in the same run.

Here the embedded openecr is the peer: what does a shared database cost a pull? By tag a request is one round trip; by
digest, once the row is kept, none.
"""

from contextlib import ExitStack
from typing import cast

from tests.postgres import running_cluster
from tests.running import free_port

from bench.client import Client
from bench.content import random_image
from bench.measurement import Bench, Gate, Row, Side
from bench.measurements.manifest_get import manifests_per_second
from bench.servers import OpenEcr, Server

_REPOSITORY = "bench/shared"
_NOTE = "the peer of this row is openecr with its embedded database, two workers each"


class SharedDatabase:
    """What PostgreSQL costs the pull of a manifest."""

    name = "shared-database"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        image = random_image([4096, 4096])

        def one_turn(server: Server) -> dict[str, float]:
            return manifests_per_second(server, _REPOSITORY, image.digest, bench.scale.wrk_seconds)

        with ExitStack() as stack:
            cluster = stack.enter_context(running_cluster(free_port()))
            shared = OpenEcr(bench.folder / "shared", 2, {"database": cluster.create_database()})
            embedded = OpenEcr(bench.folder / "embedded", 2)
            servers: dict[Side, Server] = {
                "openecr": stack.enter_context(cast("Server", shared)),
                "peer": stack.enter_context(cast("Server", embedded)),
            }
            for server in servers.values():
                server.create_repository(_REPOSITORY)
                with Client(server) as client:
                    client.push_image(_REPOSITORY, image, "latest")
            samples = bench.interleave(servers, one_turn)
        return [
            samples.row("tag", "PostgreSQL: manifest GET by tag", "requests/s", Gate(0.25, "at least"), _NOTE),
            samples.row("digest", "PostgreSQL: manifest GET by digest", "requests/s", Gate(0.8, "at least"), _NOTE),
        ]
