"""Which modules a command loads: its own, and none of the others'."""

import subprocess
import sys

TYPED = """
import sys
from openecr.cli.application import COMMANDS, run
sys.argv = ["openecr", "gc", "--help"]
assert run() == 0
others = {place.split(":")[0] for name, place in COMMANDS.items() if name != "gc"} - {"gc"}
print("loaded:", sorted(module for module in others if f"openecr.cli.{module}" in sys.modules))
"""


def test_a_command_does_not_load_the_others() -> None:
    done = subprocess.run([sys.executable, "-c", TYPED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
