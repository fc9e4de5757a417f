"""VEX: statements that a vulnerability does not harm a product, and which findings they suppress.

Source: the OpenVEX specification 0.2.0 (https://github.com/openvex/spec); CycloneDX 1.6, vulnerability analysis.
Who may state what is not decided here: a document that an image's author pushes is as readable as an administrator's.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from packageurl import PackageURL

from openecr.scan.purl import covers

_IMAGE_TYPES = ("oci", "docker")
_MOST_ENTRIES = 1000
_Key = tuple[str, str, str]
"""A package URL without what it may leave open."""


class Status(StrEnum):
    """What a statement says, in OpenVEX's words."""

    NOT_AFFECTED = "not_affected"
    FIXED = "fixed"
    AFFECTED = "affected"
    UNDER_INVESTIGATION = "under_investigation"


SUPPRESSING = frozenset({Status.NOT_AFFECTED, Status.FIXED})


@dataclass(frozen=True, slots=True)
class Product:
    """What a statement is about: an image, or a package wherever it is."""

    urls: tuple[PackageURL, ...] = ()
    digests: frozenset[str] = frozenset()
    """``sha256:…`` of images."""
    packages: tuple[PackageURL, ...] | None = None
    """The packages of it that are meant; None means the whole, an empty tuple nothing that is known."""
    versions: frozenset[str] | None = None
    """Of the package, where only some are meant."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement on one vulnerability."""

    vulnerability: frozenset[str]
    """Its name and aliases, in capitals."""
    products: tuple[Product, ...]
    status: Status
    justification: str = ""
    detail: str = ""
    """Why, in the author's own words."""
    stated_us: int = 0
    """0 where it is not told: older than all that are."""
    source: str = ""
    """The document, by its id and author."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why a finding is suppressed."""

    status: Status
    justification: str
    detail: str
    source: str
    stated_us: int


@dataclass(frozen=True, slots=True)
class VexImage:
    """The image that findings are of, as products name images."""

    digests: frozenset[str]
    """Of its manifest, and of the indexes that it was reached through."""
    repositories: frozenset[str] = frozenset()
    """With their registry, ``host/team/app``, and without: ``team/app``."""
    tags: frozenset[str] = frozenset()
    architecture: str = ""


def applies(statement: Statement, names: Set[str], package: PackageURL, image: VexImage) -> bool:
    """Whether a statement is about this vulnerability, by any of its names, in this package of this image."""
    if statement.vulnerability.isdisjoint(name.upper() for name in names):
        return False
    return any(_is_meant(product, package, image) for product in statement.products)


def suppresses(statement: Statement, names: Set[str], package: PackageURL, image: VexImage) -> Suppression | None:
    """The suppression that a statement is, taken alone; None if it is about something else, or says otherwise."""
    if statement.status not in SUPPRESSING or not applies(statement, names, package, image):
        return None
    return Suppression(
        statement.status, statement.justification, statement.detail, statement.source, statement.stated_us
    )


class Statements:
    """All statements that count, together: of those on the same finding the latest decides.

    Kept by vulnerability and package, the latest first, and only so many of each: a finding costs no more however many
    an image's author wrote. What is left out is older, and a finding that nothing is said of is not suppressed.
    """

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._entries: dict[tuple[str, _Key | None], list[_Entry]] = {}
        for number, statement in enumerate(statements):
            for product in statement.products:
                entry = _Entry(statement.stated_us, number, statement, product)
                for place in ((name, key) for name in statement.vulnerability for key in _keys(product)):
                    self._entries.setdefault(place, []).append(entry)
        for entries in self._entries.values():
            entries.sort(key=_recency, reverse=True)
            del entries[_MOST_ENTRIES:]

    def suppression(self, names: Set[str], package: PackageURL, image: VexImage) -> Suppression | None:
        """Why a finding is suppressed; None if it is not."""
        decides = self.deciding(names, package, image)
        return None if decides is None else suppresses(decides, names, package, image)

    def deciding(self, names: Set[str], package: PackageURL, image: VexImage) -> Statement | None:
        """The statement that counts on a finding, whatever it says. Of the same instant, the one that came later."""
        spellings = {name.upper() for name in names}
        found = [
            entry
            for name in spellings
            for key in (None, _key(package))
            for entry in self._entries.get((name, key), ())
            if _is_meant(entry.product, package, image)
        ]
        return max(found, key=_recency).statement if found else None


class _Entry(NamedTuple):
    stated_us: int
    number: int
    statement: Statement
    product: Product


def _recency(entry: _Entry) -> tuple[int, int]:
    return entry.stated_us, entry.number


def _key(url: PackageURL) -> _Key:
    return url.type, url.namespace or "", url.name


def _keys(product: Product) -> set[_Key | None]:
    """The packages that a product may be about; None for all of an image's."""
    if product.packages is not None:
        return {_key(url) for url in product.packages}
    keys: set[_Key | None] = {_key(url) for url in product.urls if url.type not in _IMAGE_TYPES}
    if product.digests or any(url.type in _IMAGE_TYPES for url in product.urls):
        keys.add(None)
    return keys


def _is_meant(product: Product, package: PackageURL, image: VexImage) -> bool:
    if product.versions is not None and package.version not in product.versions:
        return False
    if product.digests & image.digests or any(_names_image(url, image) for url in product.urls):
        return product.packages is None or any(covers(each, package) for each in product.packages)
    # A package as the product: what is in it as a part is not known of a package here.
    return product.packages is None and any(covers(url, package) for url in product.urls)


def _names_image(url: PackageURL, image: VexImage) -> bool:
    """Whether ``pkg:oci/name@digest?repository_url=…`` is this image; what it does not say, it says of all."""
    if url.type not in _IMAGE_TYPES:
        return False
    if url.version and url.version not in image.digests and url.version not in image.tags:
        return False
    name = f"{url.namespace}/{url.name}" if url.namespace else url.name
    names = {repository.lower() for repository in image.repositories}
    if not any(f"/{each}".endswith(f"/{name.lower()}") for each in names):
        return False
    given = url.qualifiers if isinstance(url.qualifiers, dict) else {}
    repository = given.get("repository_url", "").lower().rstrip("/")
    if repository and repository not in names and f"{repository}/{name.lower()}" not in names:
        return False
    if given.get("tag") and given["tag"] not in image.tags:
        return False
    return not given.get("arch") or given["arch"] == image.architecture
