"""One request of the dkr plane, and its answer, over bare ASGI."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from openecr.asgi import Receive
from openecr.errors import NotSupported
from openecr.origin import Origin

_MOST_PARAMETERS = 110


class ClientGone(Exception):
    """The client left before its request was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and a body that fits in memory."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    content_length: int | None = None
    """Where it differs from the body's: the answer to a HEAD."""


@dataclass(slots=True)
class Request:
    """What a handler reads of a request."""

    method: str
    name: str
    reference: str
    prefix: str
    headers: dict[bytes, bytes]
    query_string: str
    receive: Receive
    origin: Origin
    _query: dict[str, list[str]] | None = field(default=None)

    def header(self, name: bytes) -> str | None:
        """A header's value; the last where it is repeated."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters.

        Raises:
            NotSupported: there are more of them than any request needs.
        """
        if self._query is None:
            try:
                self._query = parse_qs(self.query_string, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
            except ValueError:
                raise NotSupported(message=f"The query has more than {_MOST_PARAMETERS} parameters") from None
        return self._query

    def parameter(self, name: str) -> str | None:
        """A query parameter's first value."""
        values = self.query.get(name)
        return values[0] if values else None

    @property
    def repository_path(self) -> str:
        """The repository's path on this server, as the client spelled it."""
        return f"/v2{self.prefix}/{self.name}"

    @property
    def content_length(self) -> int | None:
        """The body's length where the client tells it."""
        text = self.header(b"content-length")
        return int(text) if text is not None and text.isascii() and text.isdigit() else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            ClientGone: the client left before the end.
        """
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            if piece:
                yield piece
            if not message.get("more_body", False):
                return

    async def body(self, most_bytes: int) -> bytes | None:
        """The whole body, or None as soon as it is known to be longer than ``most_bytes``."""
        told = self.content_length
        if told is not None and told > most_bytes:
            return None
        gathered = bytearray()
        async for piece in self.pieces():
            gathered += piece
            if len(gathered) > most_bytes:
                return None
        return bytes(gathered)
