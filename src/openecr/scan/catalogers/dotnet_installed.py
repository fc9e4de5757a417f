""".NET: what is deployed, by ``*.deps.json``, and packages of a NuGet folder, by ``*.nuspec``.

The runtime in an image has such files too (``shared/Microsoft.NETCore.App/8.0.1/Microsoft.NETCore.App.deps.json``): the
advisories on it name the packages it is built as (``Microsoft.NETCore.App.Runtime.linux-x64``).
Sources: the .NET runtime's "Runtime Configuration Files", NuGet's ".nuspec reference".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import json_document, local_name, mapping, text, xml_root
from openecr.scan.packages import FileFacts, Package

_ASSETS = ("native", "runtime", "runtimeTargets", "resources")
_RUNTIME_PACK = "runtimepack."
_FRAMEWORK = re.compile(
    r"(?:.*/)?shared/(?P<name>Microsoft\.(?:NETCore|AspNetCore|WindowsDesktop)\.App)/(?P<version>[0-9][^/]*)/(?P=name)\.deps\.json"
)
_MOST_LICENSE_CHARACTERS = 100


def read_dependencies(file: WantedFile) -> FileFacts:
    """Packages that brought files of their own along; the framework, where the file is that of one."""
    document = mapping(json_document(file.text()))
    target = text(mapping(document.get("runtimeTarget")).get("name"))
    return testimony([*_libraries(document, target), *_framework(file.path, target)], file.limits)


def read_nuspec(file: WantedFile) -> FileFacts:
    """The package that the file describes; a template of one (``$version$``) is none."""
    fields: dict[str, str] = {}
    for metadata in xml_root(file.text()):
        if local_name(metadata) == "metadata":
            fields = {local_name(field): (field.text or "").strip() for field in metadata}
    name, version, name_of_license = (fields.get(field, "") for field in ("id", "version", "license"))
    if "$" in name + version:
        return FileFacts()
    licenses = (name_of_license[:_MOST_LICENSE_CHARACTERS],) if name_of_license else ()
    return testimony([Package("NuGet", name, version, "nuspec", licenses=licenses)], file.limits)


def _libraries(document: Mapping[str, Any], target: str) -> Iterator[Package]:
    targets = mapping(document.get("targets"))
    deployed = mapping(targets.get(target)) if target else {}
    for key, value in mapping(document.get("libraries")).items():
        name, _, version = key.partition("/")
        kind = text(mapping(value).get("type")).lower()
        if kind not in ("package", "runtimepack"):
            continue
        library = mapping(deployed.get(key))
        if not deployed or any(library.get(assets) for assets in _ASSETS):
            yield Package("NuGet", name.removeprefix(_RUNTIME_PACK), version, "dotnet-deps")


def _framework(path: str, target: str) -> Iterator[Package]:
    found = _FRAMEWORK.fullmatch(path)
    runtime = target.partition("/")[2]
    if found:
        name = f"{found['name']}.Runtime.{runtime}" if runtime else found["name"]
        yield Package("NuGet", name, found["version"], "dotnet-deps")


DOTNET_DEPENDENCIES = Cataloger("dotnet-deps", 1, read_dependencies, suffixes=(".deps.json",))
NUSPEC = Cataloger("nuspec", 1, read_nuspec, suffixes=(".nuspec",))

CATALOGERS = (DOTNET_DEPENDENCIES, NUSPEC)
