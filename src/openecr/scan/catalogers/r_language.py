"""R: the DESCRIPTION of an installed package, and renv.lock.

Source: "Writing R Extensions", The DESCRIPTION file; renv's documentation, "Lockfiles".
"""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.plain_text import plain_text
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import json_document, mapping, text
from openecr.scan.packages import FileFacts, Package

_MOST_BYTES = 1 << 20
_ECOSYSTEMS = {"Repository": "CRAN", "CRAN": "CRAN", "Bioconductor": "Bioconductor"}


def _read_description(file: WantedFile) -> FileFacts:
    """A package that was installed: ``R CMD INSTALL`` adds ``Built``. R's own (``Priority: base``) are R's version."""
    if file.size_bytes > _MOST_BYTES:
        return FileFacts()
    fields = _fields(plain_text(file))
    name, version = fields.get("Package", ""), fields.get("Version", "")
    if "Built" not in fields or fields.get("Priority") == "base":
        return FileFacts()
    licenses = (fields["License"],) if fields.get("License") else ()
    ecosystem = "Bioconductor" if "biocViews" in fields else "CRAN"
    return testimony([Package(ecosystem, name, version, "r-installed", licenses=licenses)], file.limits)


def _fields(content: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in content.splitlines():
        key, colon, value = line.partition(":")
        if colon and line[:1] not in (" ", "\t"):
            fields[key] = value.strip()
    return fields


def _read_lock(file: WantedFile) -> FileFacts:
    """Packages of CRAN and Bioconductor; those of a forge or a folder are left out."""
    found = []
    for key, row in mapping(mapping(json_document(file.text())).get("Packages")).items():
        package = mapping(row)
        ecosystem = _ECOSYSTEMS.get(text(package.get("Source") or package.get("Repository")))
        name, version = text(package.get("Package")) or key, text(package.get("Version"))
        if ecosystem is not None:
            found.append(Package(ecosystem, name, version, "renv-lock", declared=True))
    return testimony(found, file.limits)


R_INSTALLED = Cataloger("r-installed", 1, _read_description, names=("DESCRIPTION",))
RENV_LOCK = Cataloger("renv-lock", 1, _read_lock, names=("renv.lock",))

CATALOGERS = (R_INSTALLED, RENV_LOCK)
