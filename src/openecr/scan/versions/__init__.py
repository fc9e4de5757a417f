"""Order of versions, as each ecosystem has it. A new family: a file here, a line for each ecosystem that it orders.

A family is a function from a version to a key: it reads anything, never raises, and takes time that is linear in what
it reads. Keys of one family compare with one another and with no others.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from openecr.scan.names import family
from openecr.scan.versions.apk import apk
from openecr.scan.versions.dotted import conan, dotted
from openecr.scan.versions.dpkg import dpkg
from openecr.scan.versions.maven import maven
from openecr.scan.versions.packagist import packagist
from openecr.scan.versions.python import pep440
from openecr.scan.versions.rpm import rpm
from openecr.scan.versions.rubygems import rubygems
from openecr.scan.versions.semver import go, nuget, pub, semver

Key = tuple[Any, ...]
Order = Callable[[str], Key]

_VERSION_CHARACTERS = 1024
"""No ecosystem has longer ones. What is longer counts as its beginning, so that hostile ones cost no more."""

ORDERS: dict[str, Order] = {
    "AlmaLinux": rpm,
    "Alpaquita": apk,
    "Alpine": apk,
    "Azure Linux": rpm,
    "BellSoft Hardened Containers": apk,
    "Bioconductor": dotted,
    "Bitnami": semver,
    "CRAN": dotted,
    "Chainguard": apk,
    "ConanCenter": conan,
    "Debian": dpkg,
    "Echo": dpkg,
    "GHC": dotted,
    "GitHub Actions": semver,
    "Go": go,
    "Hackage": dotted,
    "Hex": semver,
    "Julia": semver,
    "Mageia": rpm,
    "Maven": maven,
    "MinimOS": apk,
    "NuGet": nuget,
    "Packagist": packagist,
    "Photon OS": rpm,
    "Pub": pub,
    "PyPI": pep440,
    "Red Hat": rpm,
    "Rocky Linux": rpm,
    "RubyGems": rubygems,
    "SUSE": rpm,
    "SwiftURL": semver,
    "Ubuntu": dpkg,
    "Wolfi": apk,
    "crates.io": semver,
    "npm": semver,
    "openEuler": rpm,
    "openSUSE": rpm,
}
"""Ecosystems of OSV (https://ossf.github.io/osv-schema/#defined-ecosystems) and their orders."""

SEMVER = "SEMVER"
"""In the place of an ecosystem: the order of ranges of that kind, whatever the package is of."""

_SEMVER_BUT_GO: dict[str, Order] = {"Go": go}


def compare(ecosystem: str, a: str, b: str) -> int:
    """-1, 0 or 1 as ``a`` is less than, as good as or greater than ``b``."""
    first, second = key(ecosystem, a), key(ecosystem, b)
    return (first > second) - (first < second)


@lru_cache(maxsize=1 << 16)
def key(ecosystem: str, version: str, kind: str = "") -> Key:
    """What orders a version within its ecosystem, with or without its release; of ranges of ``kind`` SEMVER, by that.

    Ecosystems that are not known are ordered as semantic versions: leniently read, most of the others' are.
    """
    name = family(ecosystem)
    order = _SEMVER_BUT_GO.get(name, semver) if kind == SEMVER else ORDERS.get(name, semver)
    return order(version[:_VERSION_CHARACTERS])
