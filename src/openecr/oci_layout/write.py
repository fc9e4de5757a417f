"""Write a layout: a folder that goes on where it was cut, or a tar in one go."""

import hashlib
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol

from openecr.names import Digest
from openecr.oci_layout.names import LayoutRefused, blob_name


class Writer(Protocol):
    """Where a layout goes."""

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Whether the blob is there whole."""
        ...

    async def blob(self, digest: Digest, size_bytes: int, pieces: AsyncIterator[bytes]) -> None:
        """Write a blob, verified against its digest.

        Raises:
            LayoutRefused: the bytes are others.
        """
        ...

    def file(self, name: str, content: bytes) -> None:
        """Write one of the layout's own files."""
        ...

    def close(self) -> None:
        """The layout is complete."""
        ...


class FolderWriter:
    """A layout in a folder. A blob has its name only once it is whole and durable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Whether the blob is there whole."""
        path = self._folder / blob_name(digest)
        return path.is_file() and path.stat().st_size == size_bytes

    async def blob(self, digest: Digest, size_bytes: int, pieces: AsyncIterator[bytes]) -> None:
        """Write a blob, verified against its digest."""
        path = self._folder / blob_name(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            await _copy(file, digest, size_bytes, pieces)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def file(self, name: str, content: bytes) -> None:
        """Write one of the layout's own files, or leave it as it was."""
        part = self._folder / f"{name}.part"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / name)

    def close(self) -> None:
        """Nothing is open."""


class TarWriter:
    """A layout in a tar; it has its name only once it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._file = self._part.open("wb")
        self._written: set[Digest] = set()

    def has(self, digest: Digest, size_bytes: int) -> bool:  # noqa: ARG002 - a blob is written whole or not at all
        """Whether the blob is there."""
        return digest in self._written

    async def blob(self, digest: Digest, size_bytes: int, pieces: AsyncIterator[bytes]) -> None:
        """Write a blob, verified against its digest."""
        self._header(blob_name(digest), size_bytes)
        await _copy(self._file, digest, size_bytes, pieces)
        self._pad(size_bytes)
        self._written.add(digest)

    def file(self, name: str, content: bytes) -> None:
        """Write one of the layout's own files."""
        self._header(name, len(content))
        self._file.write(content)
        self._pad(len(content))

    def close(self) -> None:
        """End the tar, and give it its name."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)

    def _header(self, name: str, size_bytes: int) -> None:
        about = tarfile.TarInfo(name)
        about.size, about.mode = size_bytes, 0o644
        self._file.write(about.tobuf(tarfile.GNU_FORMAT))

    def _pad(self, size_bytes: int) -> None:
        self._file.write(bytes(-size_bytes % tarfile.BLOCKSIZE))


async def _copy(file: BinaryIO, digest: Digest, size_bytes: int, pieces: AsyncIterator[bytes]) -> None:
    state, written = hashlib.new(digest.algorithm), 0
    async for piece in pieces:
        file.write(piece)
        state.update(piece)
        written += len(piece)
    if written != size_bytes or Digest.from_raw(digest.algorithm, state.digest()) != digest:
        raise LayoutRefused(f"the bytes of {digest} are damaged; find what is with: openecr fsck")
