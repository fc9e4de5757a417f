"""The places where a server has its metadata and its layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.object_store import ObjectStore
from tests.running import OTHER_ACCOUNT, Server, running

PLACES = ("sqlite", "postgresql", "postgresql-s3")
"""One machine's default, a database server, and an object store too."""


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
