"""The machine on which the course is taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Machine, machine

BLOCKS = Path(__file__).parent


@pytest.fixture(scope="session")
def untrusting(debian: None, aws_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine before it trusts the registry's CA."""
    with machine(tmp_path_factory.mktemp("course"), 0, aws_programs) as started:
        yield started
