"""Pull gates: a repository, or a registry, serves no image whose scan found too much, or that has none.

A gate is asked at every pull of a manifest (GET, BatchGetImage); artifacts such as signatures and SBOMs pass. The rule
is kept on the repository, or on the registry for those that have none of their own.
"""

from dataclasses import dataclass
from functools import partial

import orjson

from openecr.db import images, repositories, scans, vulnerability_data
from openecr.db import storage_classes as image_rows
from openecr.db.connection import Connection, Database
from openecr.db.images import PulledImage
from openecr.errors import PullRefused
from openecr.names import Digest, RegistryName
from openecr.services.ecr.scanning import statuses, target
from openecr.services.ecr.scanning.gate_rules import Limits, Scanned, from_severity, refusals, staleness

_STEP = 200


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate refuses."""

    severity: str | None
    """Images with findings of this severity or a worse one; None for none."""
    unscanned: bool
    """Images whose scan is missing, pending or failed."""

    @classmethod
    def read(cls, text: str) -> "Gate":
        """From its stored form."""
        document = orjson.loads(text)
        return cls(document["severity"], document["unscanned"])

    @property
    def text(self) -> str:
        """Its stored form."""
        return orjson.dumps({"severity": self.severity, "unscanned": self.unscanned}).decode()

    @property
    def limits(self) -> Limits:
        """As the rules have it. Gaps pass: a gate that they closed would take running services down with old data."""
        return Limits(
            from_severity(self.severity) if self.severity else {}, refuses_unscanned=self.unscanned, accepts_gaps=True
        )

    def __str__(self) -> str:
        """In words."""
        parts = [f"{self.severity} findings and worse"] if self.severity else []
        return " and ".join([*parts, "unscanned images"] if self.unscanned else parts)


def require_passed(db: Connection, registry: RegistryName, name: str, found: PulledImage) -> None:
    """Let an image through its repository's gate.

    Raises:
        PullRefused
    """
    assert found.pull_gate is not None  # noqa: S101 - asked only of images behind a gate
    image = image_rows.find(db, found.key)
    if image is None or not target.members(db, image):
        return
    reasons = refusals(last_scan(db, found.key), Gate.read(found.pull_gate).limits)
    if reasons:
        raise PullRefused(
            repository=name, registry_id=registry.account_id, digest=Digest(found.digest), reason="; ".join(reasons)
        )


def last_scan(db: Connection, image_key: int, *, now_us: int = 0, too_old_us: int = 0) -> Scanned | None:
    """What is known of an image's scan, by the registry's type of scanning.

    Args:
        too_old_us: the age from which its data is a gap; that of the data in use where findings follow it.
    """
    repository_key, image = images.repository_of(db, image_key), image_rows.find(db, image_key)
    repository = None if repository_key is None else repositories.find_by_key(db, repository_key)
    if repository is None or image is None:
        return None
    scan = scans.find(db, image_key, scans.configuration(db, repository.registry_key).scan_type)
    if scan is None:
        return None
    status, description = statuses.status_of(db, image, scan)
    current = vulnerability_data.current(db) if scan.generation is None else None
    data_us = max(scan.data_built_us or 0, current.built_us if current else 0)
    gaps = [*orjson.loads(scan.gaps), *staleness(data_us, now_us, too_old_us)]
    return Scanned(status, description, orjson.loads(scan.counts), gaps)


def put(db: Connection, registry: RegistryName, registry_key: int, name: str, gate: Gate | None) -> bool:
    """Set or lift the gate of a repository; False where there is no such repository."""
    if not scans.put_repository_gate(db, registry_key, name, None if gate is None else gate.text):
        return False
    images.forget_pulled(db, registry, name)
    return True


async def put_for_registry(database: Database, registry: RegistryName, gate: Gate | None, now_us: int) -> None:
    """Set or lift the gate of every repository of a registry that has none of its own; in force when this returns."""
    await database.write(
        partial(scans.put_registry_gate, registry=registry, gate=None if gate is None else gate.text, now_us=now_us)
    )
    after = ""
    while step := await database.read(partial(repositories.list_after, registry=registry, after=after, most=_STEP)):
        after = step[-1].name
        await database.write(partial(_forget, registry=registry, names=[item.name for item in step]))


def _forget(db: Connection, registry: RegistryName, names: list[str]) -> None:
    for name in names:
        images.forget_pulled(db, registry, name)
