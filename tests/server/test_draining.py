"""A server that is told to stop finishes what it has begun."""

import base64
import hashlib
import signal
import socket
from pathlib import Path

from tests.registry_client import RegistryClient
from tests.running import Server, running
from tests.server.watching import children, wait_for

PIECE = b"x" * 100_000


def begin_patch(server: Server, client: RegistryClient, location: str, length: int) -> socket.socket:
    """Send the head of a PATCH and the first piece of its body."""
    credentials = base64.b64encode(f"AWS:{client.password}".encode()).decode()
    connection = socket.create_connection(("localhost", server.port), timeout=60)
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + PIECE)
    return connection


def path_of(location: str) -> str:
    return location if location.startswith("/") else "/" + location.split("/", 3)[3]


def test_upload_in_flight_finishes_and_is_resumed_after_the_restart(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.client("ecr").create_repository(repositoryName="drained")
        client = RegistryClient(server.port, server.password())
        begun = client.request("POST", "/v2/drained/blobs/uploads/")
        assert begun.status == 202
        location = path_of(begun.headers["location"])
        with begin_patch(server, client, location, 2 * len(PIECE)) as connection:
            idle = socket.create_connection(("localhost", server.port), timeout=10)
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not children(server.data_dir, "job"), "the stop is under way")
            connection.sendall(PIECE)
            assert connection.recv(4096).startswith(b"HTTP/1.1 202")
            idle.close()
        assert server.process.wait(timeout=60) == 0
        server.start()
        content = PIECE * 2
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        done = client.request("PUT", f"{location}?digest={digest}")
        assert done.status == 201, done
        assert client.pull_blob("drained", digest).body == content
