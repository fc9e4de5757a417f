"""Images, their tags and what they reference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openecr.db import inventories
from openecr.db.connection import Connection, Row
from openecr.names import RegistryName


@dataclass(frozen=True, slots=True)
class PulledImage:
    """What a pull needs, in one read."""

    key: int
    digest: bytes
    media_type: str
    status: str
    manifest: bytes
    kms_key: str | None
    kms_state: str | None
    """The repository's KMS key, and its state."""
    pull_gate: str | None = None
    """The gate of the repository, or of its registry."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image's row without its manifest."""

    key: int
    digest: bytes
    media_type: str
    artifact_type: str | None
    config_media_type: str | None
    subject_digest: bytes | None
    annotations: str | None
    manifest_size_bytes: int
    image_size_bytes: int
    pushed_us: int
    pulled_us: int | None
    ever_tagged: int
    status: str
    archived_us: int | None = None
    activated_us: int | None = None


_PULLED = (
    "SELECT i.id, i.digest, i.media_type, i.status, i.manifest, r.kms_key, k.state, COALESCE(r.pull_gate, s.pull_gate)"
)
_REPOSITORY = (
    " FROM registry g JOIN repository r ON r.registry_key = g.id AND g.account_id = :account_id AND g.region = :region"
    " AND r.name = :name LEFT JOIN kms_key k ON k.arn = r.kms_key"
    " LEFT JOIN registry_scanning s ON s.registry_key = g.id"
)
_PULL_BY_TAG = (
    _PULLED
    + _REPOSITORY
    + " JOIN tag t ON t.repository_key = r.id AND t.name = :tag JOIN image i ON i.id = t.image_key"
)
_PULL_BY_DIGEST = _PULLED + _REPOSITORY + " JOIN image i ON i.repository_key = r.id AND i.digest = :digest"


def pull_by_tag(db: Connection, registry: RegistryName, name: str, tag: str) -> PulledImage | None:
    """The image under a tag, in one statement: the hottest read of all."""
    found = db.row(_PULL_BY_TAG, account_id=registry.account_id, region=registry.region, name=name, tag=tag)
    return None if found is None else PulledImage(*found)


def pull_by_digest(db: Connection, registry: RegistryName, name: str, digest: bytes) -> PulledImage | None:
    """The image of a digest, in one statement; it never changes, so it may be kept until it is deleted."""
    found = db.kept_row(
        scope(registry, name),
        _PULL_BY_DIGEST,
        unless=_is_conditional,
        account_id=registry.account_id,
        region=registry.region,
        name=name,
        digest=digest,
    )
    return None if found is None else PulledImage(*found)


def _is_conditional(row: Row) -> bool:
    """Whether a pulled image is under a KMS key or a gate, whose state is asked at every pull."""
    return row[5] is not None or row[7] is not None


def forget_pulled(db: Connection, registry: RegistryName, name: str) -> None:
    """Images of a repository go, or are served no more: what was kept for pulls by digest is false."""
    db.forget(scope(registry, name))


def scope(registry: RegistryName, name: str) -> str:
    """What is kept of a repository is kept under."""
    return f"repository {registry}/{name}"


COLUMNS = (
    "i.id, i.digest, i.media_type, i.artifact_type, i.config_media_type, i.subject_digest, i.annotations,"
    " i.manifest_size_bytes, i.image_size_bytes, i.pushed_us, i.pulled_us, i.ever_tagged, i.status, i.archived_us,"
    " i.activated_us"
)
"""What an ``Image`` is read from."""


def find(db: Connection, repository_key: int, digest: bytes) -> Image | None:
    """The image of a digest."""
    found = db.row(
        f"SELECT {COLUMNS} FROM image i WHERE i.repository_key = :repository_key AND i.digest = :digest",
        repository_key=repository_key,
        digest=digest,
    )
    return None if found is None else Image(*found)


def find_tagged(db: Connection, repository_key: int, tag: str) -> Image | None:
    """The image under a tag."""
    found = db.row(
        f"SELECT {COLUMNS} FROM tag t JOIN image i ON i.id = t.image_key"
        " WHERE t.repository_key = :repository_key AND t.name = :tag",
        repository_key=repository_key,
        tag=tag,
    )
    return None if found is None else Image(*found)


def active_after(db: Connection, repository_key: int, digest: bytes, most: int) -> list[tuple[int, bytes]]:
    """(key, digest) of the active images of a repository by digest, after one."""
    rows = db.rows(
        "SELECT id, digest FROM image WHERE repository_key = :repository_key AND digest > :digest"
        " AND status = 'ACTIVE' ORDER BY digest LIMIT :most",
        repository_key=repository_key,
        digest=digest,
        most=most,
    )
    return [(row[0], bytes(row[1])) for row in rows]


def forget_passing_tags(db: Connection, index_key: int, since_us: int) -> None:
    """Take members of an index for never tagged that were pushed lately and have no tag any more."""
    db.run(
        "UPDATE image SET ever_tagged = 0 WHERE id IN (SELECT child_key FROM image_child WHERE image_key = :key)"
        " AND pushed_us >= :since_us AND ever_tagged = 1"
        " AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.image_key = image.id)",
        key=index_key,
        since_us=since_us,
    )


def hold(db: Connection, image_key: int) -> bool:
    """Hold an image against deletion until the transaction ends; False where it is gone."""
    return db.locked_row("image", "SELECT id FROM image WHERE id = :key", key=image_key) is not None


def repository_of(db: Connection, image_key: int) -> int | None:
    """The key of the repository that an image is in."""
    found = db.row("SELECT repository_key FROM image WHERE id = :key", key=image_key)
    return None if found is None else int(found[0])


def manifest_of(db: Connection, image_key: int) -> bytes:
    """An image's manifest, as pushed."""
    found = db.row("SELECT manifest FROM image WHERE id = :key", key=image_key)
    assert found is not None  # noqa: S101 - the caller holds the image's row in this transaction
    return bytes(found[0])


def list_after(
    db: Connection, repository_key: int, after: tuple[int, bytes], most: int, *, status: str | None, tagged: bool | None
) -> list[Image]:
    """Up to ``most`` images by push time and digest, after a position.

    Args:
        after: (pushed_us, digest) of the last image of the page before; (-1, b"") at the start.
        status: only images of this status, or None for all.
        tagged: only images with, or without, a tag; None for all.
    """
    conditions = ""
    if status is not None:
        conditions += " AND i.status = :status"
    if status not in (None, "ACTIVE"):
        conditions += " AND i.status <> 'ACTIVE'"  # so that the index of such images alone serves
    if tagged is not None:
        word = "EXISTS" if tagged else "NOT EXISTS"
        conditions += f" AND {word} (SELECT 1 FROM tag t WHERE t.image_key = i.id)"
    parameters = {"status": status} if status is not None else {}
    rows = db.rows(
        f"SELECT {COLUMNS} FROM image i WHERE i.repository_key = :repository_key"
        f" AND (i.pushed_us, i.digest) > (:pushed_us, :digest){conditions}"
        " ORDER BY i.pushed_us, i.digest LIMIT :most",
        repository_key=repository_key,
        pushed_us=after[0],
        digest=after[1],
        most=most,
        **parameters,
    )
    return [Image(*row) for row in rows]


def referrers_after(
    db: Connection, repository_key: int, subject: bytes, after: bytes, most: int, *, status: str | None = None
) -> list[Image]:
    """Up to ``most`` images whose subject is this digest, by digest, after one."""
    condition = "" if status is None else " AND i.status = :status"
    parameters = {"status": status} if status is not None else {}
    rows = db.rows(
        f"SELECT {COLUMNS} FROM image i WHERE i.repository_key = :repository_key"
        f" AND i.subject_digest = :subject AND i.digest > :after{condition} ORDER BY i.digest LIMIT :most",
        repository_key=repository_key,
        subject=subject,
        after=after,
        most=most,
        **parameters,
    )
    return [Image(*row) for row in rows]


def is_empty(db: Connection, repository_key: int) -> bool:
    """Whether a repository has no images."""
    return db.row("SELECT 1 FROM image WHERE repository_key = :key LIMIT 1", key=repository_key) is None


def insert(
    db: Connection,
    *,
    repository_key: int,
    digest: bytes,
    media_type: str,
    artifact_type: str | None,
    config_media_type: str | None,
    subject_digest: bytes | None,
    annotations: str | None,
    pushed_us: int,
    manifest: bytes,
    ever_tagged: bool,
) -> int:
    """Store an image; its surrogate key."""
    found = db.row(
        "INSERT INTO image (repository_key, digest, media_type, artifact_type, config_media_type, subject_digest,"
        " annotations, manifest_size_bytes, image_size_bytes, pushed_us, ever_tagged, status, manifest) VALUES"
        " (:repository_key, :digest, :media_type, :artifact_type, :config_media_type, :subject_digest, :annotations,"
        " :manifest_size_bytes, 0, :pushed_us, :ever_tagged, 'ACTIVE', :manifest) RETURNING id",
        repository_key=repository_key,
        digest=digest,
        media_type=media_type,
        artifact_type=artifact_type,
        config_media_type=config_media_type,
        subject_digest=subject_digest,
        annotations=annotations,
        manifest_size_bytes=len(manifest),
        pushed_us=pushed_us,
        ever_tagged=int(ever_tagged),
        manifest=manifest,
    )
    assert found is not None  # noqa: S101 - RETURNING answers with the row
    return int(found[0])


@dataclass(frozen=True, slots=True)
class Reference:
    """One thing that a manifest names: a layer, a member image, or, in a sparse manifest, a gap."""

    position: int
    digest: bytes
    media_type: str
    layer_key: int | None = None
    child_key: int | None = None


def insert_references(db: Connection, repository_key: int, image_key: int, references: Iterable[Reference]) -> None:
    """Bind an image to what it names."""
    for item in references:
        if item.layer_key is not None:
            _bind_layer(db, image_key, item.position, item.layer_key, item.media_type)
        elif item.child_key is not None:
            _bind_child(db, image_key, item.position, item.child_key)
        else:
            db.run(
                "INSERT INTO image_gap (image_key, position, repository_key, digest, media_type)"
                " VALUES (:image_key, :position, :repository_key, :digest, :media_type)",
                image_key=image_key,
                position=item.position,
                repository_key=repository_key,
                digest=item.digest,
                media_type=item.media_type,
            )


def fill_gaps(
    db: Connection, repository_key: int, digest: bytes, *, layer_key: int | None = None, child_key: int | None = None
) -> None:
    """Bind what was just pushed to the sparse manifests that already name it."""
    gaps = db.rows(
        "SELECT image_key, position, media_type FROM image_gap WHERE repository_key = :repository_key"
        " AND digest = :digest",
        repository_key=repository_key,
        digest=digest,
    )
    for image_key, position, media_type in gaps:
        if layer_key is not None:
            _bind_layer(db, image_key, position, layer_key, media_type)
        elif child_key is not None:
            _bind_child(db, image_key, position, child_key)
        db.run(
            "DELETE FROM image_gap WHERE image_key = :image_key AND position = :position",
            image_key=image_key,
            position=position,
        )
        weigh(db, image_key)


def _bind_layer(db: Connection, image_key: int, position: int, layer_key: int, media_type: str) -> None:
    db.run(
        "INSERT INTO image_layer (image_key, position, layer_key, media_type, archived)"
        " SELECT :image_key, :position, :layer_key, :media_type, CASE WHEN status = 'ACTIVE' THEN 0 ELSE 1 END"
        " FROM image WHERE id = :image_key",
        image_key=image_key,
        position=position,
        layer_key=layer_key,
        media_type=media_type,
    )


def _bind_child(db: Connection, image_key: int, position: int, child_key: int) -> None:
    db.run(
        "INSERT INTO image_child (image_key, position, child_key) VALUES (:image_key, :position, :child_key)",
        image_key=image_key,
        position=position,
        child_key=child_key,
    )


def set_tag(db: Connection, repository_key: int, tag: str, image_key: int, now_us: int) -> None:
    """Point a tag at an image, and remember that the image was tagged."""
    db.run(
        "INSERT INTO tag (repository_key, name, image_key, moved_us)"
        " VALUES (:repository_key, :tag, :image_key, :now_us) ON CONFLICT (repository_key, name)"
        " DO UPDATE SET image_key = excluded.image_key, moved_us = excluded.moved_us",
        repository_key=repository_key,
        tag=tag,
        image_key=image_key,
        now_us=now_us,
    )
    db.run("UPDATE image SET ever_tagged = 1 WHERE id = :image_key AND ever_tagged = 0", image_key=image_key)


def delete_tag(db: Connection, repository_key: int, tag: str) -> None:
    """Remove a tag."""
    db.run(
        "DELETE FROM tag WHERE repository_key = :repository_key AND name = :tag", repository_key=repository_key, tag=tag
    )


def tags_of(db: Connection, image_key: int) -> list[str]:
    """The tags of an image, by name."""
    return [row[0] for row in db.rows("SELECT name FROM tag WHERE image_key = :key ORDER BY name", key=image_key)]


def tags_with_moves(db: Connection, image_key: int) -> list[tuple[str, int]]:
    """(tag, when it was pointed there last) of an image, by name."""
    rows = db.rows("SELECT name, moved_us FROM tag WHERE image_key = :key ORDER BY name", key=image_key)
    return [(row[0], row[1]) for row in rows]


def count_tags(db: Connection, image_key: int) -> int:
    """How many tags an image has."""
    found = db.row("SELECT COUNT(*) FROM tag WHERE image_key = :key", key=image_key)
    return int(found[0]) if found else 0


def tags_after(db: Connection, repository_key: int, after: str, most: int) -> list[str]:
    """Up to ``most`` tag names after one, in byte order."""
    rows = db.rows(
        "SELECT name FROM tag WHERE repository_key = :repository_key AND name > :after ORDER BY name LIMIT :most",
        repository_key=repository_key,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


def tags_of_many(db: Connection, images: Sequence[Image]) -> dict[int, list[str]]:
    """The tags of a page of images, by image key."""
    found: dict[int, list[str]] = {}
    for start in range(0, len(images), 100):
        keys = {f"k{number}": image.key for number, image in enumerate(images[start : start + 100])}
        names = ", ".join(f":{name}" for name in keys)
        rows: list[Row] = db.rows(
            f"SELECT image_key, name FROM tag WHERE image_key IN ({names}) ORDER BY image_key, name",
            **keys,
        )
        for image_key, name in rows:
            found.setdefault(image_key, []).append(name)
    return found


def parents_of(db: Connection, image_key: int) -> list[bytes]:
    """Digests of up to 100 indexes that name an image."""
    rows = db.rows(
        "SELECT digest FROM image WHERE id IN"
        " (SELECT DISTINCT image_key FROM image_child WHERE child_key = :key ORDER BY image_key LIMIT 100)",
        key=image_key,
    )
    return sorted(row[0] for row in rows)


def weigh(db: Connection, image_key: int) -> None:
    """Write down what an image weighs: an index the largest of its images, everything else its layers and config, in
    bytes as stored; what a manifest says of them is its pusher's word."""
    db.run(
        "UPDATE image SET image_size_bytes = COALESCE("
        " (SELECT MAX(m.image_size_bytes) FROM image_child c JOIN image m ON m.id = c.child_key"
        " WHERE c.image_key = :key),"
        " (SELECT SUM(b.size_bytes) FROM image_layer il JOIN layer l ON l.id = il.layer_key"
        " JOIN blob b ON b.id = l.blob_key WHERE il.image_key = :key), 0) WHERE id = :key",
        key=image_key,
    )


def delete(db: Connection, image_key: int) -> None:
    """Remove an image with its tags and references, and what scans found; the foreign keys refuse it while an index
    names it."""
    inventories.forget_image(db, image_key)
    for table in ("tag", "image_layer", "image_child", "image_gap"):
        db.run(f"DELETE FROM {table} WHERE image_key = :key", key=image_key)
    db.run("DELETE FROM image WHERE id = :key", key=image_key)


def note_pulls(db: Connection, pulls: Iterable[tuple[int, int]]) -> None:
    """Write down (image key, instant) of pulls; an image deleted meanwhile is passed over."""
    for image_key, pulled_us in pulls:
        db.run(
            "UPDATE image SET pulled_us = :pulled_us WHERE id = :key AND (pulled_us IS NULL OR pulled_us < :pulled_us)",
            key=image_key,
            pulled_us=pulled_us,
        )
