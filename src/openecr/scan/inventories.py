"""Inventories of layers as bytes, as they are kept and as the indexing process hands them over."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import orjson
import zstandard

from openecr.scan.cataloger import Cataloger
from openecr.scan.catalogers import CATALOGERS
from openecr.scan.packages import Distribution, FileFacts, LayerInventory, Package, Unread

_FORMAT = b"openecr-layer-1\n"
_DOCUMENT_BYTES = 2 << 30
_LEVEL = 9
_ENGINE_VERSION = 1
"""Raised whenever the same layer and catalogers would give another inventory."""
_Made = TypeVar("_Made")


def catalogers_version(catalogers: Sequence[Cataloger]) -> str:
    """What an inventory is kept by beside its layer: another one whenever engine, form or a cataloger is another."""
    parts = sorted(f"{cataloger.name}:{cataloger.version}" for cataloger in catalogers)
    parts += [str(_ENGINE_VERSION), _FORMAT.decode()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


CATALOGERS_VERSION = catalogers_version(CATALOGERS)
"""Of the catalogers that openecr has."""


class InventoryUnusable(ValueError):
    """The bytes are no inventory, or one of another version of openecr: the layer is to be indexed again."""


def pack(inventory: LayerInventory) -> bytes:
    """An inventory as bytes: JSON of what is not usual, owned paths by directory, compressed."""
    document = {
        "files": {path: _file(facts) for path, facts in inventory.files.items()},
        "whiteouts": inventory.whiteouts,
        "opaque": inventory.opaque,
        "replaced": _by_directory(inventory.replaced),
        "warnings": [(warning.path, warning.reason) for warning in inventory.warnings],
        "size": inventory.size_bytes,
    }
    return _FORMAT + zstandard.ZstdCompressor(level=_LEVEL).compress(orjson.dumps(document))


def unpack(data: bytes) -> LayerInventory:
    """The inventory of some bytes.

    Raises:
        InventoryUnusable: they are not ``pack``'s.
    """
    if not data.startswith(_FORMAT):
        raise InventoryUnusable("an inventory of another version")
    frame = memoryview(data)[len(_FORMAT) :]
    try:
        size_bytes = zstandard.frame_content_size(frame)
        if not 0 <= size_bytes <= _DOCUMENT_BYTES:
            raise InventoryUnusable("an inventory without a size, or too large")
        document = orjson.loads(zstandard.ZstdDecompressor().decompress(frame))
        return LayerInventory(
            {path: _facts(facts) for path, facts in document["files"].items()},
            tuple(document["whiteouts"]),
            tuple(document["opaque"]),
            _paths(document["replaced"]),
            tuple(Unread(path, reason) for path, reason in document["warnings"]),
            document["size"],
        )
    except (zstandard.ZstdError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InventoryUnusable(f"an inventory that cannot be read: {error}") from error


def _file(facts: FileFacts) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if facts.packages:
        document["packages"] = [_package_fields(package) for package in facts.packages]
    if facts.owned_paths:
        document["owned"] = _by_directory(facts.owned_paths)
    if facts.distribution:
        document["distribution"] = _distribution_fields(facts.distribution)
    return document


def _facts(document: dict[str, Any]) -> FileFacts:
    if not document:
        return _NOTHING
    distribution = document.get("distribution")
    return FileFacts(
        tuple(_made(Package, package, "licenses") for package in document.get("packages", ())),
        _paths(document.get("owned", [])),
        _made(Distribution, distribution, "id_like") if distribution else None,
    )


_NOTHING = FileFacts()


def _unusual(of: type) -> Callable[[Any], dict[str, Any]]:
    """A function that tells which of a dataclass's fields have another value than the default."""
    defaults = [(field.name, None if field.default is MISSING else field.default) for field in fields(of)]

    def unusual(value: Any) -> dict[str, Any]:
        return {name: found for name, default in defaults if (found := getattr(value, name)) != default}

    return unusual


_package_fields = _unusual(Package)
_distribution_fields = _unusual(Distribution)


def _made(of: Callable[..., _Made], values: dict[str, Any], listed: str) -> _Made:
    if listed in values:
        values[listed] = tuple(values[listed])
    return of(**values)


def _by_directory(paths: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Runs of paths in one directory: lists are sorted by it, and so half as long."""
    runs: list[tuple[str, list[str]]] = []
    last = None
    for path in paths:
        directory, _, name = path.rpartition("/")
        if directory != last:
            runs.append((directory, []))
            last = directory
        runs[-1][1].append(name)
    return runs


def _paths(runs: list[tuple[str, list[str]]]) -> tuple[str, ...]:
    return tuple(f"{directory}/{name}" if directory else name for directory, names in runs for name in names)
