"""Uploads whose client or worker vanishes, stalls or lies."""

import base64
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openecr.blobs.encrypted import SEGMENT_BYTES
from tests.faults.processes import children, holders_of
from tests.faults.store_check import broken_promises, unnamed_objects
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server, free_port
from tests.waiting import wait_until

CONTENT = os.urandom(3_000_000)
HALF = 1_500_000
GATHERED = 256 * 1024 + SEGMENT_BYTES
"""What a worker may still hold in memory: pieces that it gathers, and the incomplete last segment."""
"""What a worker may hold back before it writes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("uploads"), free_port(), ("--workers", "2"))
    started.start()
    yield started
    started.stop()
    assert broken_promises(started.data_dir) == []


@pytest.fixture
def client(server: Server, repository_name: str) -> RegistryClient:
    server.client("ecr").create_repository(repositoryName=repository_name)
    return RegistryClient(server.port, server.password())


def _begin_half(server: Server, client: RegistryClient, location: str) -> socket.socket:
    """Announce the whole content, send half of it, and wait until the server wrote it."""
    token = base64.b64encode(f"AWS:{client.password}".encode()).decode()
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Basic {token}\r\n"
        f"Content-Length: {len(CONTENT)}\r\n\r\n"
    )
    connection = socket.create_connection(("localhost", server.port))
    connection.sendall(head.encode() + CONTENT[:HALF])
    wait_until(lambda: holders_of(server, server.data_dir / "blobs"), "a worker writes the upload")
    wait_until(lambda: _largest_object(server) >= HALF - GATHERED, "most of the first half is written")
    return connection


def _largest_object(server: Server) -> int:
    """The size of the object that is being written, by its holder's open file."""
    sizes = [0]
    for pid in holders_of(server, server.data_dir / "blobs"):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(descriptor).startswith(f"{server.data_dir}/blobs/"):
                    sizes.append(os.stat(descriptor).st_size)
            except OSError:
                continue
    return max(sizes)


def _open(client: RegistryClient, repository_name: str) -> str:
    return client.request("POST", f"/v2/{repository_name}/blobs/uploads/").headers["location"]


def _stands_at(client: RegistryClient, location: str) -> int:
    """How many bytes of the upload the server says that it has."""
    status = client.request("GET", location)
    assert status.status == 204
    return int(status.headers["range"].partition("-")[2]) + 1 if status.headers["range"] != "0-0" else 0


def _finish_from(client: RegistryClient, location: str) -> int:
    """Continue where the server stands, to the end; where that was."""
    first = _stands_at(client, location)
    answer = client.request("PATCH", location, CONTENT[first:], Content_Range=f"{first}-{len(CONTENT) - 1}")
    assert answer.status == 202, answer
    assert client.request("PUT", f"{location}?digest={digest_of(CONTENT)}", Content_Length="0").status == 201
    return first


def test_a_client_that_leaves_in_mid_upload_continues_where_its_bytes_ended(
    server: Server, client: RegistryClient, repository_name: str
) -> None:
    location = _open(client, repository_name)
    connection = _begin_half(server, client, location)

    connection.close()
    # what is written is told once the worker has let go of the upload, and written that down
    wait_until(lambda: _stands_at(client, location) == HALF, "the upload stands where its bytes ended")
    continued_at = _finish_from(client, location)

    assert continued_at == HALF
    assert client.pull_blob(repository_name, digest_of(CONTENT)).body == CONTENT


def test_an_upload_whose_worker_was_killed_continues_on_another(
    server: Server, client: RegistryClient, repository_name: str
) -> None:
    location = _open(client, repository_name)
    first_part = CONTENT[:100_000]
    assert client.request("PATCH", location, first_part).status == 202
    connection = _begin_half(server, client, location)
    holder = holders_of(server, server.data_dir / "blobs")[0]

    os.kill(holder, signal.SIGKILL)
    connection.close()
    continued_at = _finish_from(client, location)

    assert continued_at == len(first_part)
    assert client.pull_blob(repository_name, digest_of(CONTENT)).body == CONTENT


def test_of_several_that_continue_after_a_kill_each_leaves_no_bytes_behind(
    server: Server, client: RegistryClient, repository_name: str
) -> None:
    location = _open(client, repository_name)
    assert client.request("PATCH", location, CONTENT[:100_000]).status == 202
    connection = _begin_half(server, client, location)
    os.kill(holders_of(server, server.data_dir / "blobs")[0], signal.SIGKILL)
    connection.close()

    # Each waits for the vanished writer's lease, and copies what it left.
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.request("PATCH", location, b"more"), range(6)))

    assert 202 in {answer.status for answer in answers}
    assert unnamed_objects(server.data_dir) == set()


def test_a_stalled_worker_that_wakes_up_late_harms_nothing(
    server: Server, client: RegistryClient, repository_name: str
) -> None:
    wait_until(lambda: sorted(children(server).values()).count("worker") == 2, "both workers are there")
    location = _open(client, repository_name)
    connection = _begin_half(server, client, location)
    stalled = holders_of(server, server.data_dir / "blobs")[0]
    os.kill(stalled, signal.SIGSTOP)
    try:
        _finish_on_another_worker(server, client, location)
    finally:
        os.kill(stalled, signal.SIGCONT)

    connection.sendall(os.urandom(len(CONTENT) - HALF))
    late = connection.recv(4096)
    connection.close()

    assert late.startswith((b"HTTP/1.1 404", b"HTTP/1.1 416"))
    assert client.pull_blob(repository_name, digest_of(CONTENT)).body == CONTENT


def _finish_on_another_worker(server: Server, client: RegistryClient, location: str) -> None:
    """Send the whole content through the worker that still runs: connections to the stopped one are given up."""
    for method, path, body in (
        ("PATCH", location, CONTENT),
        ("PUT", f"{location}?digest={digest_of(CONTENT)}", b""),
    ):
        probe = _connect_to_running_worker(server)
        token = base64.b64encode(f"AWS:{client.password}".encode()).decode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Basic {token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        probe.settimeout(60)
        probe.sendall(head.encode() + body)
        assert probe.recv(4096).split(b"\r\n")[0].split()[1] in (b"202", b"201")
        probe.close()


def _connect_to_running_worker(server: Server) -> socket.socket:
    while True:
        probe = socket.create_connection(("localhost", server.port))
        if _is_answered(probe, server):
            return probe
        probe.close()


def _is_answered(probe: socket.socket, server: Server) -> bool:
    """Whether the worker behind a connection runs; the kernel may have handed it to the stopped one."""
    probe.settimeout(2)
    try:
        probe.sendall(f"GET /livez HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        return probe.recv(4096).startswith(b"HTTP/1.1 200")
    except TimeoutError:
        return False


def test_concurrent_appends_to_one_upload_never_mix(
    server: Server, client: RegistryClient, repository_name: str
) -> None:
    location = _open(client, repository_name)
    connection = _begin_half(server, client, location)

    refused = client.request("PATCH", location, b"other bytes", Content_Range="0-10")

    assert refused.status == 416
    connection.sendall(CONTENT[HALF:])
    assert connection.recv(4096).startswith(b"HTTP/1.1 202")
    connection.close()
    assert client.request("PUT", f"{location}?digest={digest_of(CONTENT)}", Content_Length="0").status == 201
    assert client.pull_blob(repository_name, digest_of(CONTENT)).body == CONTENT
