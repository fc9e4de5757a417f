"""Findings as clients are told them: basic scanning's, and Inspector's.

Shapes: ECR API reference, ImageScanFinding and EnhancedImageScanFinding; Amazon Inspector user guide, findings. Members
that nothing is known for are left out.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from openecr.db import images, inventories, verdicts
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.repositories import Repository
from openecr.db.scans import BASIC, Scan
from openecr.db.verdicts import ImageFinding
from openecr.names import Digest, repository_arn
from openecr.scan.package_managers import package_manager
from openecr.scan.packages import DISTRIBUTION_KINDS, InstalledPackage
from openecr.services.ecr.scanning import inventory
from openecr.services.ecr.scanning.inventory import KeptInventory
from openecr.services.ecr.scanning.severity_words import severity_word

_NVD = "https://nvd.nist.gov/vuln/detail/"
_NO_FIX = "NotAvailable"
_ARCHITECTURES = {
    "amd64": "X86_64",
    "x86_64": "X86_64",
    "arm64": "AARCH64",
    "aarch64": "AARCH64",
    "all": "ALL",
    "noarch": "ALL",
}
_ATTRIBUTE_LENGTH = 256


class Teller:
    """Tells a page of findings, with what each rests on read once."""

    def __init__(self, db: Connection, repository: Repository, scan: Scan, found: Sequence[ImageFinding]) -> None:
        self._db = db
        self._repository = repository
        self._scan = scan
        documents = verdicts.details(db, [item.details_key for item in found])
        self._documents: dict[int, dict[str, Any]] = {key: orjson.loads(text) for key, text in documents.items()}
        self._images: dict[int, Image] = {}
        self._inventories: dict[int, KeptInventory] = {}
        self._places: dict[int, dict[int, list[InstalledPackage]]] = {}
        self._tags: dict[int, list[str]] = {}
        for key in {item.image_key for item in found}:
            self._load(key)

    def _load(self, image_key: int) -> None:
        image, kept = image_rows.find(self._db, image_key), inventories.find_image(self._db, image_key)
        if image is not None:
            self._images[image_key] = image
            self._tags[image_key] = images.tags_of(self._db, image_key)
        if kept is not None:
            self._inventories[image_key] = inventory.unpack(kept.document)
            self._places[image_key] = self._inventories[image_key].by_package_key()

    def basic(self, item: ImageFinding) -> dict[str, Any]:
        """An ImageScanFinding."""
        document = self._documents[item.details_key]
        details = document["details"]
        places = self._where(item)
        package = places[0].package if places else None
        attributes = [
            ("package_name", "" if package is None else package.source_name or package.name),
            ("package_version", "" if package is None else package.source_version or package.version),
            ("fixed_in_versions", item.fixed_version or ""),
            # Counts leave out what VEX suppresses; a basic finding has no status to say so.
            ("vex_statement", item.justification or ""),
            ("vex_source", item.source or ""),
        ]
        for rating in details["ratings"]:
            kind = f"CVSS{rating['version'][0]}"
            if not any(name == f"{kind}_SCORE" for name, _ in attributes):
                attributes += [(f"{kind}_VECTOR", rating["vector"]), (f"{kind}_SCORE", str(rating["score"]))]
        return {
            "name": item.name,
            "description": details["details"] or details["summary"] or None,
            "uri": details["source_url"] or _NVD + item.name,
            "severity": severity_word(BASIC, item.severity),
            "attributes": [{"key": name, "value": value[:_ATTRIBUTE_LENGTH]} for name, value in attributes if value],
        }

    def enhanced(self, item: ImageFinding) -> dict[str, Any]:
        """An EnhancedImageScanFinding; instants are µs."""
        document = self._documents[item.details_key]
        details, rating = document["details"], document["rating"]
        places = self._where(item)
        score = None if item.score_tenths is None else item.score_tenths / 10
        name = places[0].package.name if places else ""
        # A scan of one moment tells what was then, whatever newer data says.
        until_us = item.until_us if self._scan.generation is None else None
        status = "CLOSED" if until_us is not None else "ACTIVE" if item.justification is None else "SUPPRESSED"
        # Whoever scanned first sees the vulnerability from then on, however long the package has been known to have it.
        first_us = max(item.first_us, self._scan.first_us or 0)
        last_us = until_us or self._scan.completed_us or first_us
        return {
            "awsAccountId": self._repository.registry.account_id,
            "description": details["details"] or details["summary"] or item.name,
            "findingArn": self._finding_arn(item),
            "firstObservedAt": _milliseconds(first_us),
            "lastObservedAt": _milliseconds(last_us),
            "updatedAt": _milliseconds(max(item.since_us, first_us) if until_us is None else until_us),
            "packageVulnerabilityDetails": _vulnerability(item, document, places, self._layers(item)),
            "remediation": {"recommendation": {"text": _remediation(item, places)}},
            "resources": [self._resource(item)],
            "score": score,
            "scoreDetails": None if rating is None else {"cvss": _score_details(rating)},
            "severity": severity_word("ENHANCED", item.severity),
            "status": status,
            "title": f"{item.name} - {name}" if name else item.name,
            "type": "PACKAGE_VULNERABILITY",
            "fixAvailable": "YES" if item.fixed_version else "NO",
            "exploitAvailable": "YES" if details["exploited"] else "NO",
        }

    def _where(self, item: ImageFinding) -> list[InstalledPackage]:
        return self._places.get(item.image_key, {}).get(item.package_key, [])

    def _layers(self, item: ImageFinding) -> Sequence[str]:
        kept = self._inventories.get(item.image_key)
        return () if kept is None else kept.layers

    def _finding_arn(self, item: ImageFinding) -> str:
        registry = self._repository.registry
        partition = repository_arn(registry, self._repository.name).split(":")[1]
        named = f"{self._repository.key}/{item.image_key}/{item.package_key}/{item.name}"
        identity = hashlib.sha256(named.encode()).hexdigest()[:32]
        return f"arn:{partition}:inspector2:{registry.region}:{registry.account_id}:finding/{identity}"

    def _resource(self, item: ImageFinding) -> dict[str, Any]:
        image, kept = self._images[item.image_key], self._inventories.get(item.image_key)
        digest = str(Digest(image.digest))
        return {
            "type": "AWS_ECR_CONTAINER_IMAGE",
            "id": f"{repository_arn(self._repository.registry, self._repository.name)}/{digest}",
            "tags": {},
            "details": {
                "awsEcrContainerImage": {
                    "architecture": kept.architecture if kept else "",
                    "author": kept.author if kept else "",
                    "imageHash": digest,
                    "imageTags": self._tags[item.image_key],
                    "platform": _platform(kept),
                    "pushedAt": _milliseconds(image.pushed_us),
                    "lastInUseAt": None if image.pulled_us is None else _milliseconds(image.pulled_us),
                    "registry": self._repository.registry.account_id,
                    "repositoryName": self._repository.name,
                }
            },
        }


def _vulnerability(
    item: ImageFinding, document: dict[str, Any], places: Sequence[InstalledPackage], layers: Sequence[str]
) -> dict[str, Any]:
    details = document["details"]
    return {
        "vulnerabilityId": item.name,
        "source": details["source"] or "NVD",
        "sourceUrl": details["source_url"] or _NVD + item.name,
        "vendorSeverity": details["vendor_severity"] or None,
        "vendorCreatedAt": _known(details["published_us"]),
        "vendorUpdatedAt": _known(details["modified_us"]),
        "cvss": [
            {
                "baseScore": rating["score"],
                "scoringVector": rating["vector"],
                "source": rating["source"],
                "version": rating["version"],
            }
            for rating in details["ratings"]
        ],
        "referenceUrls": details["references"],
        "relatedVulnerabilities": document["related"],
        "vulnerablePackages": [_package(place, item.fixed_version, layers) for place in places],
    }


def _package(place: InstalledPackage, fixed_version: str | None, layers: Sequence[str]) -> dict[str, Any]:
    package = place.package
    is_systems = package.ecosystem in DISTRIBUTION_KINDS
    epoch, version, release = _split(package.version) if is_systems else (0, package.version, "")
    path = f"{place.path}!/{package.inner_path}" if package.inner_path else place.path
    return {
        "name": package.name,
        "version": version,
        "epoch": epoch,
        "release": release,
        "arch": _ARCHITECTURES.get(package.architecture, package.architecture.upper()) or None,
        "packageManager": package_manager(package.kind),
        "filePath": None if is_systems else path,
        "sourceLayerHash": layers[place.layer] if place.layer < len(layers) else None,
        "fixedInVersion": _fixed(fixed_version, is_systems=is_systems),
    }


def _split(version: str) -> tuple[int, str, str]:
    """(epoch, version, release) of a distribution's version."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, release = rest.rpartition("-")
    number = int(epoch) if epoch.isascii() and epoch.isdigit() and len(epoch) < 10 else 0
    return (number, upstream, release) if dash else (number, rest, "")


def _fixed(version: str | None, *, is_systems: bool) -> str:
    if version is None:
        return _NO_FIX
    return f"0:{version}" if is_systems and ":" not in version else version


def _remediation(item: ImageFinding, places: Sequence[InstalledPackage]) -> str:
    if item.justification is not None:
        return f"None needed: {item.justification}. Source: {item.source}."
    if item.fixed_version is None or not places:
        return "None Provided"
    package = places[0].package
    return f"Upgrade {package.name} from {package.version} to {item.fixed_version}."


def _score_details(rating: dict[str, Any]) -> dict[str, Any]:
    return {
        "adjustments": [],
        "score": rating["score"],
        "scoreSource": rating["source"],
        "scoringVector": rating["vector"],
        "version": rating["version"],
    }


def _platform(kept: KeptInventory | None) -> str:
    """``DEBIAN_12``: the distribution in Inspector's words."""
    if kept is None or kept.distribution is None:
        return ""
    named = (
        f"{kept.distribution.id}_{kept.distribution.version_id}"
        if kept.distribution.version_id
        else kept.distribution.id
    )
    return named.upper().replace(".", "_")


def _milliseconds(us: int) -> int:
    return us // 1000 * 1000


def _known(us: int | None) -> int | None:
    return None if us is None else _milliseconds(us)
