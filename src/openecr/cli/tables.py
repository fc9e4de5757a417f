"""Tables on standard output: as wide as what is in them, so that no number is ever cut."""

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def table(first: str, *columns: str, numbers: bool = False) -> Table:
    """An empty table; its columns after the first hold numbers where it says so."""
    made = Table(first, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    return made


def show(shown: Table) -> None:
    """Print a table."""
    console = Console(markup=False)
    needed = Measurement.get(console, console.options.update(max_width=10_000), shown).maximum
    Console(width=max(needed, console.width), markup=False).print(shown, crop=False)


def plain(text: str) -> str:
    """A text of others as it may be shown: what would steer a terminal is spelled out."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
