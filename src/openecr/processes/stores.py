"""What is asked of the blob stores before anything uses them: that they work, and have this deployment's layers."""

from functools import partial
from uuid import uuid4

from openecr.blobs.opening import locations, open_stores
from openecr.db import deployment
from openecr.db.connection import Connection, Database
from openecr.settings import Settings

_STORE = "store:"


async def check_stores(settings: Settings, database: Database) -> None:
    """Check every store, and mark those that are new to the deployment.

    A store that is known by its name must have the deployment's mark: else a --blobs that was forgotten, or leads
    elsewhere, would part a deployment from its layers without a word.

    Raises:
        SettingsError: one sentence with the remedy.
    """
    places = locations(settings)
    mark = await database.write(_mark)
    for name, store in open_stores(settings).each().items():
        known = await database.read(partial(deployment.find, name=_STORE + name))
        await store.check(mark, is_marked=known is not None)
        if known != places[name]:
            await database.write(partial(deployment.put, name=_STORE + name, value=places[name]))


def _mark(db: Connection) -> str:
    found = deployment.find(db, deployment.MARK)
    if found is None:
        found = str(uuid4())
        deployment.put(db, deployment.MARK, found)
    return found
