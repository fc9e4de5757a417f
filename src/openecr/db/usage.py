"""What is stored, and what holds it: aggregates over steps of blobs and of images, for whoever runs the deployment.

A step is the blobs of a registry with keys in (after, until]; its aggregates group in memory what the step holds, no
more. A blob is *live* where an image of a repository names it, *trashed* where only the trash does, else it *waits*:
a promise or the life of presigned URLs holds it, or the next collection takes it.
"""

from dataclasses import dataclass

from openecr.db.connection import Connection

_STEP = (
    "WITH step AS MATERIALIZED (SELECT id, size_bytes FROM blob WHERE registry_key = :registry_key"
    " AND id > :after AND id <= :until),"
)
_NAMED = "EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = l.id)"
_ACTIVE = "EXISTS (SELECT 1 FROM image_layer il WHERE il.layer_key = l.id AND il.archived = 0)"
# CROSS JOIN: without statistics SQLite would read all links to meet a step; PostgreSQL orders as it likes.
_LIVE = (
    " live AS MATERIALIZED (SELECT step.id AS blob_key, step.size_bytes AS size_bytes, l.repository_key AS holder,"
    f" MAX(CASE WHEN {_ACTIVE} THEN 1 ELSE 0 END) AS active FROM step CROSS JOIN layer l CROSS JOIN repository r"
    f" WHERE l.blob_key = step.id AND r.id = l.repository_key AND r.trashed_us IS NULL AND {_NAMED}"
    " GROUP BY step.id, step.size_bytes, l.repository_key),"
    " counted AS MATERIALIZED (SELECT blob_key, COUNT(*) AS holders, MAX(active) AS active FROM live"
    " GROUP BY blob_key)"
)

STORED = (
    f"{_STEP}{_LIVE} SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(CASE WHEN holders > 1 THEN size_bytes ELSE 0 END), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(CASE WHEN holders > 1 THEN size_bytes * (holders - 1) ELSE 0 END), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(CASE WHEN holders > 1 AND active = 0 THEN size_bytes ELSE 0 END), 0) AS BIGINT)"
    " FROM step LEFT JOIN counted ON blob_key = id"
)
LIVE = (
    f"{_STEP}{_LIVE} SELECT holder, CAST(SUM(size_bytes) AS BIGINT),"
    " CAST(SUM(CASE WHEN holders = 1 THEN size_bytes ELSE 0 END) AS BIGINT),"
    " CAST(SUM(CASE WHEN holders = 1 AND counted.active = 0 THEN size_bytes ELSE 0 END) AS BIGINT)"
    " FROM live JOIN counted ON counted.blob_key = live.blob_key GROUP BY holder"
)
TRASHED = (
    f"{_STEP} dead AS MATERIALIZED (SELECT id AS blob_key, size_bytes FROM step"
    " WHERE NOT EXISTS (SELECT 1 FROM layer l CROSS JOIN repository r WHERE l.blob_key = step.id"
    f" AND r.id = l.repository_key AND r.trashed_us IS NULL AND {_NAMED})),"
    " held AS MATERIALIZED (SELECT dead.blob_key AS blob_key, dead.size_bytes AS size_bytes,"
    " t.repository_name AS holder FROM dead CROSS JOIN trash_layer k CROSS JOIN trash t"
    " WHERE k.blob_key = dead.blob_key AND t.id = k.trash_key"
    " UNION SELECT dead.blob_key, dead.size_bytes, r.name FROM dead CROSS JOIN layer l CROSS JOIN repository r"
    f" WHERE l.blob_key = dead.blob_key AND r.id = l.repository_key AND r.trashed_us IS NOT NULL AND {_NAMED}),"
    " kept AS MATERIALIZED (SELECT blob_key, size_bytes, CASE WHEN COUNT(*) = 1 THEN MIN(holder) ELSE '' END AS holder"
    " FROM held GROUP BY blob_key, size_bytes)"
    " SELECT holder, CAST(SUM(size_bytes) AS BIGINT) FROM kept GROUP BY holder"
)
REGISTRIES = "SELECT id, account_id, region FROM registry ORDER BY account_id, region"


@dataclass(frozen=True, slots=True)
class Stored:
    """One step's blobs."""

    blobs: int
    size_bytes: int
    shared_bytes: int
    """Of blobs that images of several repositories name, each once."""
    spared_bytes: int
    """What those would take more if each repository had its own."""
    archived_bytes: int
    """Of the shared bytes, those that archived images alone name."""


def registries(db: Connection) -> list[tuple[int, str, str]]:
    """(key, account, region) of every registry that was used."""
    return [(row[0], row[1], row[2]) for row in db.rows(REGISTRIES)]


def step_end(db: Connection, registry_key: int, after: int, most: int) -> int | None:
    """The last key of the step of ``most`` blobs after a key; None where no blob is left."""
    found = db.row(
        "SELECT MAX(id) FROM (SELECT id FROM blob WHERE registry_key = :registry_key AND id > :after"
        " ORDER BY id LIMIT :most) AS step",
        registry_key=registry_key,
        after=after,
        most=most,
    )
    return None if found is None else found[0]


def stored(db: Connection, registry_key: int, after: int, until: int) -> Stored:
    """What a step of blobs holds in all."""
    found = db.row(STORED, registry_key=registry_key, after=after, until=until)
    assert found is not None  # noqa: S101 - an aggregate answers with one row
    return Stored(*found)


def live(db: Connection, registry_key: int, after: int, until: int) -> list[tuple[int, int, int, int]]:
    """(repository key, bytes that its images name, of these what no other repository's images name, of those what
    archived images alone name) in a step."""
    rows = db.rows(LIVE, registry_key=registry_key, after=after, until=until)
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def trashed(db: Connection, registry_key: int, after: int, until: int) -> list[tuple[str, int]]:
    """(repository name, bytes that only its trash holds) in a step; the empty name for what several share.

    A deleted repository has its name in the trash, ``name#key``.
    """
    rows = db.rows(TRASHED, registry_key=registry_key, after=after, until=until)
    return [(row[0], row[1]) for row in rows]


def repositories_after(db: Connection, registry_key: int, after: str, most: int) -> list[tuple[int, str, bool]]:
    """(key, name, whether it is in the trash) of up to ``most`` repositories by name, after a name."""
    rows = db.rows(
        "SELECT id, name, trashed_us FROM repository WHERE registry_key = :registry_key AND name > :after"
        " ORDER BY name LIMIT :most",
        registry_key=registry_key,
        after=after,
        most=most,
    )
    return [(row[0], row[1], row[2] is not None) for row in rows]


def images_after(
    db: Connection, repository_key: int, after: tuple[int, bytes], most: int
) -> list[tuple[int, bytes, int]]:
    """(pushed_us, digest, bytes of all its layers and its config) of up to ``most`` images, after a position."""
    rows = db.rows(
        "SELECT i.pushed_us, i.digest, CAST(COALESCE((SELECT SUM(b.size_bytes) FROM image_layer il"
        " JOIN layer l ON l.id = il.layer_key JOIN blob b ON b.id = l.blob_key WHERE il.image_key = i.id), 0)"
        " AS BIGINT) FROM image i WHERE i.repository_key = :repository_key"
        " AND (i.pushed_us, i.digest) > (:pushed_us, :digest) ORDER BY i.pushed_us, i.digest LIMIT :most",
        repository_key=repository_key,
        pushed_us=after[0],
        digest=after[1],
        most=most,
    )
    return [(row[0], row[1], row[2]) for row in rows]


GAINED_BY_IMAGE = (
    "SELECT COUNT(*), CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT) FROM blob b WHERE b.id IN"
    " (SELECT l.blob_key FROM image_layer k JOIN layer l ON l.id = k.layer_key WHERE k.image_key = :image_key)"
    " AND NOT EXISTS (SELECT 1 FROM layer o JOIN repository r ON r.id = o.repository_key"
    " JOIN image_layer m ON m.layer_key = o.id"
    " WHERE o.blob_key = b.id AND r.trashed_us IS NULL AND m.image_key <> :image_key)"
)


def gained_by_image(db: Connection, image_key: int) -> tuple[int, int]:
    """(blobs, bytes) that no other image names."""
    found = db.row(GAINED_BY_IMAGE, image_key=image_key)
    assert found is not None  # noqa: S101 - an aggregate answers with one row
    return int(found[0]), int(found[1])


def gained_by_repository(db: Connection, repository_key: int, after: bytes, most: int) -> list[tuple[bytes, int]]:
    """(link's digest, bytes gained with it) of up to ``most`` links of a repository, after a digest.

    A link gains nothing where no image here, or an image elsewhere, names its blob; a blob that has two links here
    counts at the one with the smaller digest.
    """
    rows = db.rows(
        f"SELECT l.digest, CASE WHEN {_NAMED} AND NOT EXISTS (SELECT 1 FROM layer o"
        " JOIN repository r ON r.id = o.repository_key JOIN image_layer m ON m.layer_key = o.id"
        " WHERE o.blob_key = l.blob_key AND r.trashed_us IS NULL"
        " AND (o.repository_key <> l.repository_key OR o.digest < l.digest)) THEN b.size_bytes ELSE 0 END"
        " FROM layer l JOIN blob b ON b.id = l.blob_key"
        " WHERE l.repository_key = :repository_key AND l.digest > :after ORDER BY l.digest LIMIT :most",
        repository_key=repository_key,
        after=after,
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def count_members(db: Connection, image_key: int) -> int:
    """How many images an index names."""
    found = db.row("SELECT COUNT(*) FROM image_child WHERE image_key = :key", key=image_key)
    return int(found[0]) if found is not None else 0
