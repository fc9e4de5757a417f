"""Alpine's package database (apk-tools, apk-package(5) and the installed database's fields)."""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.packages import FileFacts, Package


def _read(file: WantedFile) -> FileFacts:
    packages, owned_paths = [], []
    for paragraph in file.text().decode(errors="backslashreplace").split("\n\n"):
        fields: dict[str, str] = {}
        directory = ""
        for line in paragraph.split("\n"):
            key, value = line[:2], line[2:]
            if key == "F:":
                directory = value.strip("/")
            elif key == "R:":
                owned_paths.append(f"{directory}/{value}" if directory else value)
            elif key[1:] == ":":
                fields.setdefault(key[0], value.strip())
        if (found := _package(fields)) is not None:
            packages.append(found)
    return FileFacts(tuple(packages), tuple(owned_paths))


def _package(fields: dict[str, str]) -> Package | None:
    """The package of a paragraph; None for a virtual one (``apk add -t .deps``), a mere list of dependencies."""
    name, version = fields.get("P", ""), fields.get("V", "")
    if not name or not version or name.startswith("."):
        return None
    origin = fields.get("o", "")
    return Package(
        ecosystem="apk",
        name=name,
        version=version,
        kind="apk",
        architecture=fields.get("A", ""),
        source_name=origin if origin != name else "",
        source_version=version if origin != name and origin else "",
        licenses=(fields["L"],) if fields.get("L") else (),
    )


CATALOGERS: tuple[Cataloger, ...] = (
    Cataloger("apk", 1, _read, paths=("lib/apk/db/installed", "usr/lib/apk/db/installed")),
)
"""What is installed, with its files."""
