"""Requests that get no answer: what a packet filter does to them on AWS, as near as a server can come.

The connection stays open, nothing is sent, and after a set time it ends. Held connections are bounded in number, and
are let go at once when the server is about to end.
"""

import asyncio
from contextlib import suppress

from openecr.asgi import Receive

MOST_HELD = 512
"""Connections that one process holds; what comes beyond them ends at once."""


class WaitingRoom:
    """The held requests of one process."""

    def __init__(self, seconds: float, most: int = MOST_HELD) -> None:
        self._seconds = seconds
        self._most = most
        self._held = 0
        self._closing: asyncio.Event | None = None

    @property
    def held(self) -> int:
        """How many wait now."""
        return self._held

    async def hold(self, receive: Receive) -> None:
        """Return when the client left, the time is over, or the server ends; whatever is still sent is thrown away."""
        if self._held >= self._most:
            return
        if self._closing is None:
            self._closing = asyncio.Event()
        self._held += 1
        waits = {asyncio.ensure_future(_until_gone(receive)), asyncio.ensure_future(self._closing.wait())}
        try:
            await asyncio.wait(waits, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._held -= 1
            for wait in waits:
                wait.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await wait

    def close(self) -> None:
        """Let everyone go, now and from now on."""
        if self._closing is None:
            self._closing = asyncio.Event()
        self._closing.set()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
