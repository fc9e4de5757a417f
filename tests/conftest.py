"""Fixtures that several folders share."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.object_store import ObjectStore, running_store
from tests.places import places_of, running_on
from tests.postgres import Cluster, running_cluster
from tests.running import Server, free_port

_numbers = count(1)

# Nothing random is judged by the clock of a loaded machine. What is tried is the same every time, so that a change is
# judged by what it changes; OPENECR_TEST_EXPLORE=1 tries other examples.
settings.register_profile(
    "openecr",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="OPENECR_TEST_EXPLORE" not in os.environ,
    database=None,
)
settings.load_profile("openecr")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for all tests; each takes a database of its own."""
    with running_cluster(free_port()) as cluster:
        yield cluster


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of the shared server runs once on each of its places."""
    if "place" in metafunc.fixturenames:
        metafunc.parametrize("place", places_of(metafunc.definition), scope="session", indirect=True)


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> str:
    """Where the shared server has its metadata and layers."""
    return str(request.param)


@pytest.fixture(scope="session")
def server(place: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with two workers and two accounts for all tests that only need a registry; each test uses its own
    repositories."""
    with running_on(place, request, tmp_path_factory) as started:
        yield started


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One S3-compatible store for all tests; each makes its own buckets."""
    with running_store(tmp_path_factory.mktemp("object-store")) as started:
        yield started


@pytest.fixture(scope="session")
def bucket(object_store: ObjectStore) -> str:
    """A bucket that tests share; objects have ids of their own."""
    return object_store.new_bucket()


@pytest.fixture
def repository_name() -> str:
    """A repository name that no other test uses."""
    return f"test/repository-{next(_numbers)}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs real clients comes last: pytest gathers by server first, which would put it in the middle."""
    items.sort(key=lambda item: "e2e" in item.path.parts)
