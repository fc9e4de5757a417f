"""Commands of real clients, each with its own environment."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shell:
    """Where commands run: the variables on top of this process's own, and the folder."""

    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/tmp")

    def with_variables(self, **variables: str) -> "Shell":
        """The same place with more variables."""
        return replace(self, variables={**self.variables, **variables})

    def run(self, *command: str | Path, stdin: str | None = None, folder: Path | None = None) -> str:
        """Run a command that must succeed; its standard output."""
        return self._succeed(command, stdin, folder).stdout

    def both(self, *command: str | Path, stdin: str | None = None, folder: Path | None = None) -> str:
        """Run a command that must succeed; everything that it printed."""
        done = self._succeed(command, stdin, folder)
        return done.stdout + done.stderr

    def fail(self, *command: str | Path, stdin: str | None = None, folder: Path | None = None) -> str:
        """Run a command that must fail; what it printed."""
        done = self._finish(command, stdin, folder)
        if done.returncode == 0:
            raise AssertionError(f"{command} succeeded:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def _succeed(
        self, command: tuple[str | Path, ...], stdin: str | None, folder: Path | None
    ) -> subprocess.CompletedProcess[str]:
        done = self._finish(command, stdin, folder)
        if done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def _finish(
        self, command: tuple[str | Path, ...], stdin: str | None, folder: Path | None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DOCKER_"))}
        return subprocess.run(
            [str(word) for word in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder or self.folder,
            env={**kept, **self.variables},
        )
