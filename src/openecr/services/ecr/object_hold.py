"""Hold every object while many of them are read: collection goes on, deletion of objects waits (see db/holds.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from openecr.db import holds
from openecr.deployment import Deployment

_LEASE_US = 600 * 1_000_000
_RENEW_SECONDS = 60.0


class HoldLost(Exception):
    """The hold lapsed, because this process did not run for minutes: objects may be gone."""


@asynccontextmanager
async def held(deployment: Deployment) -> AsyncIterator[None]:
    """Hold until the end of the block.

    Raises:
        HoldLost: at the end of the block; what was read may not be whole.
    """
    database, holder = deployment.database, deployment.new_id()
    await database.write(partial(holds.take, holder=holder, lease_us=_LEASE_US))

    async def keep() -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            if not await database.write(partial(holds.renew, holder=holder, lease_us=_LEASE_US)):
                return

    keeping = asyncio.create_task(keep())
    try:
        yield
        if not await database.write(partial(holds.renew, holder=holder, lease_us=_LEASE_US)):
            raise HoldLost
    finally:
        keeping.cancel()
        await database.write(partial(holds.release, holder=holder))
