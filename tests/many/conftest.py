"""One deployment of three servers for all tests that leave it whole."""

from collections.abc import Iterator

import pytest

from tests.many.deployment import Deployment, deployment
from tests.registry_client import RegistryClient


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Three servers behind a proxy."""
    with deployment(tmp_path_factory.mktemp("many"), 0) as running:
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
