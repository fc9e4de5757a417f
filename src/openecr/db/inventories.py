"""What layers and images hold, as the scanner read it."""

from collections.abc import Sequence
from dataclasses import dataclass

from openecr.db.connection import Connection
from openecr.scan.findings import MatchKey

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ScannedLayer:
    """A layer of an image, in the manifest's order: where its bytes are, and what they hold where that is known."""

    blob_key: int
    digest: bytes
    """As the manifest names it."""
    media_type: str
    object_id: str
    size_bytes: int
    data_key: bytes | None
    quarantined_us: int | None
    inventory: bytes | None


def layers_of(db: Connection, image_key: int, catalogers: str) -> list[ScannedLayer]:
    """Config and layers of an image in manifest order, with the inventories that these catalogers made."""
    rows = db.rows(
        "SELECT b.id, l.digest, il.media_type, b.object_id, b.size_bytes, b.data_key, b.quarantined_us, v.inventory"
        " FROM image_layer il JOIN layer l ON l.id = il.layer_key JOIN blob b ON b.id = l.blob_key"
        " LEFT JOIN layer_inventory v ON v.blob_key = b.id AND v.catalogers = :catalogers"
        " WHERE il.image_key = :image_key ORDER BY il.position",
        image_key=image_key,
        catalogers=catalogers,
    )
    return [ScannedLayer(*row) for row in rows]


def layer_types(db: Connection, image_key: int) -> list[str]:
    """Media types of an image's layers, the config's left out."""
    rows = db.rows(
        "SELECT il.media_type FROM image i JOIN image_layer il ON il.image_key = i.id WHERE i.id = :image_key"
        " AND (i.config_media_type IS NULL OR il.media_type <> i.config_media_type) ORDER BY il.position",
        image_key=image_key,
    )
    return [row[0] for row in rows]


def keep_layer(db: Connection, blob_key: int, catalogers: str, inventory: bytes) -> None:
    """Keep what a layer holds; nothing where the layer went meanwhile."""
    if db.locked_row("blob", "SELECT id FROM blob WHERE id = :key", key=blob_key) is None:
        return
    db.run(
        "INSERT INTO layer_inventory (blob_key, catalogers, inventory) VALUES (:blob_key, :catalogers, :inventory)"
        " ON CONFLICT (blob_key) DO UPDATE SET catalogers = excluded.catalogers, inventory = excluded.inventory",
        blob_key=blob_key,
        catalogers=catalogers,
        inventory=inventory,
    )


def forget_layer(db: Connection, blob_key: int) -> None:
    """Forget what a layer holds: its bytes go."""
    db.run("DELETE FROM layer_inventory WHERE blob_key = :key", key=blob_key)


@dataclass(frozen=True, slots=True)
class ImageDocument:
    """What an image holds: a compressed document of ``services.ecr.scanning.inventory``."""

    catalogers: str
    document: bytes
    indexed_us: int


def keep_image(db: Connection, image_key: int, kept: ImageDocument, packages: Sequence[tuple[int, bool]]) -> None:
    """Keep what an image holds, in place of what it held by an earlier scan.

    Args:
        packages: (key of the scanned package, whether it is the distribution's).
    """
    db.run(
        "INSERT INTO image_inventory (image_key, catalogers, document, indexed_us)"
        " VALUES (:image_key, :catalogers, :document, :indexed_us) ON CONFLICT (image_key) DO UPDATE"
        " SET catalogers = excluded.catalogers, document = excluded.document, indexed_us = excluded.indexed_us",
        image_key=image_key,
        catalogers=kept.catalogers,
        document=kept.document,
        indexed_us=kept.indexed_us,
    )
    wanted = dict(packages)
    had = {
        row[0]: bool(row[1])
        for row in db.rows(
            "SELECT package_key, of_distribution FROM image_package WHERE image_key = :image_key", image_key=image_key
        )
    }
    for key in had.keys() - wanted.keys():
        _forget_held(db, image_key, key)
    for key, of_distribution in wanted.items():
        if had.get(key) == of_distribution:
            continue
        db.run(
            "INSERT INTO image_package (image_key, package_key, of_distribution)"
            " VALUES (:image_key, :key, :of_distribution)"
            " ON CONFLICT (image_key, package_key) DO UPDATE SET of_distribution = excluded.of_distribution",
            image_key=image_key,
            key=key,
            of_distribution=int(of_distribution),
        )


def _forget_held(db: Connection, image_key: int, package_key: int) -> None:
    named = {"image_key": image_key, "key": package_key}
    db.run("DELETE FROM image_suppression WHERE image_key = :image_key AND package_key = :key", **named)
    db.run("DELETE FROM image_package WHERE image_key = :image_key AND package_key = :key", **named)


def find_image(db: Connection, image_key: int) -> ImageDocument | None:
    """What an image holds, where a scan read it."""
    found = db.row(
        "SELECT catalogers, document, indexed_us FROM image_inventory WHERE image_key = :image_key",
        image_key=image_key,
    )
    return None if found is None else ImageDocument(*found)


def forget_image(db: Connection, image_key: int) -> None:
    """Forget what an image holds and how it was scanned: it goes."""
    db.run("DELETE FROM image_scan WHERE image_key = :key", key=image_key)
    # Images that were never scanned cost no more than this question.
    if db.run("DELETE FROM image_inventory WHERE image_key = :key", key=image_key):
        db.run("DELETE FROM image_suppression WHERE image_key = :key", key=image_key)
        db.run("DELETE FROM image_package WHERE image_key = :key", key=image_key)


def package_keys(db: Connection, packages: Sequence[MatchKey]) -> dict[MatchKey, int]:
    """The keys of packages that verdicts are made of, of those that are known."""
    found: dict[MatchKey, int] = {}
    for start in range(0, len(packages), _AT_ONCE):
        named: dict[str, str] = {}
        rows = []
        for number, item in enumerate(packages[start : start + _AT_ONCE]):
            named |= {f"e{number}": item.ecosystem, f"n{number}": item.name}
            named |= {f"v{number}": item.version, f"m{number}": item.module}
            rows.append(f"(:e{number}, :n{number}, :v{number}, :m{number})")
        known = db.rows(
            "SELECT id, ecosystem, name, version, module FROM scanned_package"
            f" WHERE (ecosystem, name, version, module) IN (VALUES {', '.join(rows)})",
            **named,
        )
        found.update((MatchKey(*row[1:]), row[0]) for row in known)
    return found


def insert_package(db: Connection, package: MatchKey) -> None:
    """Make a package that verdicts are made of, unless another did."""
    db.run(
        "INSERT INTO scanned_package (ecosystem, name, version, module)"
        " VALUES (:ecosystem, :name, :version, :module) ON CONFLICT DO NOTHING",
        ecosystem=package.ecosystem,
        name=package.name,
        version=package.version,
        module=package.module,
    )


def packages_after(db: Connection, after: int, most: int) -> list[tuple[int, MatchKey]]:
    """Packages that verdicts are made of, by key, after one."""
    rows = db.rows(
        "SELECT id, ecosystem, name, version, module FROM scanned_package WHERE id > :after ORDER BY id LIMIT :most",
        after=after,
        most=most,
    )
    return [(row[0], MatchKey(*row[1:])) for row in rows]


def images_with(db: Connection, package_key: int, after: int, most: int) -> list[int]:
    """Keys of images that hold a package, by key, after one."""
    rows = db.rows(
        "SELECT image_key FROM image_package WHERE package_key = :package_key AND image_key > :after"
        " ORDER BY image_key LIMIT :most",
        package_key=package_key,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def unused_packages(db: Connection, after: int, most: int) -> list[int]:
    """Keys of packages that no image holds, after one."""
    rows = db.rows(
        "SELECT p.id FROM scanned_package p WHERE p.id > :after"
        " AND NOT EXISTS (SELECT 1 FROM image_package i WHERE i.package_key = p.id) ORDER BY p.id LIMIT :most",
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def forget_package(db: Connection, key: int) -> bool:
    """Forget a package that no image holds, with its verdicts; False where an image came to hold it."""
    db.locked_row("scanned_package", "SELECT id FROM scanned_package WHERE id = :key", against_references=True, key=key)
    if db.row("SELECT 1 FROM image_package WHERE package_key = :key LIMIT 1", key=key) is not None:
        return False
    _forget_verdicts(db, key)
    return True


def _forget_verdicts(db: Connection, key: int) -> None:
    db.run("DELETE FROM package_finding WHERE package_key = :key", key=key)
    db.run("DELETE FROM scanned_package WHERE id = :key", key=key)
