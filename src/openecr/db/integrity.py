"""What fsck and the scrub read and write: every blob, image, tag, link and upload, in keyset batches."""

from dataclasses import dataclass

from openecr.db.connection import Connection, Row
from openecr.db.schema import Reader


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's row with all that says how its bytes are stored, and its digests."""

    key: int
    registry_key: int
    encryption_key: str
    object_id: str
    cipher: str
    data_key: bytes | None
    size_bytes: int
    unheld_us: int | None
    quarantined_us: int | None
    damage: str | None
    digests: tuple[bytes, ...]


def blob_keys_after(db: Connection, after: int, most: int) -> list[int]:
    """Keys of up to ``most`` blobs after one."""
    rows = db.rows("SELECT id FROM blob WHERE id > :after ORDER BY id LIMIT :most", after=after, most=most)
    return [row[0] for row in rows]


def last_blob_key(db: Connection) -> int:
    """The key of the newest blob; 0 where there is none."""
    found = db.row("SELECT MAX(id) FROM blob")
    return int(found[0] or 0) if found is not None else 0


def blob(db: Connection, key: int) -> StoredBlob | None:
    """A blob."""
    found = db.row(
        "SELECT id, registry_key, encryption_key, object_id, cipher, data_key, size_bytes, unheld_us, quarantined_us,"
        " damage"
        " FROM blob WHERE id = :key",
        key=key,
    )
    if found is None:
        return None
    rows = db.rows("SELECT digest FROM blob_digest WHERE blob_key = :key", key=key)
    columns: Row = (*found, tuple(sorted(row[0] for row in rows)))
    return StoredBlob(*columns)


def blobs_after(reader: Reader, after: int, most: int) -> list[StoredBlob]:
    """Up to ``most`` blobs after a key, with their digests: two statements a batch."""
    page = {"after": after, "most": most}
    rows = reader.rows(
        "SELECT id, registry_key, encryption_key, object_id, cipher, data_key, size_bytes, unheld_us, quarantined_us,"
        " damage"
        " FROM blob WHERE id > :after ORDER BY id LIMIT :most",
        **page,
    )
    digests: dict[int, list[bytes]] = {}
    if rows:
        for key, digest in reader.rows(
            "SELECT blob_key, digest FROM blob_digest WHERE blob_key > :after AND blob_key <= :last",
            after=after,
            last=rows[-1][0],
        ):
            digests.setdefault(key, []).append(bytes(digest))
    found: list[Row] = [(*row, tuple(sorted(digests.get(row[0], ())))) for row in rows]
    return [StoredBlob(*columns) for columns in found]


def is_held(db: Connection, key: int) -> bool:
    """Whether a link or the trash holds a blob."""
    found = db.row(
        "SELECT 1 FROM blob b WHERE b.id = :key AND (EXISTS (SELECT 1 FROM layer l WHERE l.blob_key = b.id)"
        " OR EXISTS (SELECT 1 FROM trash_layer t WHERE t.blob_key = b.id))",
        key=key,
    )
    return found is not None


def same_bytes(db: Connection, digest: bytes, key: int, most: int) -> list[int]:
    """Keys of up to ``most`` other blobs of the deployment, not known to be damaged, that have a digest."""
    rows = db.rows(
        "SELECT b.id FROM blob_digest d JOIN blob b ON b.id = d.blob_key WHERE d.digest = :digest AND b.id <> :key"
        " AND b.quarantined_us IS NULL LIMIT :most",
        digest=digest,
        key=key,
        most=most,
    )
    return [row[0] for row in rows]


def uploads_of_size(db: Connection, raw_sha256: bytes, size_bytes: int) -> list[tuple[str, bytes | None]]:
    """(object id, wrapped data key) of idle uploads that hold these bytes and were not completed."""
    rows = db.rows(
        "SELECT object_id, data_key FROM upload WHERE sha256_state = :raw AND offset_bytes = :size_bytes"
        " AND lease_holder IS NULL LIMIT 10",
        raw=raw_sha256,
        size_bytes=size_bytes,
    )
    return [(row[0], row[1]) for row in rows]


def quarantine(db: Connection, key: int, object_id: str, damage: str) -> bool:
    """Stop serving a blob; False where its row went or changed meanwhile, or it is quarantined already."""
    return bool(
        db.run(
            "UPDATE blob SET quarantined_us = :now_us, damage = :damage WHERE id = :key AND object_id = :object_id"
            " AND quarantined_us IS NULL",
            key=key,
            object_id=object_id,
            damage=damage,
            now_us=db.clock_us(),
        )
    )


def lift_quarantine(db: Connection, key: int) -> None:
    """Serve a blob again: its bytes were read and are what they must be."""
    db.run("UPDATE blob SET quarantined_us = NULL, damage = NULL WHERE id = :key", key=key)


def quarantined(db: Connection, after: tuple[int, int], most: int) -> list[tuple[int, int]]:
    """(instant, key) of up to ``most`` quarantined blobs after a position."""
    rows = db.rows(
        "SELECT quarantined_us, id FROM blob WHERE quarantined_us IS NOT NULL AND (quarantined_us, id) > (:us, :key)"
        " ORDER BY quarantined_us, id LIMIT :most",
        us=after[0],
        key=after[1],
        most=most,
    )
    return [(row[0], row[1]) for row in rows]


def count_quarantined(db: Connection) -> int:
    """How many blobs are quarantined."""
    found = db.row("SELECT COUNT(*) FROM blob WHERE quarantined_us IS NOT NULL")
    return int(found[0]) if found is not None else 0


def total_bytes(db: Connection) -> int:
    """The bytes of every blob, for a bar that shows how far a pass is."""
    found = db.row("SELECT COALESCE(SUM(size_bytes), 0) FROM blob")
    return int(found[0]) if found is not None else 0


def let_go(db: Connection, key: int) -> bool:
    """Leave a damaged blob that nothing needs any more to the next collection, with what is left of its bytes."""
    return bool(
        db.run(
            "UPDATE blob SET quarantined_us = NULL, damage = NULL WHERE id = :key AND unheld_us IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM layer l WHERE l.blob_key = blob.id)"
            " AND NOT EXISTS (SELECT 1 FROM trash_layer t WHERE t.blob_key = blob.id)"
            " AND NOT EXISTS (SELECT 1 FROM blob_digest d WHERE d.blob_key = blob.id)",
            key=key,
        )
    )


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image's row with its manifest, and where it is."""

    key: int
    repository_key: int
    account_id: str
    region: str
    repository_name: str
    digest: bytes
    media_type: str
    artifact_type: str | None
    subject_digest: bytes | None
    manifest_size_bytes: int
    image_size_bytes: int
    manifest: bytes


def images_after(db: Connection, after: int, most: int) -> list[StoredImage]:
    """Up to ``most`` images after a key."""
    rows = db.rows(
        "SELECT i.id, i.repository_key, g.account_id, g.region, r.name, i.digest, i.media_type, i.artifact_type,"
        " i.subject_digest, i.manifest_size_bytes, i.image_size_bytes, i.manifest FROM image i"
        " JOIN repository r ON r.id = i.repository_key JOIN registry g ON g.id = r.registry_key"
        " WHERE i.id > :after ORDER BY i.id LIMIT :most",
        after=after,
        most=most,
    )
    return [StoredImage(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Bound:
    """What one position of a manifest is bound to."""

    position: int
    digest: bytes
    repository_key: int
    size_bytes: int
    is_layer: bool = False
    is_member: bool = False


def bound_to(db: Connection, image_key: int) -> list[Bound]:
    """Everything that an image's rows say it names: layers, members and gaps, by position."""
    found = [
        Bound(row[0], row[1], row[2], row[3], is_layer=True)
        for row in db.rows(
            "SELECT il.position, l.digest, l.repository_key, b.size_bytes FROM image_layer il"
            " JOIN layer l ON l.id = il.layer_key JOIN blob b ON b.id = l.blob_key WHERE il.image_key = :key",
            key=image_key,
        )
    ]
    found += [
        Bound(row[0], row[1], row[2], row[3], is_member=True)
        for row in db.rows(
            "SELECT c.position, m.digest, m.repository_key, m.image_size_bytes FROM image_child c"
            " JOIN image m ON m.id = c.child_key WHERE c.image_key = :key",
            key=image_key,
        )
    ]
    found += [
        Bound(row[0], row[1], row[2], 0)
        for row in db.rows(
            "SELECT position, digest, repository_key FROM image_gap WHERE image_key = :key", key=image_key
        )
    ]
    return sorted(found, key=lambda item: item.position)


def tags_elsewhere(db: Connection, after: int, most: int) -> tuple[int, list[Row]]:
    """(last key, wrong ones) of the tags of up to ``most`` images: (repository key, tag, image digest)."""
    keys = [
        row[0]
        for row in db.rows("SELECT id FROM image WHERE id > :after ORDER BY id LIMIT :most", after=after, most=most)
    ]
    if not keys:
        return after, []
    rows = db.rows(
        "SELECT t.repository_key, t.name, i.digest FROM image i JOIN tag t ON t.image_key = i.id"
        " WHERE i.id > :after AND i.id <= :last AND t.repository_key <> i.repository_key",
        after=after,
        last=keys[-1],
    )
    return keys[-1], rows


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A repository's link, and whether its blob has the digest and lies in the repository's scope."""

    key: int
    repository_name: str
    digest: bytes
    has_digest: int
    in_scope: int


def links_after(db: Connection, after: int, most: int) -> list[StoredLink]:
    """Up to ``most`` links after a key."""
    rows = db.rows(
        "SELECT l.id, r.name, l.digest,"
        " EXISTS (SELECT 1 FROM blob_digest d WHERE d.blob_key = l.blob_key AND d.digest = l.digest),"
        " CASE WHEN b.registry_key = r.registry_key THEN 1 ELSE 0 END"
        " FROM layer l JOIN repository r ON r.id = l.repository_key JOIN blob b ON b.id = l.blob_key"
        " WHERE l.id > :after ORDER BY l.id LIMIT :most",
        after=after,
        most=most,
    )
    return [StoredLink(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class StoredDeletion:
    """A deletion in the trash with its manifest."""

    key: int
    repository_name: str
    digest: bytes | None
    manifest: bytes | None


def deletions_after(db: Connection, after: int, most: int) -> list[StoredDeletion]:
    """Up to ``most`` deletions after a key."""
    rows = db.rows(
        "SELECT id, repository_name, digest, manifest FROM trash WHERE id > :after ORDER BY id LIMIT :most",
        after=after,
        most=most,
    )
    return [StoredDeletion(*row) for row in rows]


def trashed_layers(db: Connection, trash_key: int) -> list[tuple[bytes, int]]:
    """(digest, whether its blob has it) of what a trashed image needs."""
    rows = db.rows(
        "SELECT t.digest, EXISTS (SELECT 1 FROM blob_digest d WHERE d.blob_key = t.blob_key AND d.digest = t.digest)"
        " FROM trash_layer t WHERE t.trash_key = :key",
        key=trash_key,
    )
    return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload that nobody appends to now."""

    key: int
    upload_id: str
    object_id: str
    offset_bytes: int


def idle_uploads_after(db: Connection, after: int, most: int) -> tuple[int, list[StoredUpload]]:
    """(last key, those that hold bytes and that nobody leases) of up to ``most`` uploads after a key."""
    rows = db.rows(
        "SELECT id, upload_id, object_id, offset_bytes, lease_until_us FROM upload WHERE id > :after"
        " ORDER BY id LIMIT :most",
        after=after,
        most=most,
    )
    now_us = db.clock_us()
    idle = [StoredUpload(*row[:4]) for row in rows if row[3] > 0 and row[4] <= now_us]
    return (rows[-1][0] if rows else after), idle


def uploads_after(db: Connection, after: int, most: int) -> list[StoredUpload]:
    """Up to ``most`` uploads after a key, whoever leases them."""
    rows = db.rows(
        "SELECT id, upload_id, object_id, offset_bytes FROM upload WHERE id > :after ORDER BY id LIMIT :most",
        after=after,
        most=most,
    )
    return [StoredUpload(*row) for row in rows]


def upload(db: Connection, key: int) -> StoredUpload | None:
    """An upload that still is there."""
    found = db.row("SELECT id, upload_id, object_id, offset_bytes FROM upload WHERE id = :key", key=key)
    return None if found is None else StoredUpload(*found)


def discarded_in_use(db: Connection, after: str, most: int) -> tuple[str, list[str]]:
    """(last object, those that a row names) of up to ``most`` objects that are due to be deleted, after one."""
    rows = db.rows(
        "SELECT d.object_id, EXISTS (SELECT 1 FROM blob b WHERE b.object_id = d.object_id),"
        " EXISTS (SELECT 1 FROM upload u WHERE u.object_id = d.object_id) FROM discarded_object d"
        " WHERE d.object_id > :after ORDER BY d.object_id LIMIT :most",
        after=after,
        most=most,
    )
    return (rows[-1][0] if rows else after), [row[0] for row in rows if row[1] or row[2]]


def failed_jobs(db: Connection, late_us: int, most: int) -> list[tuple[int, str, str, str]]:
    """(id, kind, state, error) of up to ``most`` jobs that are dead, or late though others of their queue run.

    A deployment that is stopped runs none: then nothing is late.
    """
    before_us = db.clock_us() - late_us
    dead = db.rows(
        "SELECT id, kind, state, error FROM job WHERE state = 'dead' ORDER BY id LIMIT :most",
        most=most,
    )
    worked = db.row("SELECT 1 FROM job WHERE state IN ('ready', 'running') AND created_us > :us LIMIT 1", us=before_us)
    late = []
    if worked is not None:
        late = db.rows(
            "SELECT id, kind, state, error FROM job WHERE (state = 'ready' AND due_us < :us)"
            " OR (state = 'running' AND lease_until_us < :us) ORDER BY id LIMIT :most",
            us=before_us,
            most=most,
        )
    return [(row[0], row[1], row[2], row[3] or "") for row in (*dead, *late)]
