"""Facts made fit to be kept: texts of a hostile file may be endless, or no texts that a database takes."""

from dataclasses import fields, replace

from openecr.scan.packages import Distribution, FileFacts, Package

_NAME_CHARACTERS = 1024
_PATH_CHARACTERS = 4096
_LICENSES = 64
_LONG = {"inner_path": _PATH_CHARACTERS}
_PACKAGE_TEXTS = tuple(field.name for field in fields(Package) if field.type is str)
_DISTRIBUTION_TEXTS = tuple(field.name for field in fields(Distribution) if field.type is str)


def bounded(facts: FileFacts) -> tuple[FileFacts, str]:
    """The same facts without surrogates and NUL characters; and what is wrong with packages that were left out."""
    left_out = ""
    packages = []
    for package in facts.packages:
        if reason := _refusal(package):
            left_out = reason
        else:
            packages.append(_plain_package(package))
    owned_paths = tuple(_plain(path) for path in facts.owned_paths if len(path) <= _PATH_CHARACTERS)
    distribution = _plain_distribution(facts.distribution) if facts.distribution else None
    return FileFacts(tuple(packages), owned_paths, distribution), left_out


def _refusal(package: Package) -> str:
    """Why a package cannot be one; empty where it can."""
    if not package.name or not package.version:
        return f"a package without a name or a version: {(package.name or package.version)[:100]!a}"
    for name in _PACKAGE_TEXTS:
        if len(text := getattr(package, name)) > _LONG.get(name, _NAME_CHARACTERS):
            return f"the {name} of a package has {len(text)} characters"
    return ""


def _plain_package(package: Package) -> Package:
    changed: dict[str, object] = {
        name: _plain(text) for name in _PACKAGE_TEXTS if not _is_plain(text := getattr(package, name))
    }
    licenses = tuple(_plain(license_name[:_NAME_CHARACTERS]) for license_name in package.licenses[:_LICENSES])
    if licenses != package.licenses:
        changed["licenses"] = licenses
    return replace(package, **changed) if changed else package  # type: ignore[arg-type]


def _plain_distribution(distribution: Distribution) -> Distribution:
    texts = {name: _plain(getattr(distribution, name)[:_NAME_CHARACTERS]) for name in _DISTRIBUTION_TEXTS}
    like = tuple(_plain(name[:_NAME_CHARACTERS]) for name in distribution.id_like[:_LICENSES])
    return replace(distribution, id_like=like, **texts)


def _is_plain(text: str) -> bool:
    return text.isascii() and "\0" not in text


def _plain(text: str) -> str:
    if _is_plain(text):
        return text
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
