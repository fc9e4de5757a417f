"""The composition root: settings become database, blob store, keyring and planes. Only the commands import it."""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from openecr.application import Application
from openecr.blobs.opening import open_stores
from openecr.db.engines import open_database, require_schema
from openecr.db.sqlite import host_clock_us
from openecr.deployment import Deployment
from openecr.events import audit_record
from openecr.events.audit_log import AuditLog, folder_of
from openecr.events.auditing import Auditing, record_of
from openecr.key_notes import KeyNotes
from openecr.keyring import load_root_keys, open_keyring
from openecr.names import RegistryName
from openecr.pull_notes import PullNotes
from openecr.settings import Settings
from openecr.waiting_room import WaitingRoom


async def build(settings: Settings, *, base_url: str) -> Application:
    """Open a deployment that was migrated, and compose the application."""
    pulls, keys = PullNotes(), KeyNotes()
    deployment = await compose(settings, note_pull=pulls.note, note_key_use=keys.note, connected=True)
    now_us = deployment.now_us
    registry = RegistryName(settings.account_id, settings.region)
    audit_log = AuditLog(
        folder_of(settings.data_dir),
        now_us=now_us,
        record_of=record_of,
        lost=lambda count: audit_record.line_of_loss(count, now_us(), registry),
    )
    deployment = replace(deployment, audit=Auditing(audit_log.append))
    return Application(deployment, (pulls, keys), audit_log, base_url=base_url)


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
