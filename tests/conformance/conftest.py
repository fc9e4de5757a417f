"""The blob stores that the suite runs over. A new backend is a fixture here and a name in its parameters."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.object_store import ObjectStore

from openecr.blobs.encrypted import EncryptedStore
from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.memory import MemoryStore
from openecr.blobs.s3 import S3Store
from openecr.blobs.s3_location import parse
from openecr.blobs.store import BlobStore

SMALL_DISK_BYTES = 1024 * 1024
STORES = ["memory", "filesystem", "encrypted_memory", "encrypted_filesystem"]


@pytest.fixture
def memory_store() -> BlobStore:
    return MemoryStore()


@pytest.fixture
def filesystem_store(tmp_path: Path) -> BlobStore:
    return FilesystemStore(tmp_path / "objects")


@pytest.fixture
def encrypted_memory_store(memory_store: BlobStore) -> BlobStore:
    return EncryptedStore(memory_store, os.urandom(32))


@pytest.fixture
def encrypted_filesystem_store(filesystem_store: BlobStore) -> BlobStore:
    return EncryptedStore(filesystem_store, os.urandom(32))


@pytest.fixture
def s3_store(object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    for name, value in object_store.credentials.items():
        monkeypatch.setenv(name, value)
    return S3Store(parse(object_store.url(bucket)))


@pytest.fixture
def encrypted_s3_store(s3_store: BlobStore) -> BlobStore:
    return EncryptedStore(s3_store, os.urandom(32))


@pytest.fixture(params=[*STORES, "s3", "encrypted_s3"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    found: BlobStore = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def memory_small_store() -> BlobStore:
    return MemoryStore(capacity_bytes=SMALL_DISK_BYTES)


@pytest.fixture
def filesystem_small_store(small_disk: Path) -> BlobStore:
    return FilesystemStore(small_disk / "objects")


@pytest.fixture
def encrypted_memory_small_store(memory_small_store: BlobStore) -> BlobStore:
    return EncryptedStore(memory_small_store, os.urandom(32))


@pytest.fixture
def encrypted_filesystem_small_store(filesystem_small_store: BlobStore) -> BlobStore:
    return EncryptedStore(filesystem_small_store, os.urandom(32))


@pytest.fixture(params=STORES)
def small_store(request: pytest.FixtureRequest) -> BlobStore:
    """A store with room for about 1 MiB."""
    found: BlobStore = request.getfixturevalue(f"{request.param}_small_store")
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "openecr-test", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
