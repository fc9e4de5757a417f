"""The places where a server has its metadata and its layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.object_store import ObjectStore
from tests.running import OTHER_ACCOUNT, Server, running

PLACES = ("sqlite", "postgresql", "postgresql-s3")
"""One machine's default, a database server, and an object store too."""
ON_ONE_PLACE = pytest.mark.places("sqlite")
"""For tests of what is decided before rows and layers; the same as no mark, where the rest of the file has another."""
ON_DATABASES = pytest.mark.places("sqlite", "postgresql")
"""For tests of what only rows decide."""
ON_EVERY_PLACE = pytest.mark.places(*PLACES)
"""For tests of what layers, or rows and layers, decide."""
ON_AN_OBJECT_STORE_TOO = pytest.mark.places("sqlite", "postgresql-s3")
"""For one push and pull of each real client: there it is sent to the store."""


def places_of(item: pytest.Item) -> tuple[str, ...]:
    """Where a test runs: where its mark says, the one that is nearest if several do; SQLite without one."""
    mark = item.get_closest_marker("places")
    return PLACES[:1] if mark is None else mark.args


@contextmanager
def running_on(
    place: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with two workers and two accounts, with its metadata and layers on one of ``PLACES``."""
    database = None
    flags: tuple[str, ...] = ("--workers", "2")
    variables: dict[str, str] = {}
    if place != "sqlite":
        database = request.getfixturevalue("postgres").create_database()
    if place == "postgresql-s3":
        store: ObjectStore = request.getfixturevalue("object_store")
        flags += ("--blobs", store.url(store.new_bucket()))
        variables = store.credentials
    folder = tmp_path_factory.mktemp("openecr")
    with running(folder, *flags, accounts=(OTHER_ACCOUNT,), database=database, variables=variables) as started:
        yield started
