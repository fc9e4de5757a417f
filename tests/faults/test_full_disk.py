"""A disk that fills: pushes are refused whole, pulls go on, and room brings pushes back."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import execute
from tests.faults.store_check import broken_promises
from tests.registry_client import Answer, RegistryClient, digest_of
from tests.running import Server, environment, free_port, openecr
from tests.waiting import wait_until

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


def test_a_disk_that_fills_empties_the_trash_the_oldest_first_and_no_more_than_is_needed(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENECR_PROMISE_SECONDS", "1")
    monkeypatch.setenv("OPENECR_LAYER_URL_SECONDS", "2")
    server = Server(small_disk, free_port(), ("--workers", "1"))
    server.start()
    try:
        server.client("ecr").create_repository(repositoryName="faults/trash")
        client = RegistryClient(server.port, server.password())
        for tag in ("oldest", "middle", "newest"):
            client.push_image("faults/trash", tag, os.urandom(PIECE // 2))
            assert client.request("DELETE", f"/v2/faults/trash/manifests/{tag}").status == 202
        wait_until(lambda: _links(small_disk) == 0 or not _collect(small_disk, 0), "the promises end")
        free_bytes = _free_bytes(small_disk)
        assert _trashed(small_disk) == ["oldest", "middle", "newest"]

        told = _collect(small_disk, free_bytes + PIECE // 4)

        assert "emptied the trash early of its 1 oldest deletions" in told
        assert _trashed(small_disk) == ["middle", "newest"]
        assert "early" not in _collect(small_disk, free_bytes + PIECE // 4)  # room is on its way
        status = openecr("status", "--data-dir", str(small_disk)).stdout
        assert "trash           emptied early of 1 deletions" in status
        wait_until(
            lambda: "gave back 0 bytes" not in _collect(small_disk, free_bytes + PIECE // 4),
            "the last presigned URLs end",
        )
        wait_until(lambda: _free_bytes(small_disk) > free_bytes + PIECE // 4, "there is room")
        assert _trashed(small_disk) == ["middle", "newest"]
    finally:
        server.stop()
    assert broken_promises(small_disk) == []


def _collect(data_dir: Path, reserve_bytes: int) -> str:
    return openecr(
        "gc", "--data-dir", str(data_dir), env=environment() | {"OPENECR_DISK_RESERVE_BYTES": str(reserve_bytes)}
    ).stdout


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _links(data_dir: Path) -> int:
    return int(execute(data_dir, "SELECT COUNT(*) FROM layer")[0][0])


def _trashed(data_dir: Path) -> list[str]:
    return [json.loads(row[0])[0] for row in execute(data_dir, "SELECT tags FROM trash ORDER BY deleted_us")]
