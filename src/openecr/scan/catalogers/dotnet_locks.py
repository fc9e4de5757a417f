""".NET: what projects ask for: NuGet's lock and configuration files, MSBuild's central versions, Paket's lock file.

Sources: NuGet's "PackageReference in project files" (packages.lock.json), "packages.config reference", "Central Package
Management"; Paket's "The paket.lock file".
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import json_document, local_name, mapping, text, xml_root
from openecr.scan.packages import FileFacts, Package

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_CHARACTERS = 300
_PROPERTY = re.compile(r"\$\(([A-Za-z0-9_.-]{1,100})\)")
_PAKET = re.compile(r" {4}(?P<name>[A-Za-z0-9_.-]{1,200}) \((?P<version>[0-9][^)\s]{0,200})\).*")
_PAKET_DEVELOPMENT = frozenset({"test", "tests", "build", "dev", "docs", "tools"})


def read_packages_lock(file: WantedFile) -> FileFacts:
    """``packages.lock.json``: what was resolved for each framework, but projects."""
    document = mapping(json_document(file.text()))
    return testimony(
        (
            _declared("nuget-lock", name, text(mapping(entry).get("resolved")))
            for framework in mapping(document.get("dependencies")).values()
            for name, entry in mapping(framework).items()
            if text(mapping(entry).get("type")).lower() != "project"
        ),
        file.limits,
    )


def read_assets(file: WantedFile) -> FileFacts:
    """``project.assets.json``: what a restore found, but projects."""
    document = mapping(json_document(file.text()))
    return testimony(
        (
            _declared("nuget-assets", *key.partition("/")[::2])
            for key, library in mapping(document.get("libraries")).items()
            if text(mapping(library).get("type")).lower() == "package"
        ),
        file.limits,
    )


def read_packages_config(file: WantedFile) -> FileFacts:
    """``packages.config``: packages of a project of the older kind."""
    root = xml_root(file.text())
    return testimony(
        (
            _declared(
                "nuget-config",
                element.get("id", ""),
                element.get("version", ""),
                development=element.get("developmentDependency", "").lower() == "true",
            )
            for element in root
            if local_name(element) == "package"
        ),
        file.limits,
    )


def read_central_versions(file: WantedFile) -> FileFacts:
    """``Directory.Packages.props``: one version for each package; ranges and what other files define are none."""
    root = xml_root(file.text())
    groups = [group for group in root if local_name(group) in ("PropertyGroup", "ItemGroup")]
    properties = {
        local_name(value): (value.text or "").strip()[:_MOST_CHARACTERS] for group in groups for value in group
    }
    return testimony(
        (
            _declared("nuget-central", element.get("Include", ""), _filled(_version(element), properties))
            for group in groups
            for element in group
            if local_name(element) in ("PackageVersion", "GlobalPackageReference")
        ),
        file.limits,
    )


def read_paket_lock(file: WantedFile) -> FileFacts:
    """``paket.lock``: packages from NuGet sources, by group; for development by the group's usual names."""
    return testimony(_paket(file.text().decode("utf-8", "replace")), file.limits)


def _declared(kind: str, name: str, version: str, *, development: bool = False) -> Package:
    return Package("NuGet", name, version, kind, declared=True, development=development)


def _version(element: "Element") -> str:
    written = element.get("Version") or next(
        (child.text or "" for child in element if local_name(child) == "Version"), ""
    )
    exact = written.strip()[:_MOST_CHARACTERS]
    if exact.startswith("[") and exact.endswith("]") and "," not in exact:
        exact = exact[1:-1].strip()
    return "" if exact.startswith(("[", "(")) or "*" in exact else exact


def _filled(version: str, properties: dict[str, str]) -> str:
    filled = _PROPERTY.sub(lambda match: properties.get(match[1], match[0]), version)
    return "" if "$(" in filled else filled


def _paket(lines: str) -> Iterator[Package]:
    section, development = "", False
    for line in lines.splitlines():
        if line and not line.startswith(" "):
            section = line.strip()
            if section.startswith("GROUP "):
                development = section.removeprefix("GROUP ").strip().lower() in _PAKET_DEVELOPMENT
        elif section == "NUGET" and (match := _PAKET.fullmatch(line)):
            yield _declared("paket-lock", match["name"], match["version"], development=development)


NUGET_LOCK = Cataloger("nuget-lock", 1, read_packages_lock, names=("packages.lock.json",))
NUGET_ASSETS = Cataloger("nuget-assets", 1, read_assets, names=("project.assets.json",))
NUGET_CONFIG = Cataloger("nuget-config", 1, read_packages_config, names=("packages.config",))
NUGET_CENTRAL = Cataloger("nuget-central", 1, read_central_versions, names=("Directory.Packages.props",))
PAKET_LOCK = Cataloger("paket-lock", 1, read_paket_lock, names=("paket.lock",))

CATALOGERS = (NUGET_ASSETS, NUGET_CENTRAL, NUGET_CONFIG, NUGET_LOCK, PAKET_LOCK)
