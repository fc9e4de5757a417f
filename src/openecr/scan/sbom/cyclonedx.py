"""CycloneDX 1.6, JSON. Source: the CycloneDX 1.6 reference (https://cyclonedx.org/docs/1.6/json/)."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from openecr import __version__
from openecr.scan.packages import Distribution, ImageInventory, Package
from openecr.scan.sbom.contents import (
    Component,
    ImageSubject,
    ReportedFinding,
    components,
    instant,
    license_expression,
)
from openecr.scan.sbom.cyclonedx_findings import vulnerabilities

MEDIA_TYPE = "application/vnd.cyclonedx+json"


def cyclonedx(
    subject: ImageSubject, inventory: ImageInventory, at_us: int, findings: Sequence[ReportedFinding] = ()
) -> bytes:
    """The document. A scan that could not read everything says that its composition is incomplete."""
    image = str(subject.url)
    found = components(subject, inventory)
    listed = [_component(each) for each in found]
    if inventory.distribution is not None:
        listed.insert(0, _operating_system(inventory.distribution))
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": instant(at_us),
            "tools": {"components": [{"type": "application", "name": "openecr", "version": __version__}]},
            "component": _image(subject, image),
        },
        "components": listed,
        "dependencies": [{"ref": image, "dependsOn": [each["bom-ref"] for each in listed]}],
        "compositions": [{"aggregate": "incomplete" if inventory.warnings else "unknown", "assemblies": [image]}],
    }
    if findings:
        document["vulnerabilities"] = vulnerabilities(findings, inventory.distribution)
    # A document is told from others by its number: one that says the same has the same.
    digest = hashlib.sha256(orjson.dumps(document)).digest()
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _image(subject: ImageSubject, url: str) -> dict[str, Any]:
    if not subject.digest:
        return {"bom-ref": url, "type": "application", "name": subject.repository}
    return {
        "bom-ref": url,
        "type": "container",
        "name": subject.repository,
        "version": subject.digest,
        "purl": url,
        "hashes": [{"alg": "SHA-256", "content": subject.digest.partition(":")[2]}],
        "properties": [_property("layer", layer) for layer in subject.layers],
    }


def _operating_system(distribution: Distribution) -> dict[str, Any]:
    return {
        "bom-ref": f"operating-system:{distribution.id}",
        "type": "operating-system",
        "name": distribution.id,
        "version": distribution.version_id,
        "description": distribution.pretty_name,
    }


def _component(component: Component) -> dict[str, Any]:
    package = component.package
    group, name = _grouped(package)
    made: dict[str, Any] = {"bom-ref": component.url, "type": "library"}
    if group:
        made["group"] = group
    made |= {"name": name, "version": package.version, "purl": component.url}
    if package.development:
        made["scope"] = "excluded"
    if package.licenses:
        made["licenses"] = _licenses(package.licenses)
    made["evidence"] = {
        "occurrences": [
            {"location": f"/{place.path}"} | ({"additionalContext": f"layer {place.layer}"} if place.layer else {})
            for place in component.places
        ]
    }
    made["properties"] = [
        _property("kind", package.kind),
        *(_property("layer", layer) for layer in dict.fromkeys(place.layer for place in component.places) if layer),
        *(_property(word, "true") for word in ("declared", "development", "guessed") if getattr(package, word)),
    ]
    return made


def _grouped(package: Package) -> tuple[str, str]:
    if package.ecosystem == "Maven":
        group, _, name = package.name.rpartition(":")
        return group, name
    if package.ecosystem == "npm" and package.name.startswith("@"):
        group, _, name = package.name.partition("/")
        return group, name
    return "", package.name


def _licenses(texts: Sequence[str]) -> list[dict[str, Any]]:
    """One expression, or names: the format allows no mixture, and ids only of the list of its own release."""
    expressions = [license_expression(text) for text in texts]
    if len(expressions) == 1 and expressions[0] is not None:
        return [{"expression": expressions[0]}]
    return [{"license": {"name": text}} for text in texts]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"openecr:{name}", "value": value}
