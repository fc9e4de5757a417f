"""What no image needs any more of what scans wrote down."""

from collections.abc import Sequence
from functools import partial

from openecr.db import inventories
from openecr.db.connection import Connection, Database

_STEP = 200


async def forget_unused(database: Database) -> int:
    """Forget packages that no image holds, with the verdicts on them; how many."""
    after = forgotten = 0
    while step := await database.read(partial(inventories.unused_packages, after=after, most=_STEP)):
        after = step[-1]
        forgotten += await database.write(partial(_forget, keys=step))
    return forgotten


def _forget(db: Connection, keys: Sequence[int]) -> int:
    return sum(inventories.forget_package(db, key) for key in keys)
