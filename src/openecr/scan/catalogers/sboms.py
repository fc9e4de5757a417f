"""SBOMs that lie in images: Bitnami's own, and those that projects ship; JSON of CycloneDX and SPDX.

Source: CycloneDX 1.6 (``components[].purl``), SPDX 2.3 (``packages[].externalRefs[]`` of type purl). Packages of
distributions are left out: what is installed of them is in their database, and the SBOM that Wolfi and Chainguard keep
for each apk only repeats it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text
from openecr.scan.packages import FileFacts, Package
from openecr.scan.purl import named, parsed

_BITNAMI = "opt/bitnami/"
_REPEATED = ("var/lib/db/sbom/", "usr/lib/db/sbom/")
_MOST_COMPONENTS = 100_000


def _read(file: WantedFile) -> FileFacts:
    """Packages whose URL is of an ecosystem that advisories are published for.

    Bitnami's documents describe what its image holds: kind ``bitnami``. Another project's is its word, of what it was
    built from: declared, kind ``sbom``.
    """
    if file.path.startswith(_REPEATED):
        return FileFacts()
    content = file.text().removeprefix(b"\xef\xbb\xbf").lstrip()
    if not content.startswith(b"{"):
        return FileFacts()
    document = mapping(json_document(content))
    from_bitnami = file.path.startswith(_BITNAMI)
    found = []
    for address in _urls(document):
        url = parsed(address)
        key = named(url) if url is not None else None
        if key is not None:
            found.append(Package(*key, kind="bitnami" if from_bitnami else "sbom", declared=not from_bitnami))
    return testimony(found, file.limits)


def _urls(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("bomFormat") == "CycloneDX":
        pending = [*items(document.get("components"))]
        # Components in components: breadth first, in the document's order.
        for component in map(mapping, pending):
            yield text(component.get("purl"))
            pending.extend(items(component.get("components")))
            if len(pending) > _MOST_COMPONENTS:
                raise ValueError(f"holds more than {_MOST_COMPONENTS} components")
    elif text(document.get("spdxVersion")).startswith("SPDX-2"):
        if len(items(document.get("packages"))) > _MOST_COMPONENTS:
            raise ValueError(f"holds more than {_MOST_COMPONENTS} packages")
        for package in map(mapping, items(document.get("packages"))):
            for reference in map(mapping, items(package.get("externalRefs"))):
                if reference.get("referenceType") == "purl":
                    yield text(reference.get("referenceLocator"))


SBOMS = Cataloger("sbom", 1, _read, suffixes=(".spdx", ".spdx.json", ".cdx.json", "/bom.json"))

CATALOGERS = (SBOMS,)
