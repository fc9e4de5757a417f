"""Run the suites, two at a time, for most tests wait more than they work: unit tests first, then those that start
servers, the longest first.

    python -m tests.side_by_side [pytest's flags]

A suite's output is shown when it ended. Exit status: 1 where any suite failed.
"""

import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TESTS = Path(__file__).parent
_LONGEST_FIRST = ("unit", "api", "server", "e2e", "many", "faults")
_AT_ONCE = 2
_NONE_CHOSEN = 5
"""A suite's status where the flags choose none of its tests."""
_FLAGS = ("--durations=25", "--durations-min=1")


def suites() -> list[str]:
    """Every folder with tests, in the order in which they begin."""
    found = {path.relative_to(_TESTS).parts[0] for path in _TESTS.rglob("test_*.py")}
    return [*_LONGEST_FIRST, *sorted(found.difference(_LONGEST_FIRST))]


def main() -> int:
    """Run everything; what failed does not keep the rest from running."""
    flags = sys.argv[1:]
    printing = threading.Lock()
    began = time.monotonic()

    def status_of(name: str) -> int:
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            command = [sys.executable, "-m", "pytest", *_FLAGS, f"tests/{name}", *flags]
            status = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT).returncode
            output.seek(0)
            with printing:
                sys.stdout.buffer.write(output.read())
                print(f"tests/{name} took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
        return status

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        statuses = set(pool.map(status_of, suites()))
    passed = 0 in statuses and not statuses - {0, _NONE_CHOSEN}
    print(f"{'passed' if passed else 'failed'} in {(time.monotonic() - began) / 60:.1f} minutes")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
