"""JavaScript: what is installed, by the ``package.json`` below ``node_modules``.

Source: npm's "package.json" and "folders"; pnpm's and Yarn's stores keep packages in ``node_modules`` too.
"""

from collections.abc import Mapping
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import DocumentRefused, items, json_document, mapping, text
from openecr.scan.packages import FileFacts, Package

_NOT_SHIPPED = frozenset(
    {"__fixtures__", "__mocks__", "__tests__", "benchmark", "benchmarks", "demo", "docs", "example", "examples"}
    | {"fixture", "fixtures", "spec", "template", "templates", "test", "test-data", "tests"}
)
_MOST_BYTES = 4 << 20
_MOST_LICENSE_CHARACTERS = 100


def read_package(file: WantedFile) -> FileFacts:
    """The package, if the file is one's own: it stands in ``node_modules``, or says that it was published.

    Within a package, ``package.json`` of what it carries along (``dist/compiled/ws``) counts, that of its tests and
    examples does not, nor one without name and version, as for ``{"type": "module"}``.
    """
    path = file.path.split("/")[:-1]
    if file.size_bytes > _MOST_BYTES:
        raise DocumentRefused(f"larger than {_MOST_BYTES} bytes")
    below = "node_modules" in path
    if below and _is_of_tests(path):
        return FileFacts()
    document = mapping(json_document(file.text()))
    if not below and not _is_published(document):
        return FileFacts()
    package = Package(
        "npm",
        text(document.get("name")),
        text(document.get("version")).strip().lstrip("=v"),
        "node-installed",
        licenses=_licenses(document),
    )
    return testimony([package], file.limits)


def _is_of_tests(path: list[str]) -> bool:
    """Whether a directory inside of some package is for tests: names of packages themselves are not asked."""
    position = path.index("node_modules") + 1
    while position < len(path):
        position += 2 if path[position].startswith("@") else 1
        while position < len(path) and path[position] != "node_modules":
            if path[position].lower() in _NOT_SHIPPED:
                return True
            position += 1
        position += 1
    return False


def _is_published(document: Mapping[str, Any]) -> bool:
    return document.get("private") is not True and (
        bool(items(document.get("files"))) or "preferGlobal" in document or "_resolved" in document
    )


def _licenses(document: Mapping[str, Any]) -> tuple[str, ...]:
    names = [document.get("license"), *items(document.get("licenses"))]
    licenses = (text(name) or text(mapping(name).get("type")) for name in names)
    return tuple(name[:_MOST_LICENSE_CHARACTERS] for name in licenses if name)


NODE_INSTALLED = Cataloger("node-installed", 1, read_package, names=("package.json",))

CATALOGERS = (NODE_INSTALLED,)
