"""Which advisories are looked up for a package: by whose ecosystem, under which name, for which version."""

import re

from openecr.scan.ecosystems import distribution_ecosystem
from openecr.scan.findings import MatchKey
from openecr.scan.names import family, normalise
from openecr.scan.packages import DISTRIBUTION_KINDS, Distribution, InstalledPackage, Package
from openecr.scan.severity import DISTRIBUTIONS
from openecr.scan.vendors import is_third_party
from openecr.scan.versions import ORDERS

_KINDS = {
    "AlmaLinux": "rpm",
    "Alpaquita": "apk",
    "Alpine": "apk",
    "Azure Linux": "rpm",
    "BellSoft Hardened Containers": "apk",
    "Chainguard": "apk",
    "Debian": "dpkg",
    "Echo": "dpkg",
    "Mageia": "rpm",
    "MinimOS": "apk",
    "Photon OS": "rpm",
    "Red Hat": "rpm",
    "Rocky Linux": "rpm",
    "SUSE": "rpm",
    "Ubuntu": "dpkg",
    "Wolfi": "apk",
    "openEuler": "rpm",
    "openSUSE": "rpm",
}

_BY_BINARY = frozenset({"Photon OS"})
_BY_BOTH = frozenset({"AlmaLinux", "Rocky Linux", "Red Hat", "Wolfi", "Chainguard", "MinimOS"})
"""Advisories name binary packages, sources, or now these and now those; the rest name sources."""

_THIN = frozenset({"Photon OS"})
"""Advisories are so few that a language's own say more of the files that the distribution's packages hold."""

_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")
_BITNAMI_REVISION = re.compile(r"-[0-9]+$")
_GEM_PLATFORM = re.compile(
    r"-(?:x86_64|x86|x64|i[3-6]86|amd64|aarch64|arm64|arm|armv[0-9a-z]+|universal|powerpc64le|ppc64le|s390x|riscv64"
    r"|java|jruby|mswin[0-9]*|mingw[0-9a-z]*)(?:-.*)?$"
)
_HEADERS = re.compile(r"linux-libc-dev(?:-.*)?|linux-headers(?:-.*)?|kernel-(?:.*-)?headers|linux-glibc-devel")


def match_key(installed: InstalledPackage, distribution: Distribution | None) -> tuple[MatchKey, ...]:
    """What to look up for a package; nothing where no ecosystem speaks of it, or another package answers for it."""
    package = installed.package
    if not package.name or not package.version or _has_null(package):
        # No ecosystem has the character in a name, and no text column takes it.
        return ()
    if package.ecosystem in DISTRIBUTION_KINDS:
        return _of_distribution(package, distribution)
    if package.ecosystem not in ORDERS or package.ecosystem in DISTRIBUTIONS:
        return ()
    if installed.owned and _answers_for_files(distribution):
        return ()
    return _of_language(package)


def _has_null(package: Package) -> bool:
    texts = (package.name, package.version, package.module, package.source_name, package.source_version)
    return any("\0" in text for text in texts)


def _of_distribution(package: Package, distribution: Distribution | None) -> tuple[MatchKey, ...]:
    ecosystem = distribution_ecosystem(distribution)
    if ecosystem is None or distribution is None or _KINDS[family(ecosystem)] != package.ecosystem:
        return ()
    if _HEADERS.fullmatch(package.name):
        # Texts to compile with: what they describe is the kernel, and an image holds none.
        return ()
    if package.ecosystem == "rpm" and is_third_party(package.vendor, distribution.id):
        return ()
    binary = MatchKey(ecosystem, package.name, package.version, package.module)
    name = package.source_name or package.name
    if family(ecosystem) in _BY_BINARY or (package.ecosystem == "rpm" and name == package.name):
        return (binary,)
    source = MatchKey(ecosystem, name, _source_version(package), package.module)
    return (binary, source) if family(ecosystem) in _BY_BOTH and binary != source else (source,)


def _source_version(package: Package) -> str:
    """Debian's without the mark of a binary that was only built again (``1.6-5+b1``); an rpm's with the epoch.

    Names of source rpms have none, and advisories do: it is the binary's.
    """
    version = package.source_version or package.version
    if package.ecosystem == "dpkg":
        return _BINARY_REBUILD.sub("", version)
    epoch, colon, _ = package.version.partition(":")
    return f"{epoch}:{version}" if package.ecosystem == "rpm" and colon and ":" not in version else version


def _answers_for_files(distribution: Distribution | None) -> bool:
    """Whether the distribution publishes advisories on what its packages hold."""
    ecosystem = distribution_ecosystem(distribution)
    return ecosystem is not None and family(ecosystem) not in _THIN


def _of_language(package: Package) -> tuple[MatchKey, ...]:
    version = package.version.strip()
    match package.ecosystem:
        case "Go" if version == "(devel)":
            return ()
        case "RubyGems":
            version = _GEM_PLATFORM.sub("", version)
        case "Bitnami":  # the revision of the container, which semantic versions would take for a pre-release
            version = _BITNAMI_REVISION.sub("", version)
    return (MatchKey(package.ecosystem, normalise(package.ecosystem, package.name), version),)
