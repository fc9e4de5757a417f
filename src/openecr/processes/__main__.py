"""A child of ``openecr serve``: ``python -m openecr.processes worker|job``, told the rest on standard input."""

import sys

from openecr.processes import kinship
from openecr.processes.startup import Startup


def main() -> int:
    """Run as worker or job process until told to stop."""
    with open(0, "rb", buffering=0, closefd=False) as said:
        startup = Startup.from_line(said.readline())
    kinship.die_with(startup.parent_pid)
    # What takes time to import comes after: the parent may be gone already.
    from openecr.processes.children import run_job_process, run_worker

    return run_worker(startup) if sys.argv[1] == "worker" else run_job_process(startup)


sys.exit(main())
