"""The clients of the storm measurement, a process of its own: ``python -m bench.storm_client`` with an order on stdin.

One loop over epoll drives all connections. Each client is a generator that yields when it would block. Bodies are
counted and dropped inside the kernel (MSG_TRUNC), which leaves nearly all of the machine to the server.
"""

import json
import re
import resource
import selectors
import socket
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_ROOM = bytearray(1024 * 1024)
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation:\s*(\S+)", re.IGNORECASE)

Steps = Generator[int, None, None]


@dataclass(frozen=True, slots=True)
class Pull:
    """One GET: where, with which headers, and how many bytes must come."""

    path: str
    headers: bytes
    size_bytes: int


class PullFailedError(Exception):
    """A server answered something else than a pull needs."""


def _client(connection: socket.socket, pulls: list[Pull]) -> Steps:
    """Everything that one client does, yielding the event that it waits for."""
    yield selectors.EVENT_WRITE
    for pull in pulls:
        path = pull.path
        while True:
            connection.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\n" + pull.headers + b"\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                yield selectors.EVENT_READ
                received = connection.recv(4096)
                if not received:
                    raise PullFailedError(f"{path}: the server closed the connection")
                head += received
            head, _, body = head.partition(b"\r\n\r\n")
            status = int(head[9:12])
            length = _LENGTH.search(head)
            if length is None or status not in (200, 307):
                raise PullFailedError(f"{path}: {head.decode(errors='replace')}")
            left_bytes = int(length[1]) - len(body)
            while left_bytes:
                yield selectors.EVENT_READ
                count = connection.recv_into(_ROOM, min(left_bytes, len(_ROOM)), socket.MSG_TRUNC)
                if not count:
                    raise PullFailedError(f"{path}: the server closed the connection in mid-body")
                left_bytes -= count
            if status == 200:
                if int(length[1]) != pull.size_bytes:
                    raise PullFailedError(f"{path}: {int(length[1])} bytes instead of {pull.size_bytes}")
                break
            location = _LOCATION.search(head)
            if location is None:
                raise PullFailedError(f"{path}: a redirect without a location")
            parts = urlsplit(location[1].decode())
            if parts.port not in (None, connection.getpeername()[1]):
                raise PullFailedError(f"{path}: redirected to another server: {location[1].decode()}")
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path


def _storm(host: str, port: int, clients: int, pulls: list[Pull]) -> dict[str, float]:
    """One storm: connect all clients, pull everything, and say what it took."""
    selector = selectors.DefaultSelector()
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    for _ in range(clients):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        connection.connect_ex((host, port))
        steps = _client(connection, pulls)
        selector.register(connection, next(steps), (connection, steps))
    while selector.get_map():
        for key, _ in selector.select():
            connection, steps = key.data
            try:
                wanted = next(steps)
            except StopIteration:
                selector.unregister(connection)
                connection.close()
                continue
            if wanted != key.events:
                selector.modify(connection, wanted, key.data)
    wall_seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": wall_seconds, "client_cpu_seconds": cpu_seconds}


def main() -> None:
    """Read the order, run the storms, write the results."""
    order: dict[str, Any] = json.load(sys.stdin)
    common = "".join(f"{name}: {value}\r\n" for name, value in order["headers"].items())
    common = f"Host: {order['host']}:{order['port']}\r\n{common}"
    manifest = order["manifest"]
    pulls = [Pull(manifest["path"], f"{common}Accept: {manifest['accept']}\r\n".encode(), manifest["size"])]
    pulls += [Pull(blob["path"], common.encode(), blob["size"]) for blob in order["blobs"]]
    results = [_storm(order["host"], order["port"], order["clients"], pulls) for _ in range(order["storms"])]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
