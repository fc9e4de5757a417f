"""When images were last pulled: noted in memory, written in batches, so that a pull writes no row.

At most one note a minute per image is kept (ECR refreshes ``lastRecordedPullTime`` no oftener than it must), and a
crash loses at most the notes of one flush interval.
"""

import asyncio

from openecr.db import images
from openecr.db.connection import Database

_AGAIN_AFTER_US = 60 * 1_000_000
_FLUSH_SECONDS = 5.0
_BATCH = 500
_MOST_REMEMBERED = 100_000


class PullNotes:
    """One worker's notes."""

    def __init__(self) -> None:
        self._waiting: dict[int, int] = {}
        self._last: dict[int, int] = {}

    def note(self, image_key: int, now_us: int) -> None:
        """Remember a pull."""
        if now_us - self._last.get(image_key, -_AGAIN_AFTER_US) >= _AGAIN_AFTER_US:
            self._last[image_key] = now_us
            self._waiting[image_key] = now_us

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
            batch = [self._waiting.popitem() for _ in range(min(_BATCH, len(self._waiting)))]
            await database.write(lambda db, batch=batch: images.note_pulls(db, batch))  # type: ignore[misc]
