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

from openecr.access import layer_policies, layer_urls
from openecr.access.networks import Asked, Way
from openecr.addressing import Arrival
from openecr.asgi import Receive, Scope, Send
from openecr.blobs.store import BlobStore, ObjectMissing, StoreFailed, is_object_id
from openecr.db import kms
from openecr.db.layers import Blob, find_object
from openecr.deployment import Deployment
from openecr.encryption import key_arn_of, require_usable
from openecr.errors import DatabaseAway, KmsRefused, NotReachable, Unanswered
from openecr.events.trail import LAYERS, Refused, Trail
from openecr.names import Digest, RegistryName

_log = structlog.get_logger(__name__)
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class LayersPlane:
    """Answers ``/layers/{object id}``."""

    deployment: Deployment

    async def answer(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> int:
        """Serve the object, whole or in part, and record it; the status sent."""
        trail = _trail(scope, arrival, self.deployment.now_us())
        status = 500
        try:
            status = await self._reach(scope, receive, send, arrival)
        finally:
            if status >= 400:
                trail.events[0].error = Refused(_CODES.get(status, "InternalError"))
            self.deployment.audit.finish(trail)
        return status

    async def _reach(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> int:
        """Serve it to whoever comes by a way that leads here."""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        region = arrival.address.layers_region or query.get("region", arrival.address.registry.region)
        asked = Asked(arrival.source_address, arrival.listener, "s3", region, arrival.address.vpc_endpoint_id)
        try:
            way = await self.deployment.way(asked, receive)
        except NotReachable as refused:
            return await _refuse(send, refused.status, "AccessDenied", refused.message)
        except (DatabaseAway, Unanswered) as away:
            return await _refuse(send, away.status, "ServiceUnavailable", away.message)
        return await self._answer(scope, receive, send, arrival, query, region, way)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        arrival: Arrival,
        query: dict[str, str],
        region: str,
        way: Way,
    ) -> int:
        if scope["method"] not in ("GET", "HEAD"):
            return await _refuse(send, 405, "MethodNotAllowed", "The specified method is not allowed.")
        object_id = arrival.address.path.rsplit("/", 1)[-1]
        now_us = self.deployment.wall_us()
        digest = layer_urls.allows(self.deployment.keyring, object_id, query, now_us)
        # A bucket's host name serves its own region alone: else the URL's endpoint and its policy could be gone around.
        is_elsewhere = arrival.address.layers_region not in (None, query.get("region"))
        if digest is None or is_elsewhere or not is_object_id(object_id):
            return await _refuse(send, 403, "AccessDenied", "The URL is not valid, or it has expired.")
        user_agent = arrival.headers.get(b"user-agent", b"").decode("latin-1")[:1024]
        weighed = layer_policies.verdict(
            way, region=region, object_id=object_id, now_us=now_us, secure=arrival.secure, user_agent=user_agent
        )
        if weighed is not None and not weighed.allowed:
            return await _refuse(send, 403, "AccessDenied", layer_policies.denial(region, object_id, weighed))
        try:
            blob = await self.deployment.database.read(lambda db: find_object(db, object_id), consistent=False)
        except DatabaseAway as away:
            return await _refuse(send, away.status, "ServiceUnavailable", away.message)
        if blob is None:
            return await _refuse(send, 404, "NoSuchKey", "The layer does not exist any more.")
        wanted = _range(arrival.headers.get(b"range"), blob.size_bytes)
        if wanted is None:
            return await _unsatisfiable(send, blob)
        try:
            await self._require_key(blob)
            store = await self.deployment.store_of(blob.data_key)
        except KmsRefused as refused:
            return await _refuse(send, 400, f"KMS.{refused.fields['kms_error']}", refused.message)
        return await self._send(scope, receive, send, _Served(store, blob, digest, *wanted), arrival.request_id)

    async def _require_key(self, blob: Blob) -> None:
        """Refuse a layer whose KMS key may not be used, encrypted already or not, however old the URL is."""
        key_arn = key_arn_of(blob.encryption_key)
        if key_arn is not None:
            require_usable(key_arn, await self.deployment.database.read(lambda db: kms.state_of(db, key_arn)))

    async def _send(self, scope: Scope, receive: Receive, send: Send, served: "_Served", request_id: str) -> int:
        blob, start_byte, end_byte = served.blob, served.start_byte, served.end_byte
        path = served.store.path(blob.object_id)
        if path is not None and path.stat().st_size != blob.size_bytes:
            raise ObjectMissing(f"object {blob.object_id} does not hold the {blob.size_bytes} bytes of its row")
        head_only = scope["method"] == "HEAD" or start_byte == end_byte
        whole_file = path is not None and not served.partial and "http.response.pathsend" in scope.get("extensions", {})
        pieces = served.store.read(blob.object_id, start_byte, end_byte)
        # Damage in the first piece can still be told with a status.
        try:
            first = b"" if head_only or whole_file else await anext(pieces)
        except StoreFailed:
            _log.exception("the store failed", request_id=request_id, object_id=blob.object_id)
            return await _fail(send, request_id)
        await send({"type": "http.response.start", "status": served.status, "headers": served.headers})
        if head_only:
            await send({"type": "http.response.body", "body": b""})
        elif whole_file:
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            await self._stream(receive, send, first, pieces)
        return served.status

    async def _stream(self, receive: Receive, send: Send, first: bytes, pieces: AsyncGenerator[bytes, None]) -> None:
        """Send in pieces; stop when the client leaves, which only ``receive`` tells.

        Bytes that are not what was written end the answer before them: the error goes on to the server, which closes
        the connection, so that nobody takes the answer for complete.
        """
        gone = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            async with aclosing(pieces):
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in pieces:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


@dataclass(frozen=True, slots=True)
class _Served:
    """What is sent: a range of a blob, from the store that can read it."""

    store: BlobStore
    blob: Blob
    digest: Digest
    start_byte: int
    end_byte: int
    partial: bool

    @property
    def status(self) -> int:
        """200, or 206 for a part."""
        return 206 if self.partial else 200

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What is said of the bytes."""
        found = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(self.end_byte - self.start_byte).encode()),
            (b"accept-ranges", b"bytes"),
            (b"docker-content-digest", str(self.digest).encode()),
            (b"etag", f'"{self.digest}"'.encode()),
        ]
        if self.partial:
            told = f"bytes {self.start_byte}-{self.end_byte - 1}/{self.blob.size_bytes}"
            found.append((b"content-range", told.encode()))
        return found


def _trail(scope: Scope, arrival: Arrival, now_us: int) -> Trail:
    """The audit trail of a request here: S3's GetObject on ECR's bucket, by whoever has the URL."""
    user_agent = arrival.headers.get(b"user-agent", b"").decode("latin-1")[:1024]
    region = arrival.address.layers_region or arrival.address.registry.region
    registry = RegistryName(arrival.address.registry.account_id, region)
    trail = Trail(LAYERS, arrival.request_id, now_us, arrival.source_address, user_agent, registry)
    trail.vpc_endpoint_id = arrival.address.vpc_endpoint_id
    object_id = arrival.address.path.rsplit("/", 1)[-1]
    parameters = {"bucketName": f"prod-{region}-starport-layer-bucket"}
    if is_object_id(object_id):
        parameters["key"] = object_id
    trail.begin("s3", "HeadObject" if scope["method"] == "HEAD" else "GetObject", parameters)
    return trail


_CODES = {
    400: "KMS.DisabledException",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    416: "InvalidRange",
    503: "ServiceUnavailable",
}


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
