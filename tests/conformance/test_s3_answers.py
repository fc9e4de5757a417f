"""Answers that a healthy store does not give: a listener on this machine gives them, byte for byte."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest

from openecr.blobs.s3 import S3Store
from openecr.blobs.s3_location import parse
from openecr.blobs.s3_uploads import HELD_BYTES, PART_BYTES
from openecr.blobs.store import StoreAway, StoreFailed
from openecr.errors import StorageFull


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """A store that refuses every PUT in one way; its location."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"s3://layers?endpoint=http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "QuotaExceeded", StorageFull),
        (507, "XMinioStorageFull", StorageFull),
        (507, "Whatever", StorageFull),
        (403, "AccessDenied", StoreFailed),
        (500, "InternalError", StoreAway),
        (503, "SlowDown", StoreAway),
        (404, "NoSuchBucket", StoreFailed),
    ],
)
def test_each_refusal_of_a_store_is_told_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, told: type[Exception]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    async def scenario(location: str) -> None:
        writer = await S3Store(parse(location)).open_writer(str(uuid4()), 0)
        writer.write(b"bytes")
        await writer.close()

    with answering(status, code) as location, pytest.raises(told) as raised:
        asyncio.run(scenario(location))
    assert raised.type is told


def test_a_completion_that_says_200_and_fails_in_its_body_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body: bytes, **headers: str) -> None:
            requests.append(f"{self.command} {self.path}")
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.answer(b"<Error><Code>InternalError</Code><Message>We encountered an error</Message></Error>")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        bucket = S3Store(parse(f"s3://layers?endpoint=http://127.0.0.1:{server.server_address[1]}")).bucket
        with pytest.raises(StoreFailed, match="InternalError"):
            bucket.complete(str(uuid4()), "upload", ['"etag"'])
    finally:
        server.shutdown()
        server.server_close()
    assert len(requests) == 4, "it was tried again, and then told"


def test_a_part_and_what_stays_out_of_parts_are_what_the_docs_say() -> None:
    assert PART_BYTES * 10_000 > 52_000 * 1024 * 1024
    assert HELD_BYTES == 1024 * 1024 + 64
