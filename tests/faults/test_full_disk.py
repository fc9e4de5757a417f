"""A disk that fills: pushes are refused whole, pulls go on, and room brings pushes back."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.store_check import broken_promises
from tests.registry_client import Answer, RegistryClient, digest_of
from tests.running import Server, free_port

SMALL, LARGE = "24m", "200m"
PIECE = 4 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_pushes_whole_and_keeps_serving(small_disk: Path) -> None:
    server = Server(small_disk, free_port(), ("--workers", "1"))
    server.start()
    try:
        server.client("ecr").create_repository(repositoryName="faults/full")
        client = RegistryClient(server.port, server.password())
        image = client.push_image("faults/full", "before")

        refused = _push_until_refused(client)

        assert refused.error == (507, "DENIED", "The registry has no room left to store this")
        assert client.request("GET", "/v2/faults/full/manifests/before").headers["docker-content-digest"] == image
        assert server.process is not None
        assert server.process.poll() is None

        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(small_disk)], check=True)
        content = os.urandom(PIECE)
        assert client.push_blob("faults/full", content) == digest_of(content)
        assert client.pull_blob("faults/full", digest_of(content)).body == content
    finally:
        server.stop()
    assert broken_promises(small_disk) == []


def _push_until_refused(client: RegistryClient) -> Answer:
    for _ in range(20):
        content = os.urandom(PIECE)
        answer = client.request("POST", f"/v2/faults/full/blobs/uploads/?digest={digest_of(content)}", content)
        if answer.status != 201:
            return answer
    raise AssertionError("the disk did not fill")
