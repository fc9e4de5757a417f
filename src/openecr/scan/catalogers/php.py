"""PHP: what Composer installed (``vendor/composer/installed.json``), and what its lock file asks for.

Branches (``dev-main``, ``1.x-dev``) are no released version, nor is what a directory
of the project was linked from (``path``): neither is reported. Source: Composer's "The
composer.json schema" and "Basic usage"; files that Composer 1 and 2 wrote.
"""

from collections.abc import Iterator
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text
from openecr.scan.packages import FileFacts, Package

_MOST_LICENSES = 20


def read_installed(file: WantedFile) -> FileFacts:
    """Packages of either form: a list (Composer 1), or ``packages`` beside the names of those for development."""
    document = json_document(file.text())
    packages = document if isinstance(document, list) else items(mapping(document).get("packages"))
    development = {text(name) for name in items(mapping(document).get("dev-package-names"))}
    return testimony(
        (
            package
            for entry in packages
            for package in _packages(
                entry, "composer-installed", development=text(mapping(entry).get("name")) in development
            )
        ),
        file.limits,
    )


def read_composer_lock(file: WantedFile) -> FileFacts:
    """Packages, and those for development."""
    document = mapping(json_document(file.text()))
    return testimony(
        (
            package
            for section, development in (("packages", False), ("packages-dev", True))
            for entry in items(document.get(section))
            for package in _packages(entry, "composer-lock", declared=True, development=development)
        ),
        file.limits,
    )


def _packages(value: Any, kind: str, *, declared: bool = False, development: bool) -> Iterator[Package]:
    entry = mapping(value)
    version = text(entry.get("version"))
    if mapping(entry.get("dist")).get("type") == "path":
        return
    if version.lower().startswith("dev-") or version.lower().endswith("-dev"):
        return
    names = entry.get("license")
    licenses = [text(name) for name in (items(names) or [names])[:_MOST_LICENSES]]
    yield Package(
        "Packagist",
        text(entry.get("name")),
        version,
        kind,
        licenses=tuple(filter(None, licenses)),
        declared=declared,
        development=development,
    )


COMPOSER_INSTALLED = Cataloger("composer-installed", 1, read_installed, suffixes=("composer/installed.json",))
COMPOSER_LOCK = Cataloger("composer-lock", 1, read_composer_lock, names=("composer.lock",))

CATALOGERS = (COMPOSER_INSTALLED, COMPOSER_LOCK)
