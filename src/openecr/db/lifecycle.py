"""Lifecycle policies, their previews, and what a policy may know of the images of a repository."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from openecr.db.connection import Connection


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The policy of a repository."""

    key: int
    repository_key: int
    text: str
    policy_id: str
    version: int
    put_us: int
    evaluated_us: int
    """When it ran last; 0 where it never did."""
    expired: int
    """How many images its last run expired."""
    stopped_us: int | None
    stopped_why: str | None
    """Why the safety brake stopped it, a sentence."""
    unbraked: int
    """Whether the next run may go past the brake."""


_POLICY = (
    "p.id, p.repository_key, p.text, p.policy_id, p.version, p.put_us, p.evaluated_us, p.expired, p.stopped_us,"
    " p.stopped_why, p.unbraked"
)


def find_policy(db: Connection, repository_key: int) -> StoredPolicy | None:
    """The policy of a repository."""
    found = db.row(
        f"SELECT {_POLICY} FROM lifecycle_policy p WHERE p.repository_key = :repository_key",
        repository_key=repository_key,
    )
    return None if found is None else StoredPolicy(*found)


def put_policy(db: Connection, repository_key: int, text: str, policy_id: str, now_us: int) -> None:
    """Store a policy in place of the one before; it runs again whatever stopped that one."""
    db.run(
        "INSERT INTO lifecycle_policy (repository_key, text, policy_id, version, put_us, evaluated_us, expired,"
        " unbraked) VALUES (:repository_key, :text, :policy_id, 1, :now_us, 0, 0, 0) ON CONFLICT (repository_key)"
        " DO UPDATE SET text = excluded.text, version = lifecycle_policy.version + 1, put_us = excluded.put_us,"
        " stopped_us = NULL, stopped_why = NULL, unbraked = 0",
        repository_key=repository_key,
        text=text,
        policy_id=policy_id,
        now_us=now_us,
    )


def delete_policy(db: Connection, repository_key: int) -> None:
    """Remove a policy."""
    db.run("DELETE FROM lifecycle_policy WHERE repository_key = :repository_key", repository_key=repository_key)


def policies_after(db: Connection, repository_key: int, most: int) -> list[StoredPolicy]:
    """Up to ``most`` policies of repositories that are not in the trash, by repository key, after one."""
    rows = db.rows(
        f"SELECT {_POLICY} FROM lifecycle_policy p JOIN repository r ON r.id = p.repository_key"
        " WHERE p.repository_key > :repository_key AND r.trashed_us IS NULL ORDER BY p.repository_key LIMIT :most",
        repository_key=repository_key,
        most=most,
    )
    return [StoredPolicy(*row) for row in rows]


def note_evaluated(db: Connection, policy_key: int, version: int, now_us: int, expired: int) -> bool:
    """A run of this version ended; False where the policy is another by now."""
    return bool(
        db.run(
            "UPDATE lifecycle_policy SET evaluated_us = :now_us, expired = :expired, unbraked = 0,"
            " stopped_us = NULL, stopped_why = NULL WHERE id = :key AND version = :version",
            key=policy_key,
            version=version,
            now_us=now_us,
            expired=expired,
        )
    )


def note_stopped(db: Connection, policy_key: int, version: int, now_us: int, why: str) -> None:
    """The safety brake stopped a run of this version."""
    db.run(
        "UPDATE lifecycle_policy SET stopped_us = :now_us, stopped_why = :why WHERE id = :key AND version = :version",
        key=policy_key,
        version=version,
        now_us=now_us,
        why=why,
    )


def release(db: Connection, policy_key: int, *, unbraked: bool) -> None:
    """Let a stopped policy run again; past the brake where it says so."""
    db.run(
        "UPDATE lifecycle_policy SET stopped_us = NULL, stopped_why = NULL, unbraked = :unbraked WHERE id = :key",
        key=policy_key,
        unbraked=int(unbraked),
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """The last preview of a repository."""

    key: int
    repository_key: int
    text: str
    run: int
    started_us: int
    finished_us: int | None
    expiring: int
    transitioning: int


@dataclass(frozen=True, slots=True)
class Result:
    """One image that a preview's policy would act on."""

    position: int
    digest: bytes
    tags: tuple[str, ...]
    pushed_us: int
    storage_class: str
    priority: int
    action: str


_PREVIEW = "id, repository_key, text, run, started_us, finished_us, expiring, transitioning"
_RESULT = "position, digest, tags, pushed_us, storage_class, priority, action"


def find_preview(db: Connection, repository_key: int) -> Preview | None:
    """The last preview of a repository."""
    found = db.row(
        f"SELECT {_PREVIEW} FROM lifecycle_preview WHERE repository_key = :repository_key",
        repository_key=repository_key,
    )
    return None if found is None else Preview(*found)


def start_preview(db: Connection, repository_key: int, text: str, now_us: int) -> None:
    """Begin a preview in place of the last one."""
    db.run(
        "INSERT INTO lifecycle_preview (repository_key, text, run, started_us, expiring, transitioning)"
        " VALUES (:repository_key, :text, 1, :now_us, 0, 0) ON CONFLICT (repository_key) DO UPDATE SET"
        " text = excluded.text, run = lifecycle_preview.run + 1, started_us = excluded.started_us,"
        " finished_us = NULL, expiring = 0, transitioning = 0",
        repository_key=repository_key,
        text=text,
        now_us=now_us,
    )


def finish_preview(db: Connection, preview: Preview, now_us: int, expiring: int, transitioning: int) -> None:
    """The results of a run are there; where another run was started meanwhile nothing happens."""
    db.run(
        "UPDATE lifecycle_preview SET finished_us = :now_us, expiring = :expiring, transitioning = :transitioning"
        " WHERE id = :key AND run = :run",
        key=preview.key,
        run=preview.run,
        now_us=now_us,
        expiring=expiring,
        transitioning=transitioning,
    )


def insert_results(db: Connection, preview: Preview, results: Sequence[Result]) -> None:
    """Write down some results of a run."""
    for item in results:
        db.run(
            "INSERT INTO lifecycle_preview_result (preview_key, run, position, digest, tags, tagged, pushed_us,"
            " storage_class, priority, action) VALUES (:preview_key, :run, :position, :digest, :tags, :tagged,"
            " :pushed_us, :storage_class, :priority, :action)",
            preview_key=preview.key,
            run=preview.run,
            position=item.position,
            digest=item.digest,
            tags=orjson.dumps(item.tags).decode(),
            tagged=int(bool(item.tags)),
            pushed_us=item.pushed_us,
            storage_class=item.storage_class,
            priority=item.priority,
            action=item.action,
        )


def results_after(db: Connection, preview: Preview, after: int, most: int, *, tagged: bool | None) -> list[Result]:
    """Up to ``most`` results by position, after one; only of tagged or untagged images, or of all."""
    condition = "" if tagged is None else " AND tagged = :tagged"
    wanted = {} if tagged is None else {"tagged": int(tagged)}
    rows = db.rows(
        f"SELECT {_RESULT} FROM lifecycle_preview_result WHERE preview_key = :preview_key AND run = :run"
        f" AND position > :after{condition} ORDER BY position LIMIT :most",
        preview_key=preview.key,
        run=preview.run,
        after=after,
        most=most,
        **wanted,
    )
    return [_result(*row) for row in rows]


def result_of(db: Connection, preview: Preview, digest: bytes) -> Result | None:
    """The result for one image."""
    found = db.row(
        f"SELECT {_RESULT} FROM lifecycle_preview_result WHERE preview_key = :preview_key AND run = :run"
        " AND digest = :digest",
        preview_key=preview.key,
        run=preview.run,
        digest=digest,
    )
    return None if found is None else _result(*found)


def delete_results(db: Connection, preview_key: int, most: int) -> int:
    """Remove up to ``most`` results of a preview's runs; how many."""
    found = db.rows(
        "SELECT run, position FROM lifecycle_preview_result WHERE preview_key = :preview_key"
        " ORDER BY run, position LIMIT :most",
        preview_key=preview_key,
        most=most,
    )
    for run, position in found:
        db.run(
            "DELETE FROM lifecycle_preview_result WHERE preview_key = :preview_key AND run = :run"
            " AND position = :position",
            preview_key=preview_key,
            run=run,
            position=position,
        )
    return len(found)


def _delete_preview(db: Connection, preview_key: int) -> None:
    db.run("DELETE FROM lifecycle_preview WHERE id = :key", key=preview_key)


def purge(db: Connection, repository_key: int, most: int) -> bool:
    """Remove some of what is kept for a repository that goes; whether something was left."""
    preview = find_preview(db, repository_key)
    if preview is not None:
        if not delete_results(db, preview.key, most):
            _delete_preview(db, preview.key)
        return True
    if find_policy(db, repository_key) is not None:
        delete_policy(db, repository_key)
        return True
    return False


def _result(
    position: int, digest: bytes, tags: str, pushed_us: int, storage_class: str, priority: int, action: str
) -> Result:
    return Result(position, digest, tuple(orjson.loads(tags)), pushed_us, storage_class, priority, action)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy may know of an image, from its own row."""

    key: int
    digest: bytes
    pushed_us: int
    pulled_us: int | None
    ever_tagged: int
    status: str
    subject_digest: bytes | None
    archived_us: int | None
    activated_us: int | None


_RANGE = (
    " WHERE i.repository_key = :repository_key AND (i.pushed_us, i.digest) > (:after_us, :after_digest)"
    " AND (i.pushed_us, i.digest) <= (:until_us, :until_digest)"
)


def facts_after(db: Connection, repository_key: int, after: tuple[int, bytes], most: int) -> list[Facts]:
    """Facts of up to ``most`` images by push time and digest, after a position."""
    rows = db.rows(
        "SELECT i.id, i.digest, i.pushed_us, i.pulled_us, i.ever_tagged, i.status, i.subject_digest,"
        " i.archived_us, i.activated_us FROM image i WHERE i.repository_key = :repository_key"
        " AND (i.pushed_us, i.digest) > (:pushed_us, :digest) ORDER BY i.pushed_us, i.digest LIMIT :most",
        repository_key=repository_key,
        pushed_us=after[0],
        digest=after[1],
        most=most,
    )
    return [Facts(*row) for row in rows]


def tags_between(
    db: Connection, repository_key: int, after: tuple[int, bytes], until: tuple[int, bytes]
) -> list[tuple[int, str, int]]:
    """(image key, tag, when it was pointed there) of every tag of the images of a step."""
    rows = db.rows(
        f"SELECT t.image_key, t.name, t.moved_us FROM image i CROSS JOIN tag t{_RANGE} AND t.image_key = i.id",
        repository_key=repository_key,
        after_us=after[0],
        after_digest=after[1],
        until_us=until[0],
        until_digest=until[1],
    )
    return [(row[0], row[1], row[2]) for row in rows]


def members_between(
    db: Connection, repository_key: int, after: tuple[int, bytes], until: tuple[int, bytes]
) -> list[tuple[int, int]]:
    """(index, image that it names) of every index in a step, by key."""
    rows = db.rows(
        f"SELECT c.image_key, c.child_key FROM image i CROSS JOIN image_child c{_RANGE} AND c.image_key = i.id",
        repository_key=repository_key,
        after_us=after[0],
        after_digest=after[1],
        until_us=until[0],
        until_digest=until[1],
    )
    return [(row[0], row[1]) for row in rows]


def blobs_between(
    db: Connection, repository_key: int, after: tuple[int, bytes], until: tuple[int, bytes]
) -> list[tuple[int, int]]:
    """(image key, blob key) of every layer and config that the images of a step name."""
    rows = db.rows(
        "SELECT k.image_key, l.blob_key FROM image i CROSS JOIN image_layer k CROSS JOIN layer l"
        f"{_RANGE} AND k.image_key = i.id AND l.id = k.layer_key",
        repository_key=repository_key,
        after_us=after[0],
        after_digest=after[1],
        until_us=until[0],
        until_digest=until[1],
    )
    return [(row[0], row[1]) for row in rows]


def bytes_of_own(db: Connection, repository_key: int, blob_key: int) -> int:
    """The bytes of a blob that no image of another repository names; 0 where one does."""
    found = db.row(
        "SELECT b.size_bytes FROM blob b WHERE b.id = :blob_key AND NOT EXISTS (SELECT 1 FROM layer o"
        " JOIN repository r ON r.id = o.repository_key JOIN image_layer m ON m.layer_key = o.id"
        " WHERE o.blob_key = b.id AND o.repository_key <> :repository_key AND r.trashed_us IS NULL)",
        blob_key=blob_key,
        repository_key=repository_key,
    )
    return 0 if found is None else int(found[0])
