"""Scans of images, and which repositories are scanned when."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db import registries
from openecr.db.connection import Connection
from openecr.names import RegistryName

BASIC, ENHANCED = "BASIC", "ENHANCED"
_COLUMNS = (
    "image_key, scan_type, status, description, requested_us, manual_us, completed_us, first_us, generation,"
    " data_built_us, counts, gaps"
)


@dataclass(frozen=True, slots=True)
class Scan:
    """The last scan of an image."""

    image_key: int
    scan_type: str
    status: str
    description: str
    requested_us: int
    manual_us: int | None
    """When StartImageScan last began one that did not fail."""
    completed_us: int | None
    first_us: int | None
    """When the image was first scanned to the end."""
    generation: int | None
    """The build of the data that findings are of; None where they follow it."""
    data_built_us: int | None
    counts: str
    """JSON: severity → number of findings that are not suppressed."""
    gaps: str = "[]"
    """JSON: sentences on what the scan could not judge."""


def find(db: Connection, image_key: int, scan_type: str) -> Scan | None:
    """The last scan of an image."""
    found = db.row(
        f"SELECT {_COLUMNS} FROM image_scan WHERE image_key = :image_key AND scan_type = :scan_type",
        image_key=image_key,
        scan_type=scan_type,
    )
    return None if found is None else Scan(*found)


def of_images(db: Connection, image_keys: Sequence[int], scan_type: str) -> dict[int, Scan]:
    """The last scans of a page of images, by image key."""
    found: dict[int, Scan] = {}
    for start in range(0, len(image_keys), 100):
        named = {f"k{number}": key for number, key in enumerate(image_keys[start : start + 100])}
        names = ", ".join(f":{name}" for name in named)
        rows = db.rows(
            f"SELECT {_COLUMNS} FROM image_scan WHERE image_key IN ({names}) AND scan_type = :scan_type",
            scan_type=scan_type,
            **named,
        )
        found.update((row[0], Scan(*row)) for row in rows)
    return found


def put(db: Connection, scan: Scan) -> None:
    """Store the state of an image's scan."""
    db.run(
        f"INSERT INTO image_scan ({_COLUMNS}) VALUES (:image_key, :scan_type, :status, :description, :requested_us,"
        " :manual_us, :completed_us, :first_us, :generation, :data_built_us, :counts, :gaps)"
        " ON CONFLICT (image_key, scan_type) DO UPDATE SET status = excluded.status,"
        " description = excluded.description, requested_us = excluded.requested_us,"
        " manual_us = excluded.manual_us, completed_us = excluded.completed_us, first_us = excluded.first_us,"
        " generation = excluded.generation, data_built_us = excluded.data_built_us, counts = excluded.counts,"
        " gaps = excluded.gaps",
        image_key=scan.image_key,
        scan_type=scan.scan_type,
        status=scan.status,
        description=scan.description,
        requested_us=scan.requested_us,
        manual_us=scan.manual_us,
        completed_us=scan.completed_us,
        first_us=scan.first_us,
        generation=scan.generation,
        data_built_us=scan.data_built_us,
        counts=scan.counts,
        gaps=scan.gaps,
    )


def forget(db: Connection, image_key: int) -> None:
    """Forget an image's scans."""
    db.run("DELETE FROM image_scan WHERE image_key = :key", key=image_key)


def with_status(db: Connection, status: str, scan_type: str, after: int, most: int) -> list[Scan]:
    """Scans of one status, by image key, after one."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM image_scan WHERE status = :status AND scan_type = :scan_type AND image_key > :after"
        " ORDER BY image_key LIMIT :most",
        status=status,
        scan_type=scan_type,
        after=after,
        most=most,
    )
    return [Scan(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a registry scans."""

    scan_type: str = BASIC
    rules: str = "[]"
    """JSON: the rules in the model's shape."""
    changed_us: int = 0
    pull_gate: str | None = None


def configuration(db: Connection, registry_key: int | None) -> Configuration:
    """How a registry scans; as a new one does where nothing was put, or where it has no row yet."""
    found = (
        None
        if registry_key is None
        else db.row(
            "SELECT scan_type, rules, changed_us, pull_gate FROM registry_scanning WHERE registry_key = :key",
            key=registry_key,
        )
    )
    return Configuration() if found is None else Configuration(*found)


def put_repository_gate(db: Connection, registry_key: int, name: str, gate: str | None) -> bool:
    """Set or lift a repository's own pull gate; False where there is no such repository."""
    return bool(
        db.run(
            "UPDATE repository SET pull_gate = :gate WHERE registry_key = :registry_key AND name = :name"
            " AND trashed_us IS NULL",
            gate=gate,
            registry_key=registry_key,
            name=name,
        )
    )


def put_registry_gate(db: Connection, registry: RegistryName, gate: str | None, now_us: int) -> None:
    """Set or lift the pull gate of the repositories that have none of their own."""
    registry_key = registries.require_key(db, registry, now_us)
    db.run(
        "INSERT INTO registry_scanning (registry_key, scan_type, rules, changed_us, pull_gate)"
        " VALUES (:key, 'BASIC', '[]', 0, :gate) ON CONFLICT (registry_key) DO UPDATE"
        " SET pull_gate = excluded.pull_gate",
        key=registry_key,
        gate=gate,
    )


def gates(db: Connection, registry_key: int, after: str, most: int) -> list[tuple[str, str]]:
    """(repository, its own pull gate) by name, after one; of up to ``most`` repositories, those that have one."""
    rows = db.rows(
        "SELECT name, pull_gate FROM repository WHERE registry_key = :registry_key AND name > :after"
        " AND pull_gate IS NOT NULL AND trashed_us IS NULL ORDER BY name LIMIT :most",
        registry_key=registry_key,
        after=after,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def put_configuration(db: Connection, registry_key: int, scan_type: str, rules: str, now_us: int) -> None:
    """Store how a registry scans."""
    db.run(
        "INSERT INTO registry_scanning (registry_key, scan_type, rules, changed_us)"
        " VALUES (:key, :scan_type, :rules, :now_us) ON CONFLICT (registry_key) DO UPDATE"
        " SET scan_type = excluded.scan_type, rules = excluded.rules, changed_us = excluded.changed_us",
        key=registry_key,
        scan_type=scan_type,
        rules=rules,
        now_us=now_us,
    )
