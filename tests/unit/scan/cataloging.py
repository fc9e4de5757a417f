"""A file as the engine hands it to a cataloger, and what the cataloger says of it."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers import CATALOGERS
from openecr.scan.limits import LIMITS, Limits
from openecr.scan.packages import FileFacts


def facts(cataloger: Cataloger, path: str, content: bytes | str, limits: Limits = LIMITS) -> FileFacts:
    """What the cataloger says; it has to want the file."""
    assert cataloger.name in wanting(path)
    raw = content.encode() if isinstance(content, str) else content
    return cataloger.read(WantedFile(path, len(raw), BytesIO(raw), limits))


def found(cataloger: Cataloger, path: str, content: bytes | str) -> list[str]:
    """Names and versions, those for development marked."""
    return [
        f"{package.name} {package.version}{' (development)' if package.development else ''}"
        for package in facts(cataloger, path, content).packages
    ]


def wanting(path: str) -> set[str]:
    """Names of the catalogers that ask for the path."""
    name = path.rpartition("/")[2]
    return {
        cataloger.name
        for cataloger in CATALOGERS
        if path in cataloger.paths or name in cataloger.names or path.lower().endswith(cataloger.suffixes)
    }


@contextmanager
def within(most_bytes: int) -> Iterator[None]:
    """What is done in here takes no more memory than that at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
