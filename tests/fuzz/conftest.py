"""How much is fuzzed: half a minute, always the same; ``FUZZ_TIMES=20`` tries twenty times as much, at random."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.running import OTHER_ACCOUNT, Server, running

_times = int(os.environ.get("FUZZ_TIMES", "0"))
FUZZED = settings(
    max_examples=2000 * max(_times, 1),
    derandomize=not _times,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
"""For every test of this folder."""


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the fuzz's own, because it changes settings and deletes; its log must hold no fault at the end."""
    database = request.getfixturevalue("postgres").create_database() if request.param == "postgresql" else None
    folder = tmp_path_factory.mktemp("fuzzed")
    with running(folder, "--workers", "2", accounts=(OTHER_ACCOUNT,), database=database) as server:
        yield server
        log = server.log()
    assert "Traceback" not in log, log[-4000:]
    assert "request failed" not in log, log[-4000:]
