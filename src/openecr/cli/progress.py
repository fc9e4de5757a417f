"""Progress of long commands: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class Bar:
    """How many bytes of how many."""

    def __init__(self, progress: Progress, about: str, total_bytes: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(about, total=total_bytes)

    def expect(self, total_bytes: int) -> None:
        """Say how many bytes there are, once that is known."""
        self._progress.update(self._task, total=total_bytes)

    def advance(self, size_bytes: int) -> None:
        """So many bytes more are done."""
        self._progress.advance(self._task, size_bytes)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def bar(about: str, total_bytes: int | None = None) -> Iterator[Bar]:
    """A bar on standard error while it is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown) as progress:
        yield Bar(progress, about, total_bytes)
