"""Python: lock files of Pipenv, Poetry, uv, PDM, and PEP 751's own."""

from collections.abc import Iterator
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text, toml_document
from openecr.scan.packages import FileFacts, Package

_DEVELOPMENT_GROUPS = frozenset(
    {"dev", "develop", "development", "test", "tests", "testing", "lint", "linting", "typing", "types", "docs", "doc"}
)
"""PDM's lock file does not tell extras, which are installed on demand, from development groups: by usual names."""


def read_pipfile_lock(file: WantedFile) -> FileFacts:
    """Packages of the default and the develop section; those from git, a file or a path have no version."""
    document = mapping(json_document(file.text()))
    return testimony(
        (
            _declared("pipfile-lock", name, version.removeprefix("=="), development=section == "develop")
            for section in document
            if section != "_meta"
            for name, entry in mapping(document[section]).items()
            if (version := text(mapping(entry).get("version"))).startswith("==")
        ),
        file.limits,
    )


def read_poetry_lock(file: WantedFile) -> FileFacts:
    """Packages but those from a directory, a file, git or an address; all groups but ``main`` are for development."""
    packages = _tables(toml_document(file.text()), "package")
    return testimony(
        (
            _declared(
                "poetry-lock",
                text(package.get("name")),
                text(package.get("version")),
                development=package.get("category") == "dev" or "main" not in items(package.get("groups") or ["main"]),
            )
            for package in packages
            if mapping(package.get("source")).get("type") not in ("directory", "file", "git", "url")
        ),
        file.limits,
    )


def read_pdm_lock(file: WantedFile) -> FileFacts:
    """Packages but those from a path, git or an address."""
    return testimony(
        (
            _declared(
                "pdm-lock",
                text(package.get("name")),
                text(package.get("version")),
                development=bool(groups := items(package.get("groups")))
                and _DEVELOPMENT_GROUPS.issuperset(map(str, groups)),
            )
            for package in _tables(toml_document(file.text()), "package")
            if not package.keys() & {"path", "git", "url", "editable"}
        ),
        file.limits,
    )


def read_uv_lock(file: WantedFile) -> FileFacts:
    """Packages from an index; for development are those that the workspace's members need in no other way."""
    packages = _tables(toml_document(file.text()), "package")
    needed = _needed_to_run(packages)
    return testimony(
        (
            _declared("uv-lock", name, text(package.get("version")), development=name not in needed)
            for package in packages
            if mapping(package.get("source")).get("registry") is not None
            for name in [text(package.get("name"))]
        ),
        file.limits,
    )


def read_pylock(file: WantedFile) -> FileFacts:
    """Packages from an index, as PEP 751 has them: no ``vcs``, ``directory`` or ``archive``."""
    return testimony(
        (
            _declared(
                "pylock",
                text(package.get("name")),
                text(package.get("version")),
                development=_is_for_groups_only(text(package.get("marker"))),
            )
            for package in _tables(toml_document(file.text()), "packages")
            if not package.keys() & {"vcs", "directory", "archive"}
        ),
        file.limits,
    )


def _declared(kind: str, name: str, version: str, *, development: bool) -> Package:
    return Package("PyPI", name, version, kind, declared=True, development=development)


def _tables(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [table for table in items(document.get(name)) if isinstance(table, dict)]


def _is_for_groups_only(marker: str) -> bool:
    return "in dependency_groups" in marker and " or " not in marker and "extras" not in marker


def _needed_to_run(packages: list[dict[str, Any]]) -> set[str]:
    requires: dict[str, set[str]] = {}
    ahead: list[str] = []
    for package in packages:
        name = text(package.get("name"))
        requires.setdefault(name, set()).update(_required(package))
        if mapping(package.get("source")).keys() & {"virtual", "editable", "directory"}:
            ahead.append(name)
    if not ahead:
        return set(requires)
    needed: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name not in needed:
            needed.add(name)
            ahead += requires.get(name, ())
    return needed


def _required(package: dict[str, Any]) -> Iterator[str]:
    lists = [package.get("dependencies"), *mapping(package.get("optional-dependencies")).values()]
    for dependencies in lists:
        for dependency in items(dependencies):
            yield text(mapping(dependency).get("name"))


PIPFILE_LOCK = Cataloger("pipfile-lock", 1, read_pipfile_lock, names=("Pipfile.lock",))
POETRY_LOCK = Cataloger("poetry-lock", 1, read_poetry_lock, names=("poetry.lock",))
PDM_LOCK = Cataloger("pdm-lock", 1, read_pdm_lock, names=("pdm.lock",))
UV_LOCK = Cataloger("uv-lock", 1, read_uv_lock, names=("uv.lock",))
PYLOCK = Cataloger("pylock", 1, read_pylock, names=("pylock.toml",))

CATALOGERS = (PDM_LOCK, PIPFILE_LOCK, POETRY_LOCK, PYLOCK, UV_LOCK)
