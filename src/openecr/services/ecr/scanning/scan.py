"""The job that scans an image: layers → inventory → verdicts → what became of the scan.

A layer that was read once is not read again, whichever image has it; a package that was matched with the data in use is
only looked up. A scan always ends: in findings, or FAILED with a reason. What it could not judge is told as a gap.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
import structlog

from openecr import bounded_json
from openecr.blobs.store import BlobDamaged, ObjectMissing
from openecr.bounded_json import JsonRefused
from openecr.db import images, inventories, scans
from openecr.db import verdicts as verdict_rows
from openecr.db.connection import Connection
from openecr.db.images import Image
from openecr.db.inventories import ImageDocument, ScannedLayer
from openecr.db.scans import BASIC, Scan
from openecr.deployment import Deployment
from openecr.errors import KmsRefused
from openecr.names import Digest
from openecr.scan.coverage import Coverage, coverage
from openecr.scan.indexing import Indexer, IndexingFailed
from openecr.scan.inventories import CATALOGERS_VERSION
from openecr.scan.inventories import unpack as unpack_layer
from openecr.scan.limits import LIMITS
from openecr.scan.packages import DISTRIBUTION_KINDS, ImageInventory
from openecr.scan.squash import squash
from openecr.services.ecr.scanning import events, inventory, sbom_requests, suppressing, target, verdicts
from openecr.services.ecr.scanning.frequency_rules import Frequency, by_configuration
from openecr.services.ecr.scanning.gate_rules import PASSING, staleness
from openecr.services.ecr.scanning.inventory import Keyed
from openecr.services.ecr.scanning.severity_words import severity_word
from openecr.services.ecr.scanning.suppressing import Gathered
from openecr.services.ecr.scanning.target import Target
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.services.ecr.scanning.vulnerability_data import DataDamaged, Opened, VulnerabilityData

log = structlog.get_logger("openecr.scan")

COMPLETE = ("COMPLETE", "The scan was completed successfully.")
UNSUPPORTED_SYSTEM = "UnsupportedImageError: The operating system and/or package manager are not supported."
_UPDATE = "run openecr vulndb update"
_DAY_US = 86_400 * 1_000_000
_TOLD_WARNINGS = 5
_MOST_CONFIG_BYTES = 4 * 1024 * 1024
_TEXT_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of one image."""

    image: Image
    keyed: Keyed | None
    failure: str | None = None
    coverage: Coverage | None = None


async def scan_image(deployment: Deployment, data: VulnerabilityData, vex: VexDocuments, image_key: int) -> None:
    """Scan an image, or the members of an index; nothing where it is gone, or where no scan is owed any more."""
    found = await deployment.database.read(partial(target.find, image_key=image_key))
    if found is None or not found.pending:
        return
    while True:
        try:
            opened, failure = await _data(data)
            results = [await _scan_member(deployment, opened, member) for member in found.members]
            suppressed = [await suppressing.gather(deployment, vex, member.key) for member in found.members]
            settling = _Settling(
                found,
                opened,
                failure,
                tuple(results),
                tuple(suppressed),
                deployment.now_us(),
                _too_old_us(deployment),
            )
            await deployment.database.write(settling.settle)
        except (verdicts.Superseded, suppressing.Outdated):
            continue
        return


def _too_old_us(deployment: Deployment) -> int:
    return deployment.settings.vulndb_max_age_days * _DAY_US


async def _data(data: VulnerabilityData) -> tuple[Opened | None, str | None]:
    try:
        opened = await data.current()
    except (DataDamaged, ObjectMissing, BlobDamaged):
        return None, f"ScanError: the vulnerability data cannot be read; {_UPDATE}"
    return opened, None if opened else f"ScanError: there is no vulnerability data; {_UPDATE}"


async def _scan_member(deployment: Deployment, opened: Opened | None, image: Image) -> Read:
    """Read what an image holds, bring the verdicts on it up to date, and keep it."""
    try:
        kept = await inventory_of(deployment, image)
    except (IndexingFailed, BlobDamaged, ObjectMissing, KmsRefused) as error:
        return Read(image, None, f"ScanError: {_reason(error)}")
    if opened is None:
        return Read(image, kept)
    now_us = deployment.now_us()
    package_keys = await verdicts.settle(deployment.database, opened, kept.distinct, now_us)
    document = await asyncio.to_thread(inventory.pack, kept, package_keys)
    stored = await deployment.database.read(partial(inventories.find_image, image_key=image.key))
    if stored is None or (stored.catalogers, stored.document) != (CATALOGERS_VERSION, document):
        await deployment.database.write(
            partial(
                _keep,
                image_key=image.key,
                document=ImageDocument(CATALOGERS_VERSION, document, now_us),
                packages=kept.rows(package_keys),
            )
        )
    return Read(image, kept, coverage=coverage(kept.inventory, kept.distinct, opened.index))


def _reason(error: Exception) -> str:
    if isinstance(error, BlobDamaged | ObjectMissing):
        return "a layer of the image is damaged in the store; see openecr fsck"
    return str(error)


async def inventory_of(deployment: Deployment, image: Image) -> Keyed:
    """What an image holds, layer by layer; layers that were never read are read now.

    Raises:
        IndexingFailed, BlobDamaged, ObjectMissing, KmsRefused
    """
    layers = await deployment.database.read(
        partial(inventories.layers_of, image_key=image.key, catalogers=CATALOGERS_VERSION)
    )
    file_systems = [layer for layer in layers if "tar" in layer.media_type]
    config = await _config(deployment, [layer for layer in layers if layer.media_type == image.config_media_type])
    read = await _read_missing(deployment, [layer for layer in file_systems if layer.inventory is None])
    contents = [read[layer.blob_key] if layer.inventory is None else layer.inventory for layer in file_systems]
    digests = tuple(str(Digest(layer.digest)) for layer in file_systems)
    return await asyncio.to_thread(_squashed, contents, digests, config)


def _squashed(contents: Sequence[bytes], digests: tuple[str, ...], config: Mapping[str, Any]) -> Keyed:
    return inventory.keyed(
        squash([unpack_layer(content) for content in contents]),
        digests,
        architecture=_text(config.get("architecture")),
        author=_text(config.get("author")),
    )


def _text(value: Any) -> str:
    return value[:_TEXT_LENGTH] if isinstance(value, str) else ""


async def _config(deployment: Deployment, configs: Sequence[ScannedLayer]) -> Mapping[str, Any]:
    """What an image's config says; nothing where it is no config that can be read."""
    for config in configs:
        if config.size_bytes > _MOST_CONFIG_BYTES:
            continue
        store = await deployment.store_of(config.data_key)
        content = bytearray()
        async with aclosing(store.read(config.object_id, 0, config.size_bytes)) as pieces:
            async for piece in pieces:
                content += piece
        with contextlib.suppress(JsonRefused):
            document = bounded_json.loads(bytes(content))
            return document if isinstance(document, dict) else {}
    return {}


async def _read_missing(deployment: Deployment, layers: Sequence[ScannedLayer]) -> dict[int, bytes]:
    """Inventories of layers that have none, by blob key; each is kept as soon as it is made."""
    found: dict[int, bytes] = {}
    if not layers:
        return found
    async with Indexer(LIMITS) as indexer:
        for layer in layers:
            if layer.blob_key in found:
                continue
            store = await deployment.store_of(layer.data_key)
            content = await indexer.index(store.read(layer.object_id, 0, layer.size_bytes))
            found[layer.blob_key] = content
            await deployment.database.write(
                partial(
                    inventories.keep_layer, blob_key=layer.blob_key, catalogers=CATALOGERS_VERSION, inventory=content
                )
            )
    return found


def _keep(db: Connection, image_key: int, document: ImageDocument, packages: Sequence[tuple[int, bool]]) -> None:
    if images.hold(db, image_key):
        inventories.keep_image(db, image_key, document, packages)


@dataclass(frozen=True, slots=True)
class _Settling:
    """A scan that was done, about to be told."""

    target: Target
    opened: Opened | None
    failure: str | None
    """Why nothing could be judged at all."""
    results: tuple[Read, ...]
    suppressed: tuple[Gathered, ...]
    """Of each member, the VEX statements that count."""
    now_us: int
    too_old_us: int

    def settle(self, db: Connection) -> None:
        """Say what became of every scan that is owed.

        Raises:
            Superseded: newer data was published meanwhile.
            Outdated: other VEX statements count by now.
        """
        held = {key: images.hold(db, key) for key in sorted({self.target.image.key, *self._member_keys})}
        if not held[self.target.image.key]:
            return
        if self.opened is not None:
            verdicts.require_current(db, self.opened.published.generation)
        for gathered in self.suppressed:
            suppressing.settle(db, gathered)
        for scan in self.target.pending:
            settled = self._settled(db, scan)
            scans.put(db, settled)
            if settled.status in PASSING:
                sbom_requests.owe_where_wanted(db, self.target.repository.key, self._member_keys)
            events.note_scan(
                db, self.target.repository, self.target.image, settled, self.now_us, is_first=scan.first_us is None
            )

    @property
    def _member_keys(self) -> list[int]:
        return [member.key for member in self.target.members]

    def _settled(self, db: Connection, scan: Scan) -> Scan:
        failure = self._failure(scan.scan_type)
        if failure is not None:
            status, description = failure
            # What an earlier scan found goes: counts of none would be read as clean while the next one is made.
            return replace(
                scan,
                status=status,
                description=description,
                manual_us=None,
                completed_us=self.now_us,
                generation=None,
                data_built_us=None,
                counts="{}",
            )
        assert self.opened is not None  # noqa: S101 - without data every scan fails
        status, description = self._success(scan.scan_type)
        follows = status == "ACTIVE"
        published = self.opened.published
        settled = replace(
            scan,
            status=status,
            completed_us=self.now_us,
            first_us=scan.first_us or self.now_us,
            generation=None if follows else published.generation,
            data_built_us=published.built_us,
            gaps=orjson.dumps(gaps := self._gaps(scan.scan_type)).decode(),
            description=" ".join([description, *gaps, *staleness(published.built_us, self.now_us, self.too_old_us)]),
        )
        return replace(settled, counts=counts_of(db, settled, [item.image.key for item in self.results]))

    def _success(self, scan_type: str) -> tuple[str, str]:
        if scan_type == BASIC:
            return COMPLETE
        how = by_configuration(self.target.configuration, self.target.repository)
        if how.frequency == Frequency.CONTINUOUS:
            return "ACTIVE", "Continuous scan is selected for image."
        return "COMPLETE", "Scan on push is selected for image."

    def _failure(self, scan_type: str) -> tuple[str, str] | None:
        """Why the scan failed, of whichever member: what was not judged is never reported as clean."""
        for item in self.results:
            if item.failure is not None:
                return "FAILED", self._of_member(item, item.failure)
            assert item.keyed is not None  # noqa: S101 - it is there where nothing failed
            if not _has_system(item.keyed.inventory) and (scan_type == BASIC or not item.keyed.inventory.packages):
                return unsupported(scan_type)
        if not self.results:
            return unsupported(scan_type)
        if self.failure is not None:
            return "FAILED", self.failure
        for item in self.results:
            if item.coverage is not None and item.coverage.missing_distribution:
                name = item.coverage.missing_distribution
                return "FAILED", self._of_member(
                    item, f"ScanError: there is no vulnerability data for {name}; {_UPDATE}"
                )
        return None

    def _of_member(self, item: Read, text: str) -> str:
        return text if item.image.key == self.target.image.key else f"{text} (member {Digest(item.image.digest)})"

    def _gaps(self, scan_type: str) -> list[str]:
        """What the scan could not judge. How old its data is grows, and is asked when that matters."""
        found: list[str] = []
        unread = [warning for item in self.results if item.keyed for warning in item.keyed.inventory.warnings]
        if unread:
            some = "; ".join(f"{warning.path}: {warning.reason}" for warning in unread[:_TOLD_WARNINGS])
            found.append(f"{len(unread)} files could not be read: {some}.")
        if scan_type != BASIC:
            lacking = sorted({name for item in self.results if item.coverage for name in item.coverage.missing})
            if lacking:
                found.append(f"There is no vulnerability data for {', '.join(lacking)}.")
        return found


def _has_system(found: ImageInventory) -> bool:
    return found.distribution is not None and any(
        item.package.ecosystem in DISTRIBUTION_KINDS for item in found.packages
    )


def unsupported(scan_type: str) -> tuple[str, str]:
    """(status, description) of an image that has nothing that could be judged."""
    return (
        ("FAILED", UNSUPPORTED_SYSTEM) if scan_type == BASIC else ("UNSUPPORTED_IMAGE", "The image is not supported.")
    )


def counts_of(db: Connection, scan: Scan, image_keys: Sequence[int]) -> str:
    """JSON: how many findings of each severity a scan has, of the images that it is of."""
    if not image_keys:
        return "{}"
    found = verdict_rows.counts(
        db,
        image_keys,
        of_distribution=scan.scan_type == BASIC,
        generation=verdict_rows.NOW if scan.generation is None else scan.generation,
    )
    return orjson.dumps({severity_word(scan.scan_type, key): found[key] for key in sorted(found)}).decode()
