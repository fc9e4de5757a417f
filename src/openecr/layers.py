"""The layers plane: presigned GET of one blob, with ranges. It has the place that S3 has in ECR.

The URL is the right: no credentials are read here, and none are needed. What cannot be served is answered as S3 answers
it, in XML.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import structlog

from openecr.access import layer_urls
from openecr.asgi import Receive, Scope, Send
from openecr.blobs.store import ObjectMissing, StoreFailed, is_object_id
from openecr.call import Deployment
from openecr.db.layers import Blob, find_object
from openecr.names import Digest

_log = structlog.get_logger(__name__)
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class LayersPlane:
    """Answers ``/layers/{object id}``."""

    deployment: Deployment

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, path: str, headers: dict[bytes, bytes], request_id: str
    ) -> int:
        """Serve the object, whole or in part; the status sent."""
        if scope["method"] not in ("GET", "HEAD"):
            return await _refuse(send, 405, "MethodNotAllowed", "The specified method is not allowed.")
        object_id = path.rsplit("/", 1)[-1]
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        now_us = self.deployment.wall_us()
        digest = layer_urls.allows(self.deployment.keyring, object_id, query, now_us)
        if digest is None or not is_object_id(object_id):
            return await _refuse(send, 403, "AccessDenied", "The URL is not valid, or it has expired.")
        blob = await self.deployment.database.read(lambda db: find_object(db, object_id))
        if blob is None:
            return await _refuse(send, 404, "NoSuchKey", "The layer does not exist any more.")
        wanted = _range(headers.get(b"range"), blob.size_bytes)
        if wanted is None:
            return await _unsatisfiable(send, blob)
        return await self._send(scope, receive, send, blob, digest, wanted, request_id)

    async def _send(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        blob: Blob,
        digest: Digest,
        wanted: tuple[int, int, bool],
        request_id: str,
    ) -> int:
        start_byte, end_byte, partial = wanted
        path = self.deployment.blobs.path(blob.object_id)
        if path is not None and path.stat().st_size != blob.size_bytes:
            raise ObjectMissing(f"object {blob.object_id} does not hold the {blob.size_bytes} bytes of its row")
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(end_byte - start_byte).encode()),
            (b"accept-ranges", b"bytes"),
            (b"docker-content-digest", str(digest).encode()),
            (b"etag", f'"{digest}"'.encode()),
        ]
        if partial:
            headers.append((b"content-range", f"bytes {start_byte}-{end_byte - 1}/{blob.size_bytes}".encode()))
        status = 206 if partial else 200
        start = {"type": "http.response.start", "status": status, "headers": headers}
        if scope["method"] == "HEAD" or start_byte == end_byte:
            await send(start)
            await send({"type": "http.response.body", "body": b""})
        elif path is not None and not partial and "http.response.pathsend" in scope.get("extensions", {}):
            await send(start)
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            async with aclosing(self.deployment.blobs.read(blob.object_id, start_byte, end_byte)) as pieces:
                try:
                    first = await anext(pieces)  # a store that fails is told by the status, not by a broken answer
                except StoreFailed:
                    _log.exception("the store failed", request_id=request_id, object_id=blob.object_id)
                    return await _fail(send, request_id)
                await send(start)
                await _stream(receive, send, first, pieces)
        return status


async def _stream(receive: Receive, send: Send, first: bytes, pieces: AsyncGenerator[bytes, None]) -> None:
    """Send in pieces; stop when the client leaves, which only ``receive`` tells."""
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for piece in pieces:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _range(header: bytes | None, size_bytes: int) -> tuple[int, int, bool] | None:
    """(start, end, whether it is a part) of a single range; None where it cannot be satisfied.

    A header of another form, several ranges too, is as good as none (RFC 9110 §14.2).
    """
    found = _RANGE.fullmatch(header.decode("latin-1").strip()) if header is not None else None
    if found is None or not (found[1] or found[2]):
        return 0, size_bytes, False
    if not found[1]:
        length = min(int(found[2]), size_bytes)
        return (size_bytes - length, size_bytes, True) if length else None
    start_byte = int(found[1])
    last_byte = min(int(found[2]), size_bytes - 1) if found[2] else size_bytes - 1
    return (start_byte, last_byte + 1, True) if start_byte <= last_byte else None


async def _unsatisfiable(send: Send, blob: Blob) -> int:
    extra = (b"content-range", f"bytes */{blob.size_bytes}".encode())
    return await _refuse(send, 416, "InvalidRange", "The requested range is not satisfiable", extra)


async def _fail(send: Send, request_id: str) -> int:
    message = f"The layer cannot be read now. The log of the server has the reason under the request id {request_id}."
    return await _refuse(send, 503, "ServiceUnavailable", message)


async def _refuse(send: Send, status: int, code: str, message: str, *extra: tuple[bytes, bytes]) -> int:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    ).encode()
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status
