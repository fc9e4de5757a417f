"""Java: what build files ask for: ``pom.xml``, Gradle's and sbt's lock files.

Sources: Maven's POM reference, Gradle's "Locking Versions", sbt-dependency-lock's file format.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, local_name, mapping, text, xml_root
from openecr.scan.packages import FileFacts, Package

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PLACEHOLDER = re.compile(r"\$\{([^${}]{1,200})\}")
_MOST_ROUNDS = 5
"""Of properties that are made of properties."""
_MOST_CHARACTERS = 300
_NOT_SHIPPED_SCOPES = frozenset({"test"})
_GRADLE = re.compile(r"(?P<name>[^:=\s]{1,200}:[^:=\s]{1,200}):(?P<version>[^:=\s]{1,200})=(?P<configurations>\S*)")
_GRADLE_DEVELOPMENT = ("test", "annotationProcessor", "checkstyle", "classpath", "jacoco", "pmd", "spotbugs", "kapt")


def read_pom(file: WantedFile) -> FileFacts:
    """Dependencies whose version the file itself gives, by properties and management of its own too.

    What a parent that is not there manages has no version here, and a range (``[1,2)``) is none.
    """
    project = xml_root(file.text())
    if local_name(project) != "project":
        return FileFacts()
    return testimony(_pom_packages(project), file.limits)


def read_gradle_lock(file: WantedFile) -> FileFacts:
    """``group:artifact:version=configurations``; for development where all configurations are for tests or tools."""
    return testimony(_gradle_packages(file.text().decode("utf-8", "replace")), file.limits)


def read_sbt_lock(file: WantedFile) -> FileFacts:
    """Dependencies with their configurations."""
    document = mapping(json_document(file.text()))
    return testimony(
        (
            Package(
                "Maven",
                _coordinate(text(entry.get("org")), text(entry.get("name"))),
                text(entry.get("version")),
                "sbt-lock",
                declared=True,
                development=bool(used := items(entry.get("configurations"))) and set(map(str, used)) <= {"test"},
            )
            for entry in map(mapping, items(document.get("dependencies")))
        ),
        file.limits,
    )


def _pom_packages(project: "Element") -> Iterator[Package]:
    properties = _properties(project)
    managed: dict[str, tuple[str, str]] = {}
    for dependency in _below(project, "dependencyManagement", "dependencies"):
        fields = _fields(dependency, properties)
        managed[_coordinate(fields.get("groupId", ""), fields.get("artifactId", ""))] = (
            fields.get("version", ""),
            fields.get("scope", ""),
        )
    for dependency in _below(project, "dependencies"):
        fields = _fields(dependency, properties)
        name = _coordinate(fields.get("groupId", ""), fields.get("artifactId", ""))
        managed_version, managed_scope = managed.get(name, ("", ""))
        version = fields.get("version") or managed_version
        scope = fields.get("scope") or managed_scope
        if "${" in name + version or version.startswith(("[", "(")):
            continue
        yield Package("Maven", name, version, "maven-pom", declared=True, development=scope in _NOT_SHIPPED_SCOPES)


def _properties(project: "Element") -> dict[str, str]:
    """Declared ones, and those of the project and its parent that a POM may refer to."""
    properties = {local_name(element): _value(element) for element in _below(project, "properties")}
    own = {local_name(element): _value(element) for element in project}
    parent = {local_name(element): _value(element) for element in _below(project, "parent")}
    for field in ("groupId", "version"):
        value = own.get(field) or parent.get(field, "")
        if value:
            properties |= {f"project.{field}": value, f"pom.{field}": value}
        if parent.get(field):
            properties |= {f"project.parent.{field}": parent[field]}
    return properties


def _below(project: "Element", *names: str) -> list["Element"]:
    """Children of the element that the names lead to."""
    level = [project]
    for name in names:
        level = [child for element in level for child in element if local_name(child) == name]
    return [child for element in level for child in element]


def _fields(dependency: "Element", properties: Mapping[str, str]) -> dict[str, str]:
    return {local_name(field): _filled(_value(field), properties) for field in dependency}


def _value(element: "Element") -> str:
    return (element.text or "").strip()[:_MOST_CHARACTERS]


def _filled(value: str, properties: Mapping[str, str]) -> str:
    for _ in range(_MOST_ROUNDS):
        if "${" not in value or len(value) > _MOST_CHARACTERS:
            break
        value = _PLACEHOLDER.sub(lambda match: properties.get(match[1], match[0]), value)
    return value[:_MOST_CHARACTERS]


def _coordinate(group: str, artifact: str) -> str:
    return f"{group}:{artifact}" if group and artifact else ""


def _gradle_packages(lines: str) -> Iterator[Package]:
    for line in lines.splitlines():
        match = _GRADLE.fullmatch(line.strip())
        if match:
            configurations = match["configurations"].split(",")
            yield Package(
                "Maven",
                match["name"],
                match["version"],
                "gradle-lock",
                declared=True,
                development=all(name.startswith(_GRADLE_DEVELOPMENT) for name in configurations),
            )


MAVEN_POM = Cataloger("maven-pom", 1, read_pom, names=("pom.xml",))
GRADLE_LOCK = Cataloger("gradle-lock", 1, read_gradle_lock, names=("gradle.lockfile", "buildscript-gradle.lockfile"))
SBT_LOCK = Cataloger("sbt-lock", 1, read_sbt_lock, suffixes=(".sbt.lock",))

CATALOGERS = (MAVEN_POM, GRADLE_LOCK, SBT_LOCK)
