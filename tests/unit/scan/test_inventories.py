"""Inventories as bytes."""

from dataclasses import replace

import pytest
import zstandard

from openecr.scan.catalogers import CATALOGERS
from openecr.scan.inventories import CATALOGERS_VERSION, InventoryUnusable, catalogers_version, pack, unpack
from openecr.scan.packages import Distribution, FileFacts, LayerInventory, Package, Unread

FULL = Package(
    "npm",
    "@scope/näme",
    "1.0",
    "node-installed",
    inner_path="a!/b",
    architecture="amd64",
    source_name="s",
    source_version="2",
    module="m:1",
    vendor="v",
    licenses=("MIT", "Apache-2.0"),
    declared=True,
    development=True,
    guessed=True,
)
INVENTORY = LayerInventory(
    files={
        "a/package.json": FileFacts((FULL, Package("npm", "b", "1", "k"))),
        "etc/os-release": FileFacts(distribution=Distribution("debian", "12", "bookworm", "Debian", ("x", "y"))),
        "etc/only-id": FileFacts(distribution=Distribution("wolfi")),
        "empty": FileFacts(),
        "list": FileFacts(owned_paths=("usr/bin/a", "usr/bin/b", "usr/lib/c", "usr/bin/d", "top")),
    },
    whiteouts=("x/y",),
    opaque=("", "z"),
    replaced=("bin/a", "lib", "bin/c"),
    warnings=(Unread("p", "r"),),
    size_bytes=1 << 40,
)


def test_what_is_packed_comes_out_again() -> None:
    assert unpack(pack(INVENTORY)) == INVENTORY
    assert unpack(pack(LayerInventory())) == LayerInventory()


def test_the_bytes_of_one_inventory_are_always_the_same() -> None:
    assert pack(INVENTORY) == pack(unpack(pack(INVENTORY)))


def test_a_hundred_thousand_owned_paths_are_small() -> None:
    """As many as a large Debian machine has; 490 kB were measured on a real one with 109,000."""
    paths = tuple(f"usr/share/package-{number // 50}/directory/file-number-{number}" for number in range(100_000))
    assert len(pack(LayerInventory({"var/lib/rpm/rpmdb.sqlite": FileFacts(owned_paths=paths)}))) < 600_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        pack(INVENTORY)[:-1],
        b"openecr-layer-0\n" + pack(INVENTORY)[16:],
        b"openecr-layer-1\n",
        b"openecr-layer-1\n" + zstandard.compress(b"[]"),
        b"openecr-layer-1\n" + zstandard.compress(b"{}"),
        b"openecr-layer-1\n" + zstandard.compress(b'{"files": {"a": {"packages": [{"nothing": 1}]}}}'),
        b"openecr-layer-1\n" + b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little"),
    ],
)
def test_other_bytes_are_no_inventory(data: bytes) -> None:
    with pytest.raises(InventoryUnusable):
        unpack(data)


def test_the_version_is_of_every_catalogers_name_and_version() -> None:
    assert catalogers_version(CATALOGERS) == CATALOGERS_VERSION
    assert catalogers_version(CATALOGERS[::-1]) == CATALOGERS_VERSION
    first = CATALOGERS[0]
    assert catalogers_version((replace(first, version=first.version + 1), *CATALOGERS[1:])) != CATALOGERS_VERSION
    assert catalogers_version(CATALOGERS[1:]) != CATALOGERS_VERSION


def test_the_catalogers_have_names_of_their_own() -> None:
    names = [cataloger.name for cataloger in CATALOGERS]
    assert len(names) == len(set(names))
