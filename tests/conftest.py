"""Fixtures that several folders share."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.object_store import ObjectStore, running_store
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


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "postgresql-s3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with two workers and two accounts for all tests that only need a registry, on each place for metadata
    and layers; each test uses its own repositories."""
    database = None
    flags: tuple[str, ...] = ("--workers", "2")
    variables: dict[str, str] = {}
    if request.param != "sqlite":
        database = request.getfixturevalue("postgres").create_database()
    if request.param == "postgresql-s3":
        store: ObjectStore = request.getfixturevalue("object_store")
        flags += ("--blobs", store.url(store.new_bucket()))
        variables = store.credentials
    folder = tmp_path_factory.mktemp("openecr")
    with running(folder, *flags, accounts=(OTHER_ACCOUNT,), database=database, variables=variables) as started:
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
