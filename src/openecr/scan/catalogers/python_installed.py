"""Python: what is installed, by the metadata that installers leave.

``X.dist-info/METADATA`` (wheels), ``X.egg-info/PKG-INFO`` or a file ``X.egg-info`` (setuptools, distutils),
``EGG-INFO`` in eggs, unpacked or zipped. Sources: the specifications of core metadata and of installed projects.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.packages import FileFacts, Package
from openecr.scan.zips import Budget, entry_bytes, zip_entries

_MOST_HEADER_BYTES = 1 << 20
_MOST_LINE_BYTES = 64 << 10
_DIRECTORY = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*(?:-[A-Za-z0-9._]+)*?)-(?P<version>[0-9][^-/]*)(?:-py[0-9.]+.*)?"
)
_METADATA_NAMES = frozenset({"metadata", "pkg-info"})
_LICENSE_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST_LICENSE = 100
"""``License`` may hold the whole text of one; such is no name."""


def read_metadata(file: WantedFile) -> FileFacts:
    """The distribution that the file is the metadata of; none where pip was about to remove it (``~name``)."""
    path = PurePosixPath(file.path)
    holder = path.parent if path.name.lower() in _METADATA_NAMES else path
    if holder.name.upper() == "EGG-INFO":
        holder = holder.parent
    if holder.name.startswith("~"):
        return FileFacts()
    return testimony([_package(_header(file.content), holder.name)], file.limits)


def read_egg(file: WantedFile) -> FileFacts:
    """The distribution in a zipped egg."""
    budget = Budget.of(file.limits)
    for entry in list(zip_entries(file.content, budget)):
        if entry.name == "EGG-INFO/PKG-INFO":
            content = entry_bytes(file.content, entry, budget, file.limits.text_bytes)
            package = _package(content[:_MOST_HEADER_BYTES], PurePosixPath(file.path).name, inner_path=entry.name)
            return testimony([package], file.limits)
    return FileFacts()


def _header(content: BinaryIO) -> bytes:
    """Up to the first empty line: what follows is the project's description."""
    header = bytearray()
    for line in iter(lambda: content.readline(_MOST_LINE_BYTES), b""):
        if not line.strip(b"\r\n") or len(header) > _MOST_HEADER_BYTES:
            break
        header += line
    return bytes(header)


def _package(header: bytes, holder: str, inner_path: str = "") -> Package:
    fields = _fields(header)
    stem = re.sub(r"\.(?:dist-info|egg-info|egg)$", "", holder)
    named = _DIRECTORY.fullmatch(stem[:300])
    return Package(
        "PyPI",
        _first(fields, "name") or (named["name"] if named else ""),
        _first(fields, "version") or (named["version"] if named else ""),
        "python-installed",
        inner_path=inner_path,
        licenses=_licenses(
            _first(fields, "license-expression"), _first(fields, "license"), fields.get("classifier", [])
        ),
    )


def _fields(header: bytes) -> dict[str, list[str]]:
    """Names in lower case; folded lines joined by a space."""
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n"):
        if line.startswith((" ", "\t")):
            if values and len(values[-1]) < _MOST_LINE_BYTES:
                values[-1] += " " + line.strip()
            continue
        name, found, value = line.partition(":")
        values = fields.setdefault(name.strip().lower(), []) if found else []
        values.append(value.strip())
    return fields


def _first(fields: dict[str, list[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "").strip()


def _licenses(expression: str, license_name: str, classifiers: Iterable[str]) -> tuple[str, ...]:
    if expression:
        return (expression[:_LONGEST_LICENSE],)
    if license_name and len(license_name) <= _LONGEST_LICENSE and license_name.upper() != "UNKNOWN":
        return (license_name,)
    return tuple(text.removeprefix(_LICENSE_CLASSIFIER) for text in classifiers if text.startswith(_LICENSE_CLASSIFIER))


PYTHON_INSTALLED = Cataloger(
    "python-installed",
    1,
    read_metadata,
    suffixes=(".dist-info/metadata", "egg-info/pkg-info", ".egg-info"),
)
PYTHON_EGG = Cataloger("python-egg", 1, read_egg, suffixes=(".egg",))

CATALOGERS = (PYTHON_INSTALLED, PYTHON_EGG)
