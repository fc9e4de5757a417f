"""What is asked of the blob stores before anything uses them: that they work, and have this deployment's layers."""

from functools import partial
from uuid import uuid4

from openecr.blobs.opening import locations, open_stores
from openecr.blobs.store import StoreUnmarked
from openecr.db import deployment
from openecr.db.connection import Connection, Database
from openecr.settings import Settings, SettingsError


async def check_stores(settings: Settings, database: Database) -> None:
    """Check every store, and mark those that are new to the deployment.

    A store that is known by its name must have the deployment's mark: else a --blobs that was forgotten, or leads
    elsewhere, would part a deployment from its layers without a word.

    Raises:
        SettingsError: one sentence with the remedy.
    """
    places = locations(settings)
    await database.write(name_once)
    for name, store in open_stores(settings).each().items():
        mark, known, was_moved = await database.read(partial(_known, store=name))
        try:
            await store.check(mark, is_marked=known is not None)
        except StoreUnmarked:
            if not was_moved or known == places[name]:
                raise
            raise SettingsError(
                f"the layers of this deployment were moved to {known}, and {places[name]} has not those of after; "
                "give the new place with --blobs, or OPENECR_BLOBS"
            ) from None
        if known != places[name]:
            await database.write(partial(deployment.put_place, store=name, place=places[name]))


def name_once(db: Connection) -> None:
    """Give the deployment the name that it leaves in its stores, where it has none."""
    # Of several servers that start on a new deployment at once, one names it; else a store could have the name of one
    # and the database that of another.
    deployment.lock(db)
    if deployment.find(db, deployment.MARK) is None:
        deployment.put(db, deployment.MARK, str(uuid4()))


def _known(db: Connection, store: str) -> tuple[str, str | None, bool]:
    """(mark, place, whether layers were moved there) of a store."""
    mark = deployment.mark_of(db, store)
    assert mark is not None  # noqa: S101 - the deployment has its own before
    return mark, deployment.place_of(db, store), deployment.was_moved(db, store)
