"""JavaScript: lock files of npm, pnpm, Bun and Deno. Yarn's are in ``yarn_locks``.

Entries that no version of the registry's are not reported: links, workspaces, directories, git and other addresses.
Sources: npm's "package-lock.json"; the lock file types of pnpm, Bun and Deno; files that these tools wrote.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text, yaml_documents
from openecr.scan.packages import FileFacts, Package

_DIGITS = tuple("0123456789")
_MOST_NESTING = 32
_ELSEWHERE = ("file:", "git:", "git+", "github:", "link:")


def read_npm_lock(file: WantedFile) -> FileFacts:
    """Packages of ``packages`` (versions 2 and 3), else of the nested ``dependencies`` (version 1)."""
    document = mapping(json_document(file.text()))
    packages = mapping(document.get("packages"))
    return testimony(_npm_paths(packages) if packages else _npm_tree(document), file.limits)


def read_pnpm_lock(file: WantedFile) -> FileFacts:
    """Packages by their keys, which say name and version: ``/a/1.0.0``, ``/a@1.0.0``, ``a@1.0.0``."""
    return testimony(
        (package for document in yaml_documents(file.text()) for package in _pnpm_packages(mapping(document))),
        file.limits,
    )


def read_bun_lock(file: WantedFile) -> FileFacts:
    """Packages of the text form; the older binary form is not read."""
    document = mapping(json_document(file.text(), lenient=True))
    packages = {key: items(entry) for key, entry in mapping(document.get("packages")).items()}
    needed = _bun_needed(mapping(document.get("workspaces")), packages)
    return testimony(
        (
            declared("bun-lock", *split_specifier(text(entry[0])), development=key not in needed)
            for key, entry in packages.items()
            if entry
        ),
        file.limits,
    )


def read_deno_lock(file: WantedFile) -> FileFacts:
    """Packages from npm; where they were put has moved with the versions of the format."""
    document = mapping(json_document(file.text()))
    npm = mapping(document.get("npm"))
    packages = mapping(npm.get("packages")) or npm or mapping(mapping(document.get("packages")).get("npm"))
    found = (split_specifier(key) for key in packages)
    return testimony((declared("deno-lock", name, version.partition("_")[0]) for name, version in found), file.limits)


def declared(kind: str, name: str, version: str, *, development: bool = False) -> Package:
    """A lock file's package; without a version, and so not reported, where it is none of the registry's."""
    published = version if version.startswith(_DIGITS) else ""
    return Package("npm", name, published, kind, declared=True, development=development)


def split_specifier(specifier: str) -> tuple[str, str]:
    """Name and the rest of ``name@rest``; a scope's ``@`` is the name's."""
    name, _, rest = specifier[1:].partition("@")
    return specifier[:1] + name, rest


def _npm_paths(packages: Mapping[str, Any]) -> Iterator[Package]:
    for path, value in packages.items():
        entry = mapping(value)
        _, below, name = path.rpartition("node_modules/")
        if not below or entry.get("link") is True or text(entry.get("resolved")).startswith(_ELSEWHERE):
            continue
        yield declared(
            "npm-lock",
            text(entry.get("name")) or name,
            text(entry.get("version")),
            development=entry.get("dev") is True,
        )


def _npm_tree(document: Mapping[str, Any]) -> Iterator[Package]:
    ahead = [mapping(document.get("dependencies"))]
    while ahead:
        for name, value in ahead.pop().items():
            entry = mapping(value)
            version = text(entry.get("version"))
            if version.startswith("npm:"):
                name, version = split_specifier(version.removeprefix("npm:"))
            yield declared("npm-lock", name, version, development=entry.get("dev") is True)
            ahead.append(mapping(entry.get("dependencies")))


def _pnpm_packages(document: Mapping[str, Any]) -> Iterator[Package]:
    packages = mapping(document.get("packages"))
    snapshots = mapping(document.get("snapshots"))
    needed = _pnpm_needed(mapping(document.get("importers")), snapshots) if snapshots else None
    for key, entry in packages.items():
        name, version = _pnpm_key(key)
        development = key not in needed if needed is not None else mapping(entry).get("dev") == "true"
        yield declared("pnpm-lock", name, version, development=development)


def _pnpm_key(key: str) -> tuple[str, str]:
    before_peers = key.partition("(")[0]
    if not before_peers.startswith("/"):
        return split_specifier(before_peers)
    name, version = split_specifier(before_peers[1:])
    if "/" not in name.removeprefix("@") or (name.startswith("@") and name.count("/") == 1 and version):
        return name, version
    scope_parts = 2 if before_peers.startswith("/@") else 1
    parts = before_peers[1:].split("/")
    return "/".join(parts[:scope_parts]), "/".join(parts[scope_parts:]).partition("_")[0]


def _pnpm_needed(importers: Mapping[str, Any], snapshots: Mapping[str, Any]) -> set[str]:
    """Keys of the packages that importers need to run, without their peers."""
    ahead = [
        _pnpm_reference(name, text(mapping(dependency).get("version")))
        for importer in importers.values()
        for section in ("dependencies", "optionalDependencies")
        for name, dependency in mapping(mapping(importer).get(section)).items()
    ]
    seen: set[str] = set()
    while ahead:
        key = ahead.pop()
        if key in seen:
            continue
        seen.add(key)
        for section in ("dependencies", "optionalDependencies"):
            needs = mapping(mapping(snapshots.get(key)).get(section))
            ahead += [_pnpm_reference(name, text(version)) for name, version in needs.items()]
    return {key.partition("(")[0] for key in seen}


def _pnpm_reference(name: str, version: str) -> str:
    """The key: an alias' version names the package too."""
    return version if "@" in version.partition("(")[0][1:] else f"{name}@{version}"


def _bun_needed(workspaces: Mapping[str, Any], packages: Mapping[str, list[Any]]) -> set[str]:
    """Keys of the packages that workspaces need to run."""
    ahead: list[tuple[str, str]] = []
    for workspace in map(mapping, workspaces.values()):
        ahead += [(text(workspace.get("name")), name) for name in _bun_requires(workspace)]
    needed: set[str] = set()
    while ahead:
        holder, name = ahead.pop()
        key = _bun_key(holder, name, packages)
        if key not in needed and key in packages:
            needed.add(key)
            details = next((entry for entry in packages[key][1:] if isinstance(entry, dict)), {})
            ahead += [(key, required) for required in _bun_requires(details)]
    return needed


def _bun_requires(entry: Mapping[str, Any]) -> Iterator[str]:
    for section in ("dependencies", "optionalDependencies", "peerDependencies"):
        yield from mapping(entry.get(section))


def _bun_key(holder: str, name: str, packages: Mapping[str, list[Any]]) -> str:
    """Where the package is that one under this key gets: beside it first, then upward, as node looks for it."""
    for _ in range(_MOST_NESTING):
        if not holder:
            break
        if f"{holder}/{name}" in packages:
            return f"{holder}/{name}"
        holder = holder.rpartition("/")[0]
    return name


NPM_LOCK = Cataloger("npm-lock", 1, read_npm_lock, names=("package-lock.json", "npm-shrinkwrap.json"))
PNPM_LOCK = Cataloger("pnpm-lock", 1, read_pnpm_lock, names=("pnpm-lock.yaml",))
BUN_LOCK = Cataloger("bun-lock", 1, read_bun_lock, names=("bun.lock",))
DENO_LOCK = Cataloger("deno-lock", 1, read_deno_lock, names=("deno.lock",))

CATALOGERS = (NPM_LOCK, PNPM_LOCK, BUN_LOCK, DENO_LOCK)
