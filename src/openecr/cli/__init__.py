"""The command ``openecr``: one file per command."""

import sys

OLDEST_PYTHON = (3, 11)


def main() -> int:
    """Run the command line; the exit status."""
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        print(
            f"openecr: this is Python {sys.version.split()[0]}; install Python {needed} or newer and use that",
            file=sys.stderr,
        )
        return 2
    # After the check: the rest of openecr cannot even be parsed by an older Python.
    from openecr.cli.application import run

    return run()
