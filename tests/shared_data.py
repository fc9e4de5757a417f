"""Data beside the project that tests may read, and never need: ``../shared``, where it is."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(name: str) -> Path:
    """A file or folder of it; the test is skipped, and says so, where it is absent."""
    path = _SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not here")
    return path
