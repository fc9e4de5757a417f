"""Every test of queries and decisions runs on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines import ENGINES, Engine, Postgresql, Sqlite


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh, migrated database."""
    made = Sqlite(tmp_path) if request.param == "sqlite" else Postgresql(request.getfixturevalue("postgres"))
    yield made
    made.close()
