"""Settings become a deployment: its database, blob stores and keyring. Planes come in ``application.build``."""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable

from openecr.blobs.opening import open_stores
from openecr.db.engines import open_database, require_schema
from openecr.db.sqlite import host_clock_us
from openecr.deployment import Deployment
from openecr.keyring import load_root_keys, open_keyring
from openecr.settings import Settings
from openecr.waiting_room import WaitingRoom


async def compose(
    settings: Settings,
    *,
    note_pull: Callable[[int, int], None] = lambda _key, _now_us: None,
    note_key_use: Callable[[str, str, str, int], None] = lambda _key_id, _service, _region, _now_us: None,
    connected: bool = False,
) -> Deployment:
    """Open the database, the blob stores and the keyring of a deployment that was migrated."""
    roots = load_root_keys(settings.data_dir, os.environ, create=False)
    blobs = open_stores(settings, connected=connected)
    database = await open_database(settings)
    try:
        await require_schema(database, settings)
        keyring = await database.read(lambda db: open_keyring(db, *roots))
    except BaseException:
        await database.close()
        raise
    return Deployment(
        settings=settings,
        database=database,
        blobs=blobs,
        keyring=keyring,
        now_us=database.clock_us,
        wall_us=host_clock_us,
        new_id=lambda: str(uuid.uuid4()),
        new_object_id=blobs.new_object_id,
        note_pull=note_pull,
        waiting_room=WaitingRoom(settings.vpc_timeout_seconds),
        note_key_use=note_key_use,
    )


@contextlib.asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Deployment]:
    """A deployment for one command, beside servers that may run meanwhile; closed at the end."""
    deployment = await compose(settings)
    try:
        yield deployment
    finally:
        await deployment.database.close()
