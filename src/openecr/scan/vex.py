"""VEX: statements that a vulnerability does not harm a product, and which findings they suppress.

Source: the OpenVEX specification 0.2.0 (https://github.com/openvex/spec); CycloneDX 1.6, vulnerability analysis.
Who may state what is not decided here: a document that an image's author pushes is as readable as an administrator's.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from enum import StrEnum

from packageurl import PackageURL

from openecr.scan.purl import covers


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
    """All statements that count, together: of those on the same finding the latest decides."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._by_name: dict[str, list[tuple[int, Statement]]] = {}
        for number, statement in enumerate(statements):
            for name in statement.vulnerability:
                self._by_name.setdefault(name, []).append((number, statement))

    def suppression(self, names: Set[str], package: PackageURL, image: VexImage) -> Suppression | None:
        """Why a finding is suppressed; None if it is not."""
        decides = self.deciding(names, package, image)
        return None if decides is None else suppresses(decides, names, package, image)

    def deciding(self, names: Set[str], package: PackageURL, image: VexImage) -> Statement | None:
        """The statement that counts on a finding, whatever it says. Of the same instant, the one that came later."""
        for _, statement in sorted(self._named(names), key=lambda each: (each[1].stated_us, each[0]), reverse=True):
            if applies(statement, names, package, image):
                return statement
        return None

    def _named(self, names: Set[str]) -> Iterator[tuple[int, Statement]]:
        return iter({entry[0]: entry for name in names for entry in self._by_name.get(name.upper(), ())}.values())


def _is_meant(product: Product, package: PackageURL, image: VexImage) -> bool:
    if product.versions is not None and package.version not in product.versions:
        return False
    if product.digests & image.digests or any(_names_image(url, image) for url in product.urls):
        return product.packages is None or any(covers(each, package) for each in product.packages)
    # A package as the product: what is in it as a part is not known of a package here.
    return product.packages is None and any(covers(url, package) for url in product.urls)


def _names_image(url: PackageURL, image: VexImage) -> bool:
    """Whether ``pkg:oci/name@digest?repository_url=…`` is this image; what it does not say, it says of all."""
    if url.type not in ("oci", "docker"):
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
