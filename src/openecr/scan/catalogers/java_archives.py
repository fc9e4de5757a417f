"""Java: archives (jar, war, ear …), those in them too, by their Maven properties, manifest and file name.

A shaded jar has the properties of every artifact that was put into it: all are packages. An archive whose own artifact
no properties name is guessed from its file name and manifest; a Maven name without a group (``artifact`` alone) says
that the group is not known.

Sources: Maven's archiver (``META-INF/maven/<group>/<artifact>/pom.properties``), the JAR file specification, OSGi core
3.2.1 (``Bundle-*``), Spring Boot's and the servlet specification's places of inner archives (any place is read here).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.java_groups import group_of
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.limits import LimitExceeded, Limits
from openecr.scan.packages import FileFacts, Package, Unread
from openecr.scan.zips import Budget, ZipEntry, ZipRefused, entry_bytes, inflated, zip_entries

ARCHIVES = (".jar", ".war", ".ear", ".hpi", ".jpi", ".par", ".sar", ".nar", ".kar", ".lpkg", ".rar", ".aar")
_PROPERTIES = re.compile(r"META-INF/maven/[^/]+/[^/]+/pom\.properties")
_MANIFEST = "META-INF/MANIFEST.MF"
_FILE_NAME = re.compile(
    r"(?P<artifact>[A-Za-z][A-Za-z0-9_.-]*?)-(?P<version>v?[0-9][A-Za-z0-9_.+-]*?)"
    r"(?:-(?:sources|tests|javadoc|jar-with-dependencies|all|shaded|uber|linux-[A-Za-z0-9_-]+|osx-[A-Za-z0-9_-]+"
    r"|windows-[A-Za-z0-9_-]+))?"
)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MOST_TEXT_BYTES = 4 << 20
"""Of a manifest or of properties; manifests of signed jars list every file."""
_MOST_NAME_CHARACTERS = 300
_SPOOL_BYTES = 4 << 20
_MOST_UNREAD = 100


@dataclass(slots=True)
class _Reading:
    """One file of a layer: what is left of its budget, and what was found."""

    limits: Limits
    budget: Budget
    packages: list[Package] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def warn(self, path: str, reason: str) -> None:
        if len(self.unread) < _MOST_UNREAD:
            shown = "".join(letter if letter.isprintable() else "?" for letter in path[:_MOST_NAME_CHARACTERS])
            self.unread.append(Unread(shown, reason))


def read_archive(file: WantedFile) -> FileFacts:
    """The packages of an archive and of those in it.

    Raises:
        ZipRefused: it is no archive.
    """
    reading = _Reading(file.limits, Budget.of(file.limits))
    try:
        _read(reading, file.content, file.path, inner="", depth=1)
    except LimitExceeded as exceeded:
        reading.warn("", str(exceeded))
    return testimony(reading.packages, file.limits, unread=reading.unread)


def _read(reading: _Reading, content: BinaryIO, path: str, inner: str, depth: int) -> None:
    prefix = f"{inner}!/" if inner else ""
    archives: list[ZipEntry] = []
    named: list[str] = []
    manifest: dict[str, str] = {}
    for entry in list(_wanted(reading, content)):
        if entry.name.lower().endswith(ARCHIVES):
            archives.append(entry)
            continue
        try:
            lines = entry_bytes(content, entry, reading.budget, _MOST_TEXT_BYTES)
        except ZipRefused as refused:
            reading.warn(prefix + entry.name, str(refused))
            continue
        if entry.name == _MANIFEST:
            manifest = manifest | main_section(lines)
        elif found := properties_package(lines, prefix + entry.name):
            reading.packages.append(found)
            named.append(found.name.partition(":")[2])
    own = guessed_package(PurePosixPath(inner or path).name, manifest, inner)
    if own and own.name.rpartition(":")[2] not in named:
        reading.packages.append(own)
    for entry in archives:
        _read_inner(reading, content, path, prefix + entry.name, entry, depth)


def _wanted(reading: _Reading, content: BinaryIO) -> Iterator[ZipEntry]:
    for entry in zip_entries(content, reading.budget):
        if (
            entry.name == _MANIFEST
            or _PROPERTIES.fullmatch(entry.name)
            or (entry.name.lower().endswith(ARCHIVES) and "/../" not in f"/{entry.name}")
        ):
            yield entry


def _read_inner(reading: _Reading, content: BinaryIO, path: str, inner: str, entry: ZipEntry, depth: int) -> None:
    if depth >= reading.limits.archive_depth:
        reading.warn(inner, f"archives nest deeper than {reading.limits.archive_depth}")
        return
    with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        try:
            for piece in inflated(content, entry, reading.budget):
                spool.write(piece)
            _read(reading, cast("BinaryIO", spool), path, inner, depth + 1)
        except ZipRefused as refused:
            reading.warn(inner, str(refused))


def properties_package(content: bytes, inner_path: str) -> Package | None:
    """The artifact that a ``pom.properties`` names."""
    values: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        key, found, value = line.partition("=")
        if found and not line.startswith(("#", "!")):
            values[key.strip()] = value.strip()
    group, artifact, version = (values.get(key, "") for key in ("groupId", "artifactId", "version"))
    if not (_WORD.fullmatch(group) and _WORD.fullmatch(artifact)) or "${" in version:
        return None
    return Package("Maven", f"{group}:{artifact}", version, "jar", inner_path=inner_path)


def main_section(content: bytes) -> dict[str, str]:
    """The manifest's main attributes: up to the first empty line, folded lines joined."""
    attributes: dict[str, str] = {}
    last = ""
    for line in content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            break
        if line.startswith(" "):
            if last and len(attributes[last]) < _MOST_NAME_CHARACTERS:
                attributes[last] += line[1:]
            continue
        name, _, value = line.partition(":")
        last = name.lower()
        attributes[last] = value.strip()
    return attributes


def guessed_package(file_name: str, manifest: dict[str, str], inner_path: str) -> Package | None:
    """What the archive is, by its file name as a repository has it, else by what its manifest says."""
    stem = file_name.rpartition(".")[0][:_MOST_NAME_CHARACTERS]
    by_name = _FILE_NAME.fullmatch(stem)
    symbolic = manifest.get("bundle-symbolicname", "").partition(";")[0].strip()
    if by_name:
        artifact, version = by_name["artifact"], by_name["version"]
    else:
        artifact = _unversioned_artifact(stem, manifest.get("implementation-title", ""), symbolic)
        written = (manifest.get(f"{key}-version", "") for key in ("implementation", "bundle", "specification"))
        version = next((word for word in written if word.startswith(tuple("0123456789"))), "")
    if not (_WORD.fullmatch(artifact) and version):
        return None
    group = group_of(artifact, version) or _group_in(manifest, symbolic, artifact)
    name = f"{group}:{artifact}" if group else artifact
    return Package("Maven", name, version, "jar", inner_path=inner_path, guessed=True)


def _unversioned_artifact(stem: str, title: str, symbolic: str) -> str:
    """A name that is known to be an artifact's, else the file's, unless the bundle's has nothing to do with that."""
    last = symbolic.rpartition(".")[2]
    known = next((word for word in (title, stem, last) if _WORD.fullmatch(word) and group_of(word)), "")
    return known or (stem if not last or last in stem or stem in symbolic else last)


def _group_in(manifest: dict[str, str], symbolic: str, artifact: str) -> str:
    vendor = manifest.get("implementation-vendor-id", "")
    if "." in vendor and _WORD.fullmatch(vendor):
        return vendor
    for name in (symbolic, manifest.get("automatic-module-name", "")):
        group, _, last = name.rpartition(".")
        last = last.replace("_", "-")
        if artifact in (last, f"{group.rpartition('.')[2]}-{last}") and "." in group and _WORD.fullmatch(group):
            return group
    return ""


JAVA_ARCHIVES = Cataloger("java-archive", 1, read_archive, suffixes=ARCHIVES)

CATALOGERS = (JAVA_ARCHIVES,)
