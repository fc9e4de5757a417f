"""Fixtures that several folders share."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.object_store import ObjectStore, running_store
from tests.running import OTHER_ACCOUNT, Server, running

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
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with two workers and two accounts for all tests that only need a registry; each test uses its own
    repositories. With OPENECR_TEST_BLOBS=s3 its layers are in the object store, and served by the layers plane."""
    flags: tuple[str, ...] = ("--workers", "2")
    variables: dict[str, str] = {}
    if os.environ.get("OPENECR_TEST_BLOBS") == "s3":
        store: ObjectStore = request.getfixturevalue("object_store")
        flags += ("--blobs", store.url(store.new_bucket(), redirect="off"))
        variables = store.credentials
    folder = tmp_path_factory.mktemp("openecr")
    with running(folder, *flags, accounts=(OTHER_ACCOUNT,), variables=variables) as started:
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
