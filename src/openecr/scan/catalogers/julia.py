"""Julia: Manifest.toml, of both formats.

Source: Pkg's documentation, "Project.toml and Manifest.toml".
"""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, mapping, text, toml_document
from openecr.scan.packages import FileFacts, Package

_NAMES = ("Manifest.toml", "JuliaManifest.toml", *(f"Manifest-v1.{minor}.toml" for minor in range(10, 20)))


def _read(file: WantedFile) -> FileFacts:
    """Packages with a version: ``[[deps.Name]]``, in the first format ``[[Name]]``.

    A package of a path or a repository is under development; one of the standard library has no version before Julia
    1.9. A name may stand for two packages with two UUIDs: both are told.
    """
    document = toml_document(file.text())
    found = []
    for name, rows in mapping(document.get("deps", document)).items():
        for row in map(mapping, items(rows)):
            version = text(row.get("version"))
            if version and "uuid" in row and "path" not in row and "repo-url" not in row:
                found.append(Package("Julia", name, version, "julia-manifest", declared=True))
    return testimony(found, file.limits)


JULIA_MANIFEST = Cataloger("julia-manifest", 1, _read, names=_NAMES)

CATALOGERS = (JULIA_MANIFEST,)
