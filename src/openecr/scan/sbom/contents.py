"""What every SBOM tells of an image: its packages, each once with all places where it was found, and its findings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from packageurl import PackageURL
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from openecr.scan.findings import Finding
from openecr.scan.packages import ImageInventory, InstalledPackage, Package
from openecr.scan.purl import encodable, encodable_text, package_url
from openecr.scan.vex import Suppression

_LONGEST_EXPRESSION = 256


@dataclass(frozen=True, slots=True)
class ImageSubject:
    """The image that a document is about, or a folder, which has no digest."""

    repository: str
    """With its registry, without tag: ``host/team/app``."""
    digest: str
    """``sha256:…``."""
    layers: tuple[str, ...] = ()
    """Digests of the layers as they are stored, the lowest first."""
    tag: str = ""
    architecture: str = ""

    @property
    def name(self) -> str:
        """The repository's last component, as image URLs have it."""
        return self.repository.rpartition("/")[2].lower()

    @property
    def url(self) -> PackageURL:
        """``pkg:oci/…``, by digest; of a folder ``pkg:generic/…``.

        Source: the purl type ``oci``.
        """
        if not self.digest:
            return PackageURL("generic", None, self.name or "root")
        given = {"arch": self.architecture, "repository_url": self.repository, "tag": self.tag}
        return PackageURL("oci", None, self.name, self.digest, {key: value for key, value in given.items() if value})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a package was found."""

    path: str
    """``a.war!/WEB-INF/lib/b.jar`` for what is in an archive."""
    layer: str
    """The layer's digest; empty where the image's layers are not told."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package of the image, however often it is there."""

    url: str
    package: Package
    """As its first place has it."""
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    """A finding, the package that has it, and why it is suppressed, if it is."""

    package: Package
    finding: Finding
    suppression: Suppression | None = None


def components(subject: ImageSubject, inventory: ImageInventory) -> list[Component]:
    """The packages, in the order of their URLs."""
    found: dict[str, list[InstalledPackage]] = {}
    for each in inventory.packages:
        installed = replace(each, path=encodable_text(each.path), package=encodable(each.package))
        found.setdefault(str(package_url(installed.package, inventory.distribution)), []).append(installed)
    return [_component(subject, url, found[url]) for url in sorted(found)]


def _component(subject: ImageSubject, url: str, installed: Sequence[InstalledPackage]) -> Component:
    ordered = sorted(installed, key=lambda each: (each.package.declared, each.path, each.package.inner_path))
    places = {
        Place(
            "!/".join(part for part in (each.path, each.package.inner_path) if part),
            subject.layers[each.layer] if each.layer < len(subject.layers) else "",
        ): None
        for each in ordered
    }
    return Component(url, ordered[0].package, tuple(places))


@lru_cache(maxsize=4096)
def license_expression(text: str) -> str | None:
    """The SPDX expression that a package's own words are; None where they are none."""
    if len(text) > _LONGEST_EXPRESSION:
        return None
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None


def instant(at_us: int) -> str:
    """To the second, as both formats want it."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
