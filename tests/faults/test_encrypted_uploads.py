"""An encrypted upload whose server is killed inside a segment: what is left is told, and nothing wrong is ever kept."""

import base64
import http.client
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import execute
from tests.faults.processes import children, holders_of
from tests.faults.store_check import broken_promises
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server, running
from tests.waiting import wait_until

REPOSITORY = "faults/encrypted"
SEGMENT = 1024 * 1024
FIRST = os.urandom(2 * SEGMENT + 500_000)
REST = os.urandom(3 * SEGMENT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1") as started:
        started.client("ecr").create_repository(repositoryName=REPOSITORY)
        yield started


def begin(server: Server, client: RegistryClient) -> str:
    """An upload that holds ``FIRST``, and a writer that is killed while it continues it inside a segment."""
    location = client.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
    assert client.request("PATCH", location, FIRST).status == 202
    connection = http.client.HTTPConnection("localhost", server.port, timeout=60)
    connection.putrequest("PATCH", location)
    connection.putheader("Authorization", authorization(client))
    connection.putheader("Content-Length", str(len(REST)))
    connection.endheaders()
    connection.send(REST[:1000])
    wait_until(lambda: holders_of(server, server.data_dir / "blobs"), "a worker writes the upload")
    size = "SELECT offset_bytes FROM upload"
    assert execute(server.data_dir, size) == [(len(FIRST),)]
    for pid, role in children(server).items():
        if role == "worker":
            os.kill(pid, signal.SIGKILL)
    connection.close()
    wait_until(lambda: is_ready(server), "a new worker serves")
    execute(server.data_dir, "UPDATE upload SET lease_until_us = 0")
    return location


def authorization(client: RegistryClient) -> str:
    return "Basic " + base64.b64encode(f"AWS:{client.password}".encode()).decode()


def is_ready(server: Server) -> bool:
    try:
        return RegistryClient(server.port, None).request("GET", "/readyz").status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_the_upload_says_what_is_left_and_goes_on_there(server: Server) -> None:
    client = RegistryClient(server.port, server.password())
    location = begin(server, client)

    refused = client.request("PATCH", location, REST)

    assert refused.error == (
        416,
        "BLOB_UPLOAD_INVALID",
        f"The last 500000 bytes of the upload were lost with the server that held them; continue at byte {2 * SEGMENT}",
    )
    assert client.request("GET", location).headers["range"] == f"0-{2 * SEGMENT - 1}"
    content = FIRST + REST
    end = len(content) - 1
    continued = client.request("PATCH", location, content[2 * SEGMENT :], Content_Range=f"{2 * SEGMENT}-{end}")
    assert continued.status == 202
    assert client.request("PUT", f"{location}?digest={digest_of(content)}", b"").status == 201
    assert client.pull_blob(REPOSITORY, digest_of(content)).body == content
    server.stop()
    assert broken_promises(server.data_dir) == []


def test_an_upload_that_lost_bytes_is_not_completed(server: Server) -> None:
    client = RegistryClient(server.port, server.password())
    location = begin(server, client)

    refused = client.request("PUT", f"{location}?digest={digest_of(FIRST)}", b"")

    assert refused.error[:2] == (404, "BLOB_UPLOAD_UNKNOWN")
    assert client.request("HEAD", f"/v2/{REPOSITORY}/blobs/{digest_of(FIRST)}").status == 404
