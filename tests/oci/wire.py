"""Bytes over a socket, for requests that no well-behaved client library would send."""

import contextlib
import socket
from dataclasses import dataclass

from tests.registry_client import Answer


@dataclass(frozen=True)
class Wire:
    """One connection per request, spelled out byte by byte."""

    port: int
    timeout_seconds: float = 60

    def connect(self) -> socket.socket:
        """An open connection."""
        connection = socket.create_connection(("localhost", self.port), timeout=self.timeout_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, request: bytes) -> Answer | None:
        """Send the bytes and read to the end; None where the server closed without an answer."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer | None:
    """One answer; the body is as long as the answer says."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = _receive(connection)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wanted = int(headers.get("content-length", "0"))
    while len(body) < wanted:
        piece = _receive(connection)
        if not piece:
            break
        body += piece
    return Answer(int(status_line.split(" ")[1]), headers, body)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
