"""Distributions and the ecosystems that OSV keeps their advisories in.

The names of OSV's ecosystems: https://ossf.github.io/osv-schema/#defined-ecosystems. A distribution that is not here
has no data: one that derives from another (``ID_LIKE``) has packages of its own under the same names and versions, so
the other's advisories would be wrong about it, in both ways.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from openecr.scan.advisories import AdvisoryIndex
from openecr.scan.names import family
from openecr.scan.packages import Distribution

_DEBIAN_RELEASES = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "duke": "15",
}
"""https://wiki.debian.org/DebianReleases: what is not released yet says its name only. Unstable has no advisories."""

_IN_BRACKETS = re.compile(r"\(([A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)\)")


def distribution_ecosystem(distribution: Distribution | None) -> str | None:
    """The ecosystem of a distribution's release; None where OSV has none for it."""
    rule = _RULES.get(distribution.id.lower()) if distribution else None
    return rule(distribution) if rule and distribution else None


def has_advisories(distribution: Distribution | None, index: AdvisoryIndex) -> bool:
    """Whether anything is known of this release: without it, no finding does not mean that nothing is wrong."""
    ecosystem = distribution_ecosystem(distribution)
    return ecosystem is not None and bool(read_for(ecosystem, index.ecosystems))


def covers(ecosystem: str, asked: str) -> bool:
    """Whether records of an ecosystem are of use for a package of the other.

    The same; the family without a release, which speaks of every one; Ubuntu's Pro of the same release; Red Hat's
    products of the same release; SUSE's products, whatever their support, of the same release; another repository of
    Maven or Packagist, which are one where names are concerned.
    """
    if ecosystem in (asked, family(asked)):
        return True
    name = family(asked)
    if family(ecosystem) != name:
        return False
    if name == "Ubuntu":
        return ecosystem == asked.replace("Ubuntu:", "Ubuntu:Pro:", 1)
    if name == "Red Hat":  # "…:9" for "…:9::appstream", "…:10" for "…:10.1"
        return re.match(rf"{re.escape(asked)}(?:::|\.[0-9]+$)", ecosystem) is not None
    if name == "SUSE":
        release = asked.partition(" Server")[2]
        return bool(release) and re.search(rf"{re.escape(release)}(?:-[A-Za-z-]+)?$", ecosystem) is not None
    return asked in {"Maven", "Packagist"}


@lru_cache(maxsize=256)
def read_for(asked: str, ecosystems: frozenset[str]) -> tuple[str, ...]:
    """Those of the ecosystems whose records are of use for packages of ``asked``: itself first, then by name."""
    found = [ecosystem for ecosystem in ecosystems if covers(ecosystem, asked)]
    return tuple(sorted(found, key=lambda ecosystem: (ecosystem != asked, ecosystem)))


def _debian(distribution: Distribution) -> str | None:
    release = _major(distribution) or _DEBIAN_RELEASES.get(distribution.codename.partition("/")[0], "")
    return f"Debian:{release}" if release else None


def _ubuntu(distribution: Distribution) -> str | None:
    release = re.match(r"([0-9]{2})\.([0-9]{2})", distribution.version_id)
    if not release:
        return None
    # https://ubuntu.com/about/release-cycle: April of even years
    supported_long = release[2] == "04" and int(release[1]) % 2 == 0
    return f"Ubuntu:{release[0]}:LTS" if supported_long else f"Ubuntu:{release[0]}"


def _alpine(distribution: Distribution) -> str | None:
    if "_alpha" in distribution.version_id or distribution.version_id == "edge":
        return "Alpine:edge"
    branch = re.match(r"[0-9]+\.[0-9]+", distribution.version_id)
    return f"Alpine:v{branch[0]}" if branch else None


def _red_hat(distribution: Distribution) -> str | None:
    release = _major(distribution)
    return f"Red Hat:enterprise_linux:{release}" if release else None


def _suse(distribution: Distribution) -> str | None:
    found = re.match(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?", distribution.version_id)
    if not found:
        return None
    if int(found[1]) >= 16:
        return f"SUSE:Linux Enterprise Server {found[0]}"
    pack = f" SP{found[2]}" if found[2] and found[2] != "0" else ""
    return f"SUSE:Linux Enterprise Server {found[1]}{pack}"


def _open_euler(distribution: Distribution) -> str | None:
    """``24.03`` with "(LTS-SP1)" beside it in the pretty name."""
    if not distribution.version_id:
        return None
    support = _IN_BRACKETS.search(distribution.pretty_name)
    return f"openEuler:{distribution.version_id}" + (f"-{support[1]}" if support else "")


def _major(distribution: Distribution) -> str:
    found = re.match(r"[0-9]{1,6}", distribution.version_id)
    return found[0] if found else ""


def _by_major(name: str) -> Callable[[Distribution], str | None]:
    return lambda distribution: f"{name}:{_major(distribution)}" if _major(distribution) else None


def _by_release(name: str, separator: str = ":") -> Callable[[Distribution], str | None]:
    return lambda distribution: f"{name}{separator}{distribution.version_id}" if distribution.version_id else None


def _rolling(name: str) -> Callable[[Distribution], str | None]:
    return lambda _: name


_RULES: dict[str, Callable[[Distribution], str | None]] = {
    "almalinux": _by_major("AlmaLinux"),
    "alpaquita": _by_release("Alpaquita"),
    "alpine": _alpine,
    "azurelinux": _by_major("Azure Linux"),
    "bellsoft-hardened-containers": _by_release("BellSoft Hardened Containers"),
    "chainguard": _rolling("Chainguard"),
    "debian": _debian,
    "echo": _rolling("Echo"),
    "mageia": _by_major("Mageia"),
    "mariner": _by_major("Azure Linux"),
    "minimos": _rolling("MinimOS"),
    "openeuler": _open_euler,
    "opensuse": _by_release("openSUSE", ":Leap "),
    "opensuse-leap": _by_release("openSUSE", ":Leap "),
    "opensuse-leap-micro": _by_release("openSUSE", ":Leap Micro "),
    "opensuse-tumbleweed": _rolling("openSUSE:Tumbleweed"),
    "photon": _by_release("Photon OS"),
    "redhat": _red_hat,
    "rhel": _red_hat,
    "rocky": _by_major("Rocky Linux"),
    "sl-micro": _by_release("SUSE", ":Linux Micro "),
    "sle-micro": _by_release("SUSE", ":Linux Enterprise Micro "),
    "sled": _suse,
    "sles": _suse,
    "sles_sap": _suse,
    "ubuntu": _ubuntu,
    "wolfi": _rolling("Wolfi"),
}
"""``ID`` of os-release → the rule; a distribution is a line here."""
