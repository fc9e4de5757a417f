"""Which storage class images are in; whoever changes it forgets what is kept for pulls."""

from openecr.db.connection import Connection
from openecr.db.images import COLUMNS, Image

ACTIVE, ARCHIVED, ACTIVATING = "ACTIVE", "ARCHIVED", "ACTIVATING"


def find(db: Connection, image_key: int) -> Image | None:
    """An image by its key."""
    found = db.row(f"SELECT {COLUMNS} FROM image i WHERE i.id = :key", key=image_key)
    return None if found is None else Image(*found)


def archive(db: Connection, image_key: int, now_us: int) -> None:
    """Take an image out of service; it keeps what it names."""
    db.run("UPDATE image SET status = 'ARCHIVED', archived_us = :now_us WHERE id = :key", key=image_key, now_us=now_us)
    db.run("UPDATE image_layer SET archived = 1 WHERE image_key = :key", key=image_key)


def begin_activation(db: Connection, image_key: int) -> None:
    """Say that an archived image is being restored."""
    db.run("UPDATE image SET status = 'ACTIVATING' WHERE id = :key", key=image_key)


def activate(db: Connection, image_key: int, now_us: int) -> None:
    """Serve an image again, and the layers that it names."""
    db.run("UPDATE image SET status = 'ACTIVE', activated_us = :now_us WHERE id = :key", key=image_key, now_us=now_us)
    db.run("UPDATE image_layer SET archived = 0 WHERE image_key = :key", key=image_key)


def keep_archived(db: Connection, image_key: int, archived_us: int, activated_us: int | None) -> None:
    """Put back an image that was archived when it was deleted."""
    db.run("UPDATE image SET activated_us = :activated_us WHERE id = :key", key=image_key, activated_us=activated_us)
    archive(db, image_key, archived_us)


def active_parents(db: Connection, image_key: int, most: int) -> list[bytes]:
    """Digests of up to ``most`` active indexes that name an image."""
    rows = db.rows(
        "SELECT p.digest FROM image_child c JOIN image p ON p.id = c.image_key"
        " WHERE c.child_key = :key AND p.status = 'ACTIVE' LIMIT :most",
        key=image_key,
        most=most,
    )
    return sorted({row[0] for row in rows})


def parents(db: Connection, image_key: int, most: int) -> list[int]:
    """Keys of up to ``most`` indexes that name an image."""
    rows = db.rows(
        "SELECT DISTINCT image_key FROM image_child WHERE child_key = :key ORDER BY image_key LIMIT :most",
        key=image_key,
        most=most,
    )
    return [row[0] for row in rows]


def members(db: Connection, image_key: int) -> list[Image]:
    """The images that an index names, each once; a manifest's size bounds them."""
    rows = db.rows(
        f"SELECT {COLUMNS} FROM image i WHERE i.id IN (SELECT child_key FROM image_child WHERE image_key = :key)",
        key=image_key,
    )
    return [Image(*row) for row in rows]
