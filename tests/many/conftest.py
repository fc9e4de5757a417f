"""One deployment of three servers for all tests that leave it whole."""

from collections.abc import Iterator

import pytest

from tests.many.deployment import Deployment, deployment
from tests.registry_client import RegistryClient


@pytest.fixture(scope="session", params=["direct", "pooled"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Three servers behind a proxy, on PostgreSQL and on PostgreSQL behind a pooler in transaction mode."""
    with deployment(tmp_path_factory.mktemp("many"), 0, with_pooler=request.param == "pooled") as running:
        yield running


@pytest.fixture(scope="session")
def docker(many: Deployment) -> RegistryClient:
    """The dkr plane through the proxy: each request goes to the next server."""
    return many.docker(many.servers[0].password())


@pytest.fixture
def repository(many: Deployment, repository_name: str) -> str:
    """An empty repository."""
    many.servers[0].client("ecr").create_repository(repositoryName=repository_name)
    return repository_name
