"""What hostile images are bounded by."""

from dataclasses import dataclass


class LimitExceeded(Exception):
    """An archive is larger, deeper or more crowded than is read; the message says which, for the scan's description."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one layer, and of what is read from it."""

    layer_bytes: int = 20 << 30
    """Uncompressed."""
    ratio: int = 1000
    """Uncompressed to compressed, once ``ratio_from_bytes`` have come out."""
    ratio_from_bytes: int = 100 << 20
    entries: int = 2_000_000
    depth: int = 256
    path_bytes: int = 4096
    header_bytes: int = 1 << 20
    """Of a pax or GNU long header."""
    file_bytes: int = 1 << 30
    """Of a file that a cataloger wants; larger ones are warned of."""
    text_bytes: int = 64 << 20
    """Of a text that is parsed as a whole (JSON, YAML, TOML, XML, package databases)."""
    archive_depth: int = 8
    """Jars in jars."""
    archive_bytes: int = 1 << 30
    """Inflated from one jar, with those in it."""
    archive_entries: int = 100_000
    packages: int = 200_000
    """Of one layer."""
    inventory_bytes: int = 256 << 20
    """Of paths and facts that are kept of one layer."""
    memory_bytes: int = 2 << 30
    """Of the process that reads layers."""
    layer_seconds: int = 1200
    """That reading one layer may take it."""


LIMITS = Limits()
