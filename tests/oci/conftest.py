"""Clients of the shared server: the account that owns everything, one that owns nothing, and an insider."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from tests.oci.insider import Insider
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

_numbers = count(1)


@pytest.fixture(scope="session")
def insider(server: Server) -> Insider:
    return Insider(server)


@pytest.fixture(scope="session")
def ecr(server: Server) -> Any:
    """The api plane as the administrator of the default account."""
    return server.client("ecr")


@pytest.fixture(scope="session")
def registry(server: Server) -> RegistryClient:
    """The dkr plane as the administrator of the default account."""
    return RegistryClient(server.port, server.password())


@pytest.fixture(scope="session")
def stranger(server: Server) -> RegistryClient:
    """The dkr plane's default registry as the administrator of another account."""
    return RegistryClient(server.port, server.password(OTHER_ACCOUNT))


@pytest.fixture(scope="session")
def anonymous(server: Server) -> RegistryClient:
    """The dkr plane without credentials."""
    return RegistryClient(server.port, None)


@pytest.fixture(scope="session")
def powerless(server: Server, insider: Insider) -> RegistryClient:
    """The dkr plane as a principal of the default account that may do nothing."""
    access_key_id = insider.add_principal(DEFAULT_ACCOUNT, "powerless", administrator=False)
    return RegistryClient(server.port, insider.password(access_key_id))


@pytest.fixture
def repository(ecr: Any) -> str:
    """A new, empty repository with mutable tags."""
    name = f"oci/repository-{next(_numbers)}"
    ecr.create_repository(repositoryName=name)
    return name


@pytest.fixture
def other_repository(ecr: Any) -> str:
    """A second one."""
    name = f"oci/other-{next(_numbers)}"
    ecr.create_repository(repositoryName=name)
    return name


@contextmanager
def account_setting(ecr: Any, name: str, value: str) -> Iterator[None]:
    """A setting of the shared registry, put back at the end."""
    before = ecr.get_account_setting(name=name)["value"]
    ecr.put_account_setting(name=name, value=value)
    try:
        yield
    finally:
        ecr.put_account_setting(name=name, value=before)


@pytest.fixture
def blob_mounting(ecr: Any) -> Iterator[None]:
    with account_setting(ecr, "BLOB_MOUNTING", "ENABLED"):
        yield


@pytest.fixture
def sparse_manifests(ecr: Any) -> Iterator[None]:
    with account_setting(ecr, "SPARSE_MANIFESTS", "ENABLED"):
        yield


@pytest.fixture
def identical_push_accepted(ecr: Any) -> Iterator[None]:
    with account_setting(ecr, "IDENTICAL_IMMUTABLE_PUSH", "ACCEPTED"):
        yield
