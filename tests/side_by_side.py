"""Run the suites: unit tests first, then the others as two streams, for most of them wait more than they work.

    python -m tests.side_by_side [pytest's flags]

The second stream's output is shown when it ended. Exit status: 1 where any stream failed.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TESTS = Path(__file__).parent
_SECOND = ("faults", "many", "server")
"""What kills, cuts and restarts; everything else is in the first stream, and ends with real clients."""
_FLAGS = ("--durations=25", "--durations-min=1")


def suites() -> list[str]:
    """Every folder with tests."""
    return sorted({path.relative_to(_TESTS).parts[0] for path in _TESTS.rglob("test_*.py")})


def streams() -> tuple[list[str], list[str], list[str]]:
    """What runs first, and then at once."""
    rest = [name for name in suites() if name not in ("unit", "e2e", *_SECOND)]
    return ["unit"], [*rest, "e2e"], list(_SECOND)


def _command(names: list[str], flags: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *_FLAGS, *(f"tests/{name}" for name in names), *flags]


def main() -> int:
    """Run everything; what failed first does not keep the rest from running."""
    flags = sys.argv[1:]
    first, one, other = streams()
    began = time.monotonic()
    failed = subprocess.run(_command(first, flags), check=False).returncode != 0
    with tempfile.TemporaryFile() as output:
        beside = subprocess.Popen(_command(other, flags), stdout=output, stderr=subprocess.STDOUT)
        failed |= subprocess.run(_command(one, flags), check=False).returncode != 0
        failed |= beside.wait() != 0
        output.seek(0)
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    print(f"{'failed' if failed else 'passed'} in {(time.monotonic() - began) / 60:.1f} minutes")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
