"""Rust: what cargo-auditable writes into programs, and Cargo.lock."""

import zlib

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text, toml_document
from openecr.scan.executables import EXECUTABLE_MAGICS, SourceFile, read_executable
from openecr.scan.packages import FileFacts, Package

_MOST_INFLATED_BYTES = 8 << 20
_ECOSYSTEM = "crates.io"
_INDEX = f"/{_ECOSYSTEM}-index"
"""How the address of the public registry's index ends; those of private registries, whose names are theirs, do not."""


def _read_program(file: WantedFile) -> FileFacts:
    """The section's zlib stream of JSON: ``{"packages": [{"name", "version", "source", "kind"?, "root"?}]}``.

    Source: cargo-auditable's PARSING.md and its JSON schema. Packages of ``kind`` "build" ran when the program was
    built and are not in it; those from git, a path or a
    private registry are not those that advisories speak of.
    """
    executable = read_executable(SourceFile(file.content, file.size_bytes))
    section = executable.section(".dep-v0", "__DATA,.dep-v0") if executable is not None else None
    if executable is None or section is None or not section.size_bytes:
        return FileFacts()
    compressed = executable.section_bytes(section, _MOST_INFLATED_BYTES)
    inflater = zlib.decompressobj()
    content = inflater.decompress(compressed, _MOST_INFLATED_BYTES)
    if not inflater.eof:
        raise ValueError(f"its list of crates is cut off, or larger than {_MOST_INFLATED_BYTES} bytes")
    found = []
    for row in items(mapping(json_document(content)).get("packages")):
        crate = mapping(row)
        name, version, source = (text(crate.get(key)) for key in ("name", "version", "source"))
        if name and version and source == _ECOSYSTEM and crate.get("kind") != "build":
            found.append(Package(_ECOSYSTEM, name, version, "cargo-auditable"))
    return testimony(found, file.limits)


def _read_lock(file: WantedFile) -> FileFacts:
    """Packages of the public registry: those without a source are the workspace's own, others come from git.

    Source: the Cargo Book, "Cargo.toml vs Cargo.lock"; version 1 to 4 differ in checksums and dependencies only.
    """
    found = []
    for row in items(toml_document(file.text()).get("package")):
        crate = mapping(row)
        name, version = text(crate.get("name")), text(crate.get("version"))
        if name and version and text(crate.get("source")).endswith(_INDEX):
            found.append(Package(_ECOSYSTEM, name, version, "cargo-lock", declared=True))
    return testimony(found, file.limits)


CARGO_AUDITABLE = Cataloger("cargo-auditable", 1, _read_program, magic=EXECUTABLE_MAGICS)
CARGO_LOCK = Cataloger("cargo-lock", 1, _read_lock, names=("Cargo.lock",))

CATALOGERS = (CARGO_AUDITABLE, CARGO_LOCK)
