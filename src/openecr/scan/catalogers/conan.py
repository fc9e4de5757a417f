"""C and C++: conan.lock, and the conaninfo.txt of packages that Conan installed.

Source: Conan's documentation, "Lockfiles" of Conan 1 and 2, "conaninfo.txt" of Conan 1.
"""

import re

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.plain_text import plain_text
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text
from openecr.scan.packages import FileFacts, Package

_REFERENCE = re.compile(r"(?P<name>[^/@#:%\s]+)/(?P<version>[^/@#:%\s\[\]]+)(?:[@#:%].*)?")
"""``name/version@user/channel#recipe_revision:package_id%time``; a version in brackets is a range."""
_CACHED = re.compile(r"/data/(?P<name>[^/]+)/(?P<version>[^/]+)/[^/]+/[^/]+/package/[0-9a-f]{40}/conaninfo\.txt$")


def _package(reference: str, kind: str, declared: bool, development: bool = False) -> Package | None:
    match = _REFERENCE.fullmatch(reference.strip()[:1024])
    if match is None:
        return None
    return Package("ConanCenter", match["name"], match["version"], kind, declared=declared, development=development)


def _read_lock(file: WantedFile) -> FileFacts:
    """Until version 0.4 the nodes of the graph (``ref``, earlier ``pref``); since 0.5 lists.

    A node with a ``path`` is the consumer's own.
    """
    document = mapping(json_document(file.text()))
    found = [
        _package(text(node.get("ref") or node.get("pref")), "conan-lock", declared=True)
        for node in map(mapping, mapping(mapping(document.get("graph_lock")).get("nodes")).values())
        if "path" not in node
    ]
    for key, development in (("requires", False), ("python_requires", True), ("build_requires", True)):
        found += [
            _package(text(reference), "conan-lock", declared=True, development=development)
            for reference in items(document.get(key))
        ]
    return testimony((package for package in found if package is not None), file.limits)


def _read_info(file: WantedFile) -> FileFacts:
    """The package whose folder of Conan 1's cache it is in, and what this was built with (``full_requires``).

    Conan 2 keeps names in a database and only ranges (``1.2.Z``) in the file: nothing is read of it.
    """
    found: list[Package | None] = []
    if cached := _CACHED.search(f"/{file.path}"):
        found.append(_package(f"{cached['name']}/{cached['version']}", "conan-info", declared=False))
    section = ""
    for row in plain_text(file).splitlines():
        line = row.strip()
        if line.startswith("["):
            section = line
        elif section == "[full_requires]" and line:
            found.append(_package(line, "conan-info", declared=False))
    return testimony((package for package in found if package is not None), file.limits)


CONAN_LOCK = Cataloger("conan-lock", 1, _read_lock, names=("conan.lock",))
CONAN_INFO = Cataloger("conan-info", 1, _read_info, names=("conaninfo.txt",))

CATALOGERS = (CONAN_LOCK, CONAN_INFO)
