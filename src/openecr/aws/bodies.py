"""Bodies of the api plane: read under a budget of bytes per worker, hashed while they arrive.

Who may make the server hold bytes is decided before (a known key id). A body waits for room before its first byte is
taken; large bodies never take the room that small ones need, so that a worker full of layer parts still answers
everything else. A client that stalls loses its place.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from openecr.asgi import Receive
from openecr.errors import RequestTimedOut, RequestTooLarge, Throttled

LIMIT_BYTES = 32 * 1024 * 1024
SMALL_BYTES = 64 * 1024
UNSIGNED_BUDGET_BYTES = 4 * 1024 * 1024
WAIT_SECONDS = 10.0
STALL_SECONDS = 20.0
LEAST_BYTES_PER_SECOND = 64 * 1024


class ClientLeft(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body and its SHA-256 in hex."""

    content: bytes
    sha256: str


class Budget:
    """Room for bodies, first come, first served."""

    def __init__(self, size_bytes: int) -> None:
        self._free = size_bytes
        self._size = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """Room that nobody holds."""
        return self._free

    @asynccontextmanager
    async def hold(self, wanted: int) -> AsyncIterator[None]:
        """Hold room for as long as the block runs.

        Raises:
            Throttled: no room came free in time, or there is less of it in all.
        """
        if wanted > self._size:
            raise Throttled
        if self._waiting or wanted > self._free:
            await self._wait(wanted)
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._admit()

    async def _wait(self, wanted: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (wanted, turn)
        self._waiting.append(entry)
        try:
            await asyncio.wait_for(asyncio.shield(turn), WAIT_SECONDS)
        except BaseException as error:
            if turn.done():
                self._free += wanted  # admitted in the moment that it gave up
            else:
                self._waiting.remove(entry)
            self._admit()
            if isinstance(error, TimeoutError):
                raise Throttled from None
            raise

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.set_result(None)


class Bodies:
    """Reads the bodies of one worker: small ones from an eighth of the budget, the others from the rest."""

    def __init__(self, budget_bytes: int) -> None:
        small = max(budget_bytes // 8, SMALL_BYTES)
        self._small = Budget(small)
        self._large = Budget(max(budget_bytes - small, LIMIT_BYTES))
        self._unsigned = Budget(UNSIGNED_BUDGET_BYTES)

    @asynccontextmanager
    async def read(
        self, receive: Receive, announced_bytes: int | None, *, unsigned: bool = False
    ) -> AsyncIterator[Body]:
        """The body, held in the budget until the block ends.

        Args:
            unsigned: nobody is known to send it: it is small, and takes no room from those who are known.

        Raises:
            RequestTooLarge: more than the api plane takes, announced or sent.
            Throttled: no room for it.
            RequestTimedOut: the client stalled.
            ClientLeft: the client closed the connection.
        """
        limit = SMALL_BYTES if unsigned else LIMIT_BYTES
        most = limit if announced_bytes is None else announced_bytes
        if most > limit:
            raise RequestTooLarge(limit_bytes=limit)
        budget = self._unsigned if unsigned else self._small if most <= SMALL_BYTES else self._large
        async with budget.hold(most):
            yield await _receive_all(receive, most)


async def _receive_all(receive: Receive, most: int) -> Body:
    loop = asyncio.get_running_loop()
    started = loop.time()
    digest = hashlib.sha256()
    pieces: list[bytes] = []
    received = 0
    while True:
        deadline = started + STALL_SECONDS + received / LEAST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise RequestTimedOut from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        received += len(piece)
        if received > most:
            raise RequestTooLarge(limit_bytes=most)
        if piece:
            digest.update(piece)
            pieces.append(piece)
        if not message.get("more_body", False):
            return Body(b"".join(pieces), digest.hexdigest())
