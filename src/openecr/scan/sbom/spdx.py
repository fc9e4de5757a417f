"""SPDX 2.3, JSON. Source: the SPDX specification 2.3 (https://spdx.github.io/spdx-spec/v2.3/)."""

import hashlib
import uuid
from typing import Any

import orjson

from openecr import __version__
from openecr.scan.packages import Distribution, ImageInventory
from openecr.scan.sbom.contents import Component, ImageSubject, components, instant, license_expression

MEDIA_TYPE = "application/spdx+json"
_IMAGE = "SPDXRef-Image"
_OPERATING_SYSTEM = "SPDXRef-OperatingSystem"


def spdx(subject: ImageSubject, inventory: ImageInventory, at_us: int) -> bytes:
    """The document. A scan that could not read everything says so in the document's comment."""
    packages = [_image(subject)]
    if inventory.distribution is not None:
        packages.append(_operating_system(inventory.distribution))
    packages += [_package(each) for each in components(subject, inventory)]
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{subject.repository}@{subject.digest}" if subject.digest else subject.repository,
        "creationInfo": {"created": instant(at_us), "creators": [f"Tool: openecr-{__version__}"]},
        "packages": packages,
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE),
            *(_relationship(_IMAGE, "CONTAINS", package["SPDXID"]) for package in packages[1:]),
        ],
    }
    if inventory.warnings:
        document["comment"] = f"Incomplete: {len(inventory.warnings)} files of the image could not be read."
    digest = hashlib.sha256(orjson.dumps(document)).digest()
    document["documentNamespace"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _image(subject: ImageSubject) -> dict[str, Any]:
    if not subject.digest:
        return _bare(_IMAGE, subject.repository, "", "APPLICATION")
    made = _bare(_IMAGE, subject.repository, subject.digest, "CONTAINER")
    made["checksums"] = [{"algorithm": "SHA256", "checksumValue": subject.digest.partition(":")[2]}]
    made["externalRefs"] = [_purl(str(subject.url))]
    if subject.layers:
        made["comment"] = "Layers, the lowest first: " + " ".join(subject.layers)
    return made


def _operating_system(distribution: Distribution) -> dict[str, Any]:
    made = _bare(_OPERATING_SYSTEM, distribution.id, distribution.version_id, "OPERATING-SYSTEM")
    if distribution.pretty_name:
        made["summary"] = distribution.pretty_name
    return made


def _package(component: Component) -> dict[str, Any]:
    package = component.package
    identifier = hashlib.sha256(component.url.encode()).hexdigest()[:32]
    made = _bare(f"SPDXRef-Package-{identifier}", package.name, package.version, "LIBRARY")
    made["externalRefs"] = [_purl(component.url)]
    places = (f"/{place.path}" + (f" (layer {place.layer})" if place.layer else "") for place in component.places)
    made["sourceInfo"] = f"{package.kind}: {', '.join(places)}"
    expressions = [license_expression(text) for text in package.licenses]
    known = [expression for expression in expressions if expression is not None]
    if known and len(known) == len(expressions) and not any("LicenseRef-" in expression for expression in known):
        made["licenseDeclared"] = known[0] if len(known) == 1 else " AND ".join(f"({each})" for each in known)
    elif package.licenses:
        made["licenseComments"] = "Declared as: " + "; ".join(package.licenses)
    return made


def _bare(identifier: str, name: str, version: str, purpose: str) -> dict[str, Any]:
    """A package that was not taken apart: what is not known is said to be not known."""
    made = {"SPDXID": identifier, "name": name}
    if version:
        made["versionInfo"] = version
    return made | {
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    }


def _purl(url: str) -> dict[str, str]:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}


def _relationship(left: str, kind: str, right: str) -> dict[str, str]:
    return {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}
