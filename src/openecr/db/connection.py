"""What a decision may ask of a database, whichever it is."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]
T = TypeVar("T")


class Connection(Protocol):
    """An open transaction. Parameters are named (``:name``) and bound, never spliced into the text."""

    @property
    def asked(self) -> int:
        """How often the database itself was asked; what memory answered is not among it."""
        ...

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Every row of a query that is bounded to a page."""
        ...

    def row(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    def run(self, sql: str, **params: Any) -> int:
        """Run a change; the number of rows it touched."""
        ...

    def kept_row(
        self, scope: str, sql: str, *, unless: Callable[[Row], bool] | None = None, **params: Any
    ) -> Row | None:
        """The first row of a hot query, which an engine that is a round trip away may answer from memory, until
        a write forgets the scope; only for rows that nothing changes without forgetting it.

        Args:
            unless: which rows must be asked for every time.
        """
        ...

    def locked_row(self, of: str, sql: str, *, against_references: bool = False, **params: Any) -> Row | None:
        """The first row, held against other writers until the transaction ends.

        Args:
            of: the table, as the text names it, whose row is held.
            against_references: also against new rows that refer to it.
        """
        ...

    def free_rows(self, of: str, sql: str, **params: Any) -> list[Row]:
        """The rows that no other transaction holds, held until this one ends."""
        ...

    def forget(self, scope: str) -> None:
        """What is kept under a scope is false once this transaction commits; the write is answered after no server
        uses it any more."""
        ...

    def clock_us(self) -> int:
        """The one clock that leases and due times compare against: µs UTC."""
        ...


class Database(Protocol):
    """An engine: reads that are bounded run at once, writes are committed durably before their answer."""

    async def read(self, decide: Callable[[Connection], T], *, consistent: bool = True) -> T:
        """Run a bounded read; an embedded engine does it inline, without yielding.

        Args:
            consistent: its statements see one snapshot; a read that does not need that costs fewer round trips.
        """
        ...

    def write(self, decide: Callable[[Connection], T]) -> Awaitable[T]:
        """Run a decision in a write transaction; the answer waits for the durable commit."""
        ...

    def clock_us(self) -> int:
        """The clock that leases and due times compare against, µs UTC."""
        ...

    def trouble(self) -> str | None:
        """Why this server should get no requests now, or None."""
        ...

    async def close(self) -> None:
        """Finish the writes that wait, then let go of the database."""
        ...


class Raced(Exception):
    """Another transaction did meanwhile what this decision was about to do: the engine runs the decision again."""


class DatabaseUnusable(Exception):
    """The database cannot be opened or moved forward; the text is one sentence with the remedy."""
