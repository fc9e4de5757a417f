"""What a decision may ask of a database, whichever it is."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]
T = TypeVar("T")


class Connection(Protocol):
    """An open transaction. Parameters are named (``:name``) and bound, never spliced into the text."""

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query that is bounded to a page."""
        ...

    def row(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    def run(self, sql: str, **params: Any) -> int:
        """Run a change; the number of rows it touched."""
        ...

    def clock_us(self) -> int:
        """The one clock that leases and due times compare against: µs UTC."""
        ...


class Database(Protocol):
    """An engine: reads that are bounded run at once, writes are committed durably before their answer."""

    async def read(self, decide: Callable[[Connection], T]) -> T:
        """Run a bounded read in one consistent snapshot; an embedded engine does it inline, without yielding."""
        ...

    def write(self, decide: Callable[[Connection], T]) -> Awaitable[T]:
        """Run a decision in a write transaction; the answer waits for the durable commit."""
        ...

    def clock_us(self) -> int:
        """The clock that leases and due times compare against, µs UTC."""
        ...

    async def close(self) -> None:
        """Finish the writes that wait, then let go of the database."""
        ...


class DatabaseUnusable(Exception):
    """The database cannot be opened or moved forward; the text is one sentence with the remedy."""
