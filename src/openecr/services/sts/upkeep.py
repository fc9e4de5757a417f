"""Sessions of which nothing can live any more lose their rows."""

from functools import partial

from openecr.db import sessions
from openecr.db.connection import Connection, Database

_BATCH = 500


async def delete_due_sessions(database: Database, now_us: int) -> int:
    """Delete the sessions whose credentials and registry tokens are all past their end; how many."""
    deleted = 0
    while due := await database.read(lambda db: sessions.due(db, now_us, _BATCH)):
        await database.write(partial(_delete, due=due))
        deleted += len(due)
    return deleted


def _delete(db: Connection, due: list[int]) -> None:
    sessions.delete(db, due)
