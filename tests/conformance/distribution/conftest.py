"""A registry, and repositories of one test each."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.distribution.requests import new_repository, setting
from tests.registry_client import (
    RegistryClient,
)
from tests.running import Server


@pytest.fixture(scope="module")
def ecr(server: Server) -> Any:
    return server.client("ecr")


@pytest.fixture(scope="module")
def client(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


@pytest.fixture
def name(ecr: Any) -> str:
    return new_repository(ecr)


@pytest.fixture
def other_name(ecr: Any) -> str:
    return new_repository(ecr)


@pytest.fixture
def mounting(ecr: Any) -> Iterator[None]:
    yield from setting(ecr, "BLOB_MOUNTING", "ENABLED")


@pytest.fixture
def sparse(ecr: Any) -> Iterator[None]:
    yield from setting(ecr, "SPARSE_MANIFESTS", "ENABLED")
