"""Fixtures that several folders share."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Cluster, running_cluster
from tests.running import OTHER_ACCOUNT, Server, free_port, running

_numbers = count(1)

# Nothing random is judged by the clock of a loaded machine; in CI the same examples are tried every time.
settings.register_profile(
    "openecr",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    database=None,
)
settings.load_profile("openecr")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for all tests; each takes a database of its own."""
    with running_cluster(free_port()) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with two workers and two accounts for all tests that only need a registry, on each engine; each test
    uses its own repositories."""
    database = None
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").create_database()
    folder = tmp_path_factory.mktemp("openecr")
    with running(folder, "--workers", "2", accounts=(OTHER_ACCOUNT,), database=database) as started:
        yield started


@pytest.fixture
def repository_name() -> str:
    """A repository name that no other test uses."""
    return f"test/repository-{next(_numbers)}"
