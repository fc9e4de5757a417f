"""A small keep-alive registry client: raw HTTP, nothing between the bench and the server that could cost time.

One ``Client`` is one connection; threads each take their own. Every answer's status is checked, so that a server that
fails fast never looks fast.
"""

import hashlib
import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from bench.content import Image

_TIMEOUT_SECONDS = 600
_PIECE_BYTES = 1024 * 1024
_OCTETS = {"Content-Type": "application/octet-stream"}


class UnexpectedAnswerError(Exception):
    """A server answered something else than the measurement needs."""


class Address(Protocol):
    """What the client needs to know of a server."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body read to the end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Client:
    """One keep-alive connection to a server, with its credentials on every request."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._base = f"http://{server.host}:{server.port}"
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(
        self,
        method: str,
        target: str,
        expected: Iterable[int],
        body: bytes | memoryview | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """Send one request and read the whole answer; an answer with another status is an error."""
        response = self._send(method, target, body, headers, chunked=chunked)
        return self._checked(method, target, expected, response, response.read())

    def _send(
        self,
        method: str,
        target: str,
        body: bytes | memoryview | Iterator[bytes] | None,
        headers: Mapping[str, str] | None,
        *,
        chunked: bool = False,
    ) -> http.client.HTTPResponse:
        sent = {**self._server.headers, **(headers or {})}
        if chunked:
            sent["Transfer-Encoding"] = "chunked"
        elif body is None and method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = "0"
        self._connection.request(method, self._on_this_server(target), body, sent, encode_chunked=chunked)
        return self._connection.getresponse()

    def _on_this_server(self, target: str) -> str:
        """Path and query of a target; a Location may name this server in another way (localhost)."""
        parts = urlsplit(urljoin(self._base, target))
        if parts.port != self._server.port:
            raise UnexpectedAnswerError(f"the server sends its client elsewhere: {target}")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @staticmethod
    def _checked(
        method: str, target: str, expected: Iterable[int], response: http.client.HTTPResponse, body: bytes
    ) -> Answer:
        if response.status not in expected:
            raise UnexpectedAnswerError(f"{method} {target} answered {response.status}: {body[:300]!r}")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    # -- blobs ---------------------------------------------------------------------------------------------------

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob (HEAD)."""
        return self.request("HEAD", f"/v2/{repository}/blobs/{digest}", (200, 307, 404)).status != 404

    def push_blob(
        self, repository: str, digest: str, content: bytes | memoryview, *, chunk_bytes: int | None = None
    ) -> None:
        """Push a blob as Docker does: POST, one PATCH with all the bytes, PUT.

        With ``chunk_bytes`` the PATCH is sent with chunked transfer encoding in pieces of that size.
        """
        location = self._begin_upload(repository)
        if chunk_bytes is None:
            answer = self.request("PATCH", location, (201, 202), content, _OCTETS)
        else:
            pieces = _pieces(memoryview(content), chunk_bytes)
            answer = self.request("PATCH", location, (201, 202), pieces, _OCTETS, chunked=True)
        self._end_upload(answer.headers.get("location", location), digest)

    def push_blob_file(self, repository: str, digest: str, path: Path) -> None:
        """Push a file as a blob, its bytes sent by the kernel so that the client costs nothing."""
        location = self._on_this_server(self._begin_upload(repository))
        connection = self._connection
        connection.putrequest("PATCH", location)
        for name, value in {**self._server.headers, **_OCTETS}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(path.stat().st_size))
        connection.endheaders()
        with path.open("rb") as file:
            connection.sock.sendfile(file)
        response = connection.getresponse()
        answer = self._checked("PATCH", location, (201, 202), response, response.read())
        self._end_upload(answer.headers.get("location", location), digest)

    def _begin_upload(self, repository: str) -> str:
        return self.request("POST", f"/v2/{repository}/blobs/uploads/", (202,)).headers["location"]

    def _end_upload(self, location: str, digest: str) -> None:
        separator = "&" if "?" in location else "?"
        self.request("PUT", f"{location}{separator}digest={digest}", (201,))

    def blob_digest(self, repository: str, digest: str) -> str:
        """Pull a blob, follow the redirect, and return the digest of the bytes that came."""
        target = f"/v2/{repository}/blobs/{digest}"
        response = self._send("GET", target, None, None)
        if response.status == 307:
            target = response.headers["location"]
            response.read()
            response = self._send("GET", target, None, None)
        if response.status != 200:
            raise UnexpectedAnswerError(f"GET {target} answered {response.status}: {response.read()[:300]!r}")
        hashed = hashlib.sha256()
        while piece := response.read(_PIECE_BYTES):
            hashed.update(piece)
        return f"sha256:{hashed.hexdigest()}"

    # -- manifests -----------------------------------------------------------------------------------------------

    def push_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str) -> None:
        """Push a manifest under a tag or a digest."""
        self.request("PUT", f"/v2/{repository}/manifests/{reference}", (201,), manifest, {"Content-Type": media_type})

    def push_image(self, repository: str, image: Image, tag: str) -> None:
        """Push an image as Docker does: ask for each blob, push those that are missing, then the manifest."""
        for digest, content in image.blobs.items():
            if not self.has_blob(repository, digest):
                self.push_blob(repository, digest, content)
        self.push_manifest(repository, tag, image.manifest, image.media_type)

    def pull_manifest(self, repository: str, reference: str, media_type: str) -> bytes:
        """Pull a manifest."""
        return self.request("GET", f"/v2/{repository}/manifests/{reference}", (200,), None, {"Accept": media_type}).body

    # -- tags ----------------------------------------------------------------------------------------------------

    def tag_pages(self, repository: str, page_tags: int | None = None) -> Iterator[list[str]]:
        """The pages of a repository's tags, each by following the Link of the one before."""
        target = f"/v2/{repository}/tags/list" + (f"?n={page_tags}" if page_tags else "")
        while True:
            answer = self.request("GET", target, (200,))
            yield json.loads(answer.body)["tags"] or []
            link = answer.headers.get("link", "")
            if 'rel="next"' not in link:
                return
            target = urljoin(urljoin(self._base, target), link[link.index("<") + 1 : link.index(">")])


def _pieces(content: memoryview, piece_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(content), piece_bytes):
        yield bytes(content[start : start + piece_bytes])


def push_many_manifests(
    server: Address, repository: str, manifests: Iterable[tuple[str, bytes]], media_type: str, connections: int
) -> None:
    """Push (reference, manifest) pairs over several connections at once."""
    pairs = iter(manifests)
    batches = iter(partial(_next_batch, pairs), [])

    def push_batch(client: Client, batch: list[tuple[str, bytes]]) -> None:
        for reference, manifest in batch:
            client.push_manifest(repository, reference, manifest, media_type)

    clients = [Client(server) for _ in range(connections)]
    try:
        with ThreadPoolExecutor(connections) as pool:
            while wave := [batch for _, batch in zip(clients, batches, strict=False)]:
                list(pool.map(push_batch, clients, wave))
    finally:
        for client in clients:
            client.close()


def _next_batch(pairs: Iterator[tuple[str, bytes]], batch_pairs: int = 250) -> list[tuple[str, bytes]]:
    return [pair for _, pair in zip(range(batch_pairs), pairs, strict=False)]


def wait_for(server: Address, path: str) -> bool:
    """Whether a server answers 200 (or asks for credentials) at a path."""
    try:
        with Client(server) as client:
            client.request("GET", path, (200, 401))
    except (OSError, UnexpectedAnswerError, http.client.HTTPException):
        return False
    return True


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
