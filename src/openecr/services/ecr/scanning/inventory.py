"""What an image holds, as it is kept: a compressed document beside the rows that verdicts are found by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import zstandard

from openecr.scan.findings import MatchKey
from openecr.scan.match_keys import match_key
from openecr.scan.packages import DISTRIBUTION_KINDS, Distribution, ImageInventory, InstalledPackage, Package, Unread

_MOST_BYTES = 256 << 20
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class KeptPackage:
    """A package of an image, and the keys of what verdicts on it are of."""

    installed: InstalledPackage
    package_keys: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptInventory:
    """What an image holds."""

    packages: tuple[KeptPackage, ...]
    layers: tuple[str, ...]
    """Digests of the layers, the lowest first."""
    distribution: Distribution | None
    warnings: tuple[Unread, ...]
    architecture: str = ""
    author: str = ""
    """As the image's config says."""

    @property
    def image(self) -> ImageInventory:
        """As the scanner has it."""
        return ImageInventory(tuple(item.installed for item in self.packages), self.distribution, self.warnings)

    def by_package_key(self) -> dict[int, list[InstalledPackage]]:
        """Where what verdicts are of lies in the image."""
        found: dict[int, list[InstalledPackage]] = {}
        for item in self.packages:
            for key in item.package_keys:
                found.setdefault(key, []).append(item.installed)
        return found


@dataclass(frozen=True, slots=True)
class Keyed:
    """An inventory, and what each of its packages is matched by."""

    inventory: ImageInventory
    layers: tuple[str, ...]
    """Digests of the layers, the lowest first."""
    keys: tuple[tuple[MatchKey, ...], ...]
    """Of each package, in order."""
    architecture: str = ""
    author: str = ""

    @property
    def distinct(self) -> list[MatchKey]:
        """Every key once."""
        return list(dict.fromkeys(key for keys in self.keys for key in keys))

    def rows(self, package_keys: Mapping[MatchKey, int]) -> list[tuple[int, bool]]:
        """(package key, whether it is the distribution's) of each key once."""
        found: dict[int, bool] = {}
        for installed, keys in zip(self.inventory.packages, self.keys, strict=True):
            for key in keys:
                found[package_keys[key]] = installed.package.ecosystem in DISTRIBUTION_KINDS
        return list(found.items())


def keyed(inventory: ImageInventory, layers: tuple[str, ...], *, architecture: str, author: str) -> Keyed:
    """What each package of an image is matched by."""
    keys = tuple(match_key(item, inventory.distribution) for item in inventory.packages)
    return Keyed(inventory, layers, keys, architecture, author)


def pack(found: Keyed, package_keys: Mapping[MatchKey, int]) -> bytes:
    """An inventory as it is kept."""
    document = {
        "distribution": found.inventory.distribution,
        "packages": [
            _packed(installed, [package_keys[key] for key in keys])
            for installed, keys in zip(found.inventory.packages, found.keys, strict=True)
        ],
        "layers": found.layers,
        "architecture": found.architecture,
        "author": found.author,
        "warnings": [[item.path, item.reason] for item in found.inventory.warnings],
    }
    return zstandard.ZstdCompressor(_LEVEL).compress(orjson.dumps(document))


def _packed(installed: InstalledPackage, keys: Sequence[int]) -> list[Any]:
    return [installed.package, installed.path, installed.layer, int(installed.owned), keys]


def unpack(content: bytes) -> KeptInventory:
    """What ``pack`` made."""
    document = orjson.loads(zstandard.ZstdDecompressor().decompress(content, max_output_size=_MOST_BYTES))
    distribution = document["distribution"]
    return KeptInventory(
        packages=tuple(_unpacked(item) for item in document["packages"]),
        layers=tuple(document["layers"]),
        distribution=None
        if distribution is None
        else Distribution(**distribution | {"id_like": tuple(distribution["id_like"])}),
        warnings=tuple(Unread(*item) for item in document["warnings"]),
        architecture=document["architecture"],
        author=document["author"],
    )


def _unpacked(item: list[Any]) -> KeptPackage:
    told, path, layer, owned, keys = item
    package = Package(**told | {"licenses": tuple(told["licenses"])})
    return KeptPackage(InstalledPackage(package, path, layer, bool(owned)), tuple(keys))
