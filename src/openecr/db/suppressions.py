"""VEX rules of registries, and which findings of images VEX statements suppress."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class VexRule:
    """An administrator's word on repositories: a VEX document, or that what is attached to their images counts."""

    key: int
    """Never given twice: a rule of another content has another one."""
    name: str
    repository_pattern: str
    added_us: int
    trusts_attached: bool


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding of an image that a statement suppresses."""

    package_key: int
    name: str
    justification: str
    source: str


def rules(db: Connection, registry_key: int, after: str, most: int) -> list[VexRule]:
    """Rules of a registry by name, after one."""
    rows = db.rows(
        "SELECT id, name, repository_pattern, added_us, CASE WHEN document = '' THEN 1 ELSE 0 END FROM vex_document"
        " WHERE registry_key = :registry_key AND name > :after ORDER BY name LIMIT :most",
        registry_key=registry_key,
        after=after,
        most=most,
    )
    return [VexRule(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]


def document_of(db: Connection, rule_key: int) -> str | None:
    """The document of a rule; empty where it trusts what is attached, None where the rule is gone."""
    found = db.row("SELECT document FROM vex_document WHERE id = :key", key=rule_key)
    return None if found is None else str(found[0])


def insert_rule(
    db: Connection, registry_key: int, name: str, repository_pattern: str, document: str, added_us: int
) -> None:
    """Keep a rule; of this name there is none."""
    db.run(
        "INSERT INTO vex_document (registry_key, name, repository_pattern, document, added_us)"
        " VALUES (:registry_key, :name, :repository_pattern, :document, :added_us)",
        registry_key=registry_key,
        name=name,
        repository_pattern=repository_pattern,
        document=document,
        added_us=added_us,
    )


def delete_rule(db: Connection, registry_key: int, name: str) -> str | None:
    """Forget a rule; the repositories that it was for, None where there is none of this name."""
    found = db.row(
        "DELETE FROM vex_document WHERE registry_key = :registry_key AND name = :name RETURNING repository_pattern",
        registry_key=registry_key,
        name=name,
    )
    return None if found is None else str(found[0])


def have_rules(db: Connection) -> bool:
    """Whether any registry has a rule."""
    return db.row("SELECT 1 FROM vex_document WHERE id > 0 LIMIT 1") is not None


@dataclass(frozen=True, slots=True)
class Suppressible:
    """A vulnerability that a package of an image has, or had."""

    package_key: int
    name: str
    details_key: int


def suppressible(db: Connection, image_key: int) -> list[Suppressible]:
    """Every verdict on the packages of an image, older ones too: a scan may be as of an older build of the data."""
    rows = db.rows(
        "SELECT f.package_key, f.name, f.details_key FROM image_package p"
        " JOIN package_finding f ON f.package_key = p.package_key WHERE p.image_key = :image_key",
        image_key=image_key,
    )
    return [Suppressible(*row) for row in rows]


def of_image(db: Connection, image_key: int) -> list[Suppressed]:
    """What is suppressed of an image."""
    rows = db.rows(
        "SELECT package_key, name, justification, source FROM image_suppression WHERE image_key = :image_key",
        image_key=image_key,
    )
    return [Suppressed(int(key), str(name), str(why), str(source)) for key, name, why, source in rows]


def _delete(db: Connection, image_key: int, package_key: int, name: str) -> None:
    db.run(
        "DELETE FROM image_suppression WHERE image_key = :image_key AND package_key = :package_key AND name = :name",
        image_key=image_key,
        package_key=package_key,
        name=name,
    )


def replace(db: Connection, image_key: int, wanted: Sequence[Suppressed]) -> list[tuple[int, str]]:
    """Suppress exactly these findings of an image; (package key, name) of those that began or ceased to be."""
    before = {(item.package_key, item.name): item for item in of_image(db, image_key)}
    after = {(item.package_key, item.name): item for item in wanted}
    for package_key, name in before.keys() - after.keys():
        _delete(db, image_key, package_key, name)
    for key, item in after.items():
        if before.get(key) != item:
            _put(db, image_key, item)
    return sorted(before.keys() ^ after.keys())


def _put(db: Connection, image_key: int, item: Suppressed) -> None:
    db.run(
        "INSERT INTO image_suppression (image_key, package_key, name, justification, source)"
        " VALUES (:image_key, :package_key, :name, :justification, :source)"
        " ON CONFLICT (image_key, package_key, name) DO UPDATE SET justification = excluded.justification,"
        " source = excluded.source",
        image_key=image_key,
        package_key=item.package_key,
        name=item.name,
        justification=item.justification,
        source=item.source,
    )


def scanned_after(db: Connection, repository_key: int, after: bytes, most: int) -> list[tuple[int, bytes]]:
    """(key, digest) of images of a repository that a scan read, by digest, after one."""
    rows = db.rows(
        "SELECT i.id, i.digest FROM image i WHERE i.repository_key = :repository_key AND i.digest > :after"
        " AND EXISTS (SELECT 1 FROM image_inventory v WHERE v.image_key = i.id) ORDER BY i.digest LIMIT :most",
        repository_key=repository_key,
        after=after,
        most=most,
    )
    return [(row[0], bytes(row[1])) for row in rows]


def attached_sbom(db: Connection, repository_key: int) -> str | None:
    """Which SBOM is attached to the images of a repository."""
    found = db.row("SELECT attached_sbom FROM repository WHERE id = :key", key=repository_key)
    return None if found is None else found[0]


def attach_sboms(db: Connection, repository_key: int, kind: str | None) -> None:
    """Say which SBOM is attached to the images of a repository from now on."""
    db.run("UPDATE repository SET attached_sbom = :kind WHERE id = :key", key=repository_key, kind=kind)
