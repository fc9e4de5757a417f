"""Events are kept for a time."""

from functools import partial

from openecr.db import events
from openecr.db.connection import Database
from openecr.settings import Settings

_DAY_US = 86_400 * 1_000_000
_STEP = 1000


async def forget_old(database: Database, settings: Settings, now_us: int) -> None:
    """Remove what happened longer ago than ``event_days``."""
    before_us = now_us - settings.event_days * _DAY_US
    while await database.write(partial(events.forget_before, at_us=before_us, most=_STEP)) == _STEP:
        pass
