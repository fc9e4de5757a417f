"""A job process with three kinds of work: ``poison`` kills it, as the kernel does to what takes all memory; ``good``
ends; ``hang`` does not, and leaves a file when it is made to."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openecr.db.engines import open_embedded
from openecr.jobs.worker import JobWorker


async def main(data_dir: Path, how: str) -> None:
    """Work until the poison is taken or nothing is owed (``once``), or forever (``on``)."""
    database = open_embedded(data_dir / "openecr.db")

    async def poison(_args: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def good(args: Mapping[str, Any]) -> None:
        # Slow enough to be cut down by a poison that runs beside it.
        await asyncio.sleep(0.5)
        with (data_dir / "good").open("a") as written:
            written.write(f"{args['number']}\n")

    async def hang(_args: Mapping[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            (data_dir / "ended").touch()

    handlers = {"poison": poison, "good": good, "hang": hang}
    worker = JobWorker(database, handlers, lease_seconds=60 if how == "once" else 3)
    if how == "on":
        await worker.run()
    await worker.tend()
    while await worker.start_due():
        await worker.drain()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
