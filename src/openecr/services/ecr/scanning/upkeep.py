"""What no image needs any more of what scans wrote down."""

from functools import partial

from openecr.db import inventories
from openecr.db.connection import Database

_STEP = 200


async def forget_unused(database: Database) -> int:
    """Forget packages that no image holds, with the verdicts on them; how many."""
    after = forgotten = 0
    while True:
        last, gone = await database.write(partial(inventories.forget_unused_packages, after=after, most=_STEP))
        forgotten += gone
        if last == after:
            return forgotten
        after = last
