"""Package URLs: what a package is called outside of openecr, and what such a URL calls a package here.

Source: the purl specification and its types (https://github.com/package-url/purl-spec). Qualifiers are those that other
scanners write and read back: ``arch``, ``distro``, ``epoch``, ``upstream``, ``rpmmod``.
"""

from dataclasses import replace
from functools import lru_cache

from packageurl import PackageURL

from openecr.scan.packages import DISTRIBUTION_KINDS, Distribution, Package

_TYPES = {
    "PyPI": "pypi",
    "npm": "npm",
    "Go": "golang",
    "Maven": "maven",
    "RubyGems": "gem",
    "crates.io": "cargo",
    "NuGet": "nuget",
    "Packagist": "composer",
    "Hex": "hex",
    "OTP": "otp",
    "Pub": "pub",
    "SwiftURL": "swift",
    "CocoaPods": "cocoapods",
    "ConanCenter": "conan",
    "CRAN": "cran",
    "Bioconductor": "bioconductor",
    "Hackage": "hackage",
    "Julia": "julia",
    "conda": "conda",
    "Bitnami": "bitnami",
}
_ECOSYSTEMS = {kind: ecosystem for ecosystem, kind in _TYPES.items()}
_DISTRIBUTION_TYPES = {"dpkg": "deb", "apk": "apk", "rpm": "rpm"}
_NAMESPACED = frozenset({"npm", "golang", "composer", "swift"})
"""Types whose namespace is the part of our name before the last ``/``."""
_NAMESPACES = {"rhel": "redhat", "amzn": "amazon", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
"""Of distributions whose packages are known by another name than that of their os-release."""
_MOST_CHARACTERS = 4096


def package_url(package: Package, distribution: Distribution | None = None) -> PackageURL:
    """The URL of a package; the distribution is that of the image, and only says something of its own packages.

    A name that the ecosystem's URLs cannot carry, which only a forged file has, becomes one of type ``generic``.
    """
    package = encodable(package)
    try:
        in_distribution = package.ecosystem in DISTRIBUTION_KINDS
        url = _of_distribution(package, distribution) if in_distribution else _of_language(package)
    except ValueError:
        return _unnamed(package)
    return url if url.name else _unnamed(package)


def _unnamed(package: Package) -> PackageURL:
    return PackageURL(
        "generic", None, "-".join(package.name.replace("/", " ").split()) or "unnamed", package.version or None
    )


def encodable(package: Package) -> Package:
    """The package in texts that UTF-8 can carry: those of files and databases need not be UTF-8, URLs and JSON are."""
    return replace(
        package,
        name=encodable_text(package.name),
        version=encodable_text(package.version),
        inner_path=encodable_text(package.inner_path),
        architecture=encodable_text(package.architecture),
        source_name=encodable_text(package.source_name),
        source_version=encodable_text(package.source_version),
        module=encodable_text(package.module),
        licenses=tuple(map(encodable_text, package.licenses)),
    )


def encodable_text(text: str) -> str:
    """The text, with ``?`` for what stands for bytes that are no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _of_language(package: Package) -> PackageURL:
    kind = _TYPES.get(package.ecosystem, "generic")
    namespace, name, subpath = "", package.name, ""
    if kind == "maven":
        namespace, _, name = package.name.rpartition(":")
    elif kind in _NAMESPACED:
        namespace, _, name = package.name.rpartition("/")
    elif kind == "cocoapods":
        name, _, subpath = package.name.partition("/")
    return PackageURL(kind, namespace or None, name, package.version or None, None, subpath or None)


def _of_distribution(package: Package, distribution: Distribution | None) -> PackageURL:
    version, epoch = package.version, ""
    if package.ecosystem == "rpm" and ":" in version:
        epoch, _, version = version.partition(":")
    qualifiers = {
        "arch": package.architecture,
        "epoch": epoch,
        "rpmmod": package.module,
        "upstream": _upstream(package),
    }
    namespace = None
    if distribution is not None:
        namespace = _NAMESPACES.get(distribution.id, distribution.id)
        qualifiers["distro"] = "-".join(part for part in (distribution.id, distribution.version_id) if part)
    given = {key: value for key, value in qualifiers.items() if value}
    return PackageURL(_DISTRIBUTION_TYPES[package.ecosystem], namespace, package.name, version or None, given or None)


def _upstream(package: Package) -> str:
    """The source package, with its version where it has one of its own."""
    if package.source_version and package.source_version != package.version:
        return f"{package.source_name or package.name}@{package.source_version}"
    return package.source_name if package.source_name != package.name else ""


@lru_cache(maxsize=1024)
def parsed(text: str) -> PackageURL | None:
    """The URL that a text is; None if it is none, or longer than any is."""
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        url = PackageURL.from_string(text)
    except ValueError:
        return None
    return url if url.name else None


def named(url: PackageURL) -> tuple[str, str, str] | None:
    """Ecosystem, name and version of a language's package; None for a distribution's, and where nothing is known."""
    ecosystem = _ECOSYSTEMS.get(url.type)
    if ecosystem is None or not url.version:
        return None
    separator = ":" if url.type == "maven" else "/"
    name = f"{url.namespace}{separator}{url.name}" if url.namespace else url.name
    if url.type == "cocoapods" and url.subpath:
        name = f"{name}/{url.subpath}"
    return ecosystem, name, url.version


def covers(pattern: PackageURL, url: PackageURL) -> bool:
    """Whether a URL that may leave things open stands for this one: what it does not say, it says of all."""
    if (pattern.type, pattern.namespace, pattern.name) != (url.type, url.namespace, url.name):
        return False
    if pattern.version and pattern.version != url.version:
        return False
    if pattern.subpath and pattern.subpath != url.subpath:
        return False
    asked, given = _qualifiers(pattern), _qualifiers(url)
    return all(given.get(key) == value for key, value in asked.items())


def _qualifiers(url: PackageURL) -> dict[str, str]:
    return dict(url.qualifiers) if isinstance(url.qualifiers, dict) else {}
