"""What the scanner speaks of: packages, the files that testify to them, and the inventories of layers and images."""

from dataclasses import dataclass, field

DISTRIBUTION_KINDS = frozenset({"dpkg", "apk", "rpm"})
"""Kinds of evidence whose advisories are the distribution's; basic scanning reports these alone."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package, as one piece of evidence has it."""

    ecosystem: str
    """``dpkg``, ``apk``, ``rpm``: the distribution's; else OSV's name without a suffix: ``PyPI``, ``npm`` …"""
    name: str
    """As the evidence has it; Maven's as ``group:artifact``, npm's with its scope."""
    version: str
    """As the evidence has it; rpm's as ``epoch:version-release``, without the epoch where it is 0."""
    kind: str
    """Which evidence, by the cataloger's name for it: ``dpkg``, ``python-installed``, ``go-binary``, ``cargo-lock``."""
    inner_path: str = ""
    """Where inside of the file: ``WEB-INF/lib/b.jar!/META-INF/…`` in an archive; empty where the file itself is it."""
    architecture: str = ""
    source_name: str = ""
    """The source package (dpkg), origin (apk), source rpm; empty where it is the name."""
    source_version: str = ""
    module: str = ""
    """rpm's modularity, ``name:stream``."""
    vendor: str = ""
    licenses: tuple[str, ...] = ()
    declared: bool = False
    """A lock file's word, not something installed."""
    development: bool = False
    """Needed to build or test only; not reported unless asked for."""
    guessed: bool = False
    """The name or version is a guess, such as a jar's from its file name."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The operating system of an image, as its os-release says."""

    id: str
    """``debian``, ``alpine``, ``rhel``, ``amzn`` …"""
    version_id: str = ""
    codename: str = ""
    pretty_name: str = ""
    id_like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file testifies to."""

    packages: tuple[Package, ...] = ()
    owned_paths: tuple[str, ...] = ()
    """Files that the distribution's package manager put there: what they testify to is the distribution's to judge."""
    distribution: Distribution | None = None
    unread: "tuple[Unread, ...]" = ()
    """What inside of it could not be read, by its path in there, such as a broken jar in a jar."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be read: the scan goes on, and says that it is partial."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class LayerInventory:
    """What one layer holds and hides; kept by the layer's digest and the catalogers' version."""

    files: dict[str, FileFacts] = field(default_factory=dict)
    """Path without leading ``/`` → facts; a wanted path that testifies to nothing is there too, empty: it covers the
    file of a lower layer."""
    whiteouts: tuple[str, ...] = ()
    """Paths of lower layers that are gone, with all beneath."""
    opaque: tuple[str, ...] = ()
    """Directories of lower layers whose content is gone."""
    replaced: tuple[str, ...] = ()
    """Entries that are no directories and may stand where a lower layer has a directory with wanted files."""
    warnings: tuple[Unread, ...] = ()
    size_bytes: int = 0
    """Of the layer, uncompressed."""


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A package of an image: where it lies, and which layer brought it."""

    package: Package
    path: str
    """Of the file that testifies, without leading ``/``."""
    layer: int
    """Position of the layer in the image, 0 is the lowest."""
    owned: bool = False
    """A package of the distribution put the file there: the distribution's verdict counts, not the language's."""


@dataclass(frozen=True, slots=True)
class ImageInventory:
    """What an image holds, its layers applied in order."""

    packages: tuple[InstalledPackage, ...] = ()
    distribution: Distribution | None = None
    warnings: tuple[Unread, ...] = ()
