"""A server whose link to the database is cut: it says so in bounded time, serves nothing stale, recovers by itself."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.api.support import push
from tests.many.deployment import Deployment
from tests.registry_client import RegistryClient

CLIENTS = 60
BOUND_SECONDS = 30
"""How long a client of a server that is cut off waits for its answer, whoever else asks at the same time."""


@pytest.fixture
def cut_off(many: Deployment) -> RegistryClient:
    """A client of the first server, whose link to the database the test cuts."""
    return replace(many.docker_at(many.servers[0], many.servers[0].password()), timeout_seconds=BOUND_SECONDS)


def test_a_server_that_is_cut_off_answers_503_in_time_and_serves_nothing_stale(
    many: Deployment, docker: RegistryClient, cut_off: RegistryClient, repository: str
) -> None:
    image = push(docker, repository, "deleted elsewhere", "v1")
    path = f"/v2/{repository}/manifests"
    other = many.servers[1].client("ecr")
    for _ in range(3):
        assert cut_off.request("GET", f"{path}/{image.digest}").status == 200
    many.network.cut("one", "database")
    try:
        other.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": image.digest}])

        def ask(number: int) -> int:
            kind = number % 4
            if kind == 0:
                return cut_off.request("GET", f"{path}/{image.digest}").status
            if kind == 1:
                return cut_off.request("GET", f"{path}/v1").status
            if kind == 2:
                return cut_off.request("POST", f"/v2/{repository}/blobs/uploads/").status
            return cut_off.request("GET", "/readyz").status

        for _ in range(2):
            with ThreadPoolExecutor(CLIENTS) as pool:
                began = time.monotonic()
                answers = Counter(pool.map(ask, range(CLIENTS)))
                print(f"{CLIENTS} answers after {time.monotonic() - began:.1f} s: {answers}")
            assert answers == {503: CLIENTS}
    finally:
        many.network.heal()

    many.servers[0].wait_until_ready()
    assert cut_off.request("GET", f"{path}/{image.digest}").status == 404
    assert push(cut_off, repository, "after", "v2").digest
    pulled = docker.request("GET", f"{path}/v2")
    assert pulled.status == 200


def test_others_serve_while_one_server_is_cut_off(many: Deployment, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "there", "v1")
    password = many.servers[0].password()
    many.network.cut("one", "database")
    try:
        for server in many.servers[1:]:
            at = many.docker_at(server, password)
            assert at.request("GET", f"/v2/{repository}/manifests/v1").body == image.manifest
            push(at, repository, f"by {server.address}", "v2")
    finally:
        many.network.heal()
    many.wait_until_ready()
