"""Which images hold a vulnerability: asked the other way round, from the vulnerability."""

from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class VulnerablePackage:
    """A package that a vulnerability affects now."""

    key: int
    ecosystem: str
    name: str
    version: str
    severity: int
    fixed_version: str | None


@dataclass(frozen=True, slots=True)
class VulnerableImage:
    """An image that holds such a package."""

    key: int
    account_id: str
    region: str
    repository: str
    digest: bytes
    pushed_us: int
    pulled_us: int | None
    status: str
    justification: str | None = None
    """Why the finding is suppressed in this image, where it is."""


def packages(db: Connection, name: str, after: int, most: int) -> list[VulnerablePackage]:
    """Packages that a vulnerability affects now, by key, after one."""
    rows = db.rows(
        "SELECT p.id, p.ecosystem, p.name, p.version, f.severity, f.fixed_version FROM package_finding f"
        " JOIN scanned_package p ON p.id = f.package_key WHERE f.name = :name AND f.package_key > :after"
        " AND f.until_generation IS NULL ORDER BY f.package_key LIMIT :most",
        name=name,
        after=after,
        most=most,
    )
    return [VulnerablePackage(*row) for row in rows]


def images(db: Connection, name: str, package_key: int, after: int, most: int) -> list[VulnerableImage]:
    """Images that hold a package with this vulnerability, by key, after one; those of deleted repositories left out."""
    rows = db.rows(
        "SELECT i.id, g.account_id, g.region, r.name, i.digest, i.pushed_us, i.pulled_us, i.status, s.justification"
        " FROM image_package p JOIN image i ON i.id = p.image_key JOIN repository r ON r.id = i.repository_key"
        " JOIN registry g ON g.id = r.registry_key LEFT JOIN image_suppression s ON s.image_key = p.image_key"
        " AND s.package_key = p.package_key AND s.name = :name WHERE p.package_key = :package_key"
        " AND p.image_key > :after AND r.trashed_us IS NULL ORDER BY p.image_key LIMIT :most",
        name=name,
        package_key=package_key,
        after=after,
        most=most,
    )
    return [VulnerableImage(*row) for row in rows]


def ends_with(db: Connection, blob_key: int) -> str | None:
    """A tagged image whose last layer has these bytes, ``repository:tag``: what images above it are based on."""
    row = db.row(
        "SELECT r.name, t.name FROM layer l JOIN image_layer il ON il.layer_key = l.id"
        " JOIN image i ON i.id = il.image_key JOIN tag t ON t.image_key = i.id"
        " JOIN repository r ON r.id = i.repository_key WHERE l.blob_key = :blob_key AND r.trashed_us IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM image_layer n WHERE n.image_key = il.image_key AND n.position > il.position)"
        " LIMIT 1",
        blob_key=blob_key,
    )
    return None if row is None else f"{row[0]}:{row[1]}"
