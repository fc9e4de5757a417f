"""Work that keeps promises in the background: uploads expire, discarded objects go."""

from functools import partial

from openecr.blobs.store import BlobStore
from openecr.db import uploads
from openecr.db.connection import Connection, Database
from openecr.settings import Settings

_BATCH = 200
_GRACE_US = 3600 * 1_000_000


async def expire_uploads(database: Database, settings: Settings) -> int:
    """End uploads that nobody continued in time, in bounded batches; how many."""
    total = 0
    while ended := await database.write(lambda db: expire_some(db, settings, db.clock_us())):
        total += ended
    return total


def expire_some(db: Connection, settings: Settings, now_us: int) -> int:
    """End a batch of the uploads whose time is over; how many."""
    due = uploads.untouched_since(db, now_us - settings.upload_expiry_seconds * 1_000_000, now_us, _BATCH)
    for key, object_id in due:
        uploads.discard_object(db, object_id, now_us + _GRACE_US)
        uploads.delete(db, key)
    return len(due)


async def delete_discarded_objects(database: Database, blobs: BlobStore) -> int:
    """Delete objects that no row names, each before its own row: a crash in between deletes it again; how many."""
    total = 0
    while due := await database.read(lambda db: uploads.discarded_objects(db, db.clock_us(), _BATCH)):
        await blobs.delete_many(due)
        await database.write(partial(_forget, object_ids=due))
        total += len(due)
    return total


def _forget(db: Connection, object_ids: list[str]) -> None:
    for object_id in object_ids:
        uploads.forget_object(db, object_id)
