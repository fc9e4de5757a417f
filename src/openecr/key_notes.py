"""When access keys were last used: noted in memory, written in batches, so that using a key writes no row.

At most one note a minute per key is kept, of its last service and region (GetAccessKeyLastUsed promises no more), and a
crash loses at most the notes of one flush interval.
"""

import asyncio

from openecr.db import access_keys
from openecr.db.access_keys import KeyUse
from openecr.db.connection import Database

_AGAIN_AFTER_US = 60 * 1_000_000
_FLUSH_SECONDS = 5.0
_BATCH = 500
_MOST_REMEMBERED = 100_000


class KeyNotes:
    """One worker's notes."""

    def __init__(self) -> None:
        self._waiting: dict[str, KeyUse] = {}
        self._last: dict[tuple[str, str, str], int] = {}

    def note(self, access_key_id: str, service: str, region: str, now_us: int) -> None:
        """Remember that a key was used for a service in a region."""
        used = (access_key_id, service, region)
        if now_us - self._last.get(used, -_AGAIN_AFTER_US) >= _AGAIN_AFTER_US:
            self._last[used] = now_us
            self._waiting[access_key_id] = KeyUse(access_key_id, service, region, now_us)

    async def flush_forever(self, database: Database) -> None:
        """Write the notes down every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.flush(database)

    async def flush(self, database: Database) -> None:
        """Write down what waits."""
        if len(self._last) > _MOST_REMEMBERED:
            self._last.clear()
        while self._waiting:
            batch = [self._waiting.popitem()[1] for _ in range(min(_BATCH, len(self._waiting)))]
            await database.write(lambda db, batch=batch: access_keys.note_uses(db, batch))  # type: ignore[misc]
