"""Objects in the memory of one process: for tests and trials. Nothing survives it, all else is the contract."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from openecr.blobs.store import PIECE_BYTES, ObjectMissing, ObjectWriter, require_object_id, unmarked
from openecr.errors import StorageFull


class MemoryStore:
    """A blob store that holds at most ``capacity_bytes``."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self._objects: dict[str, bytearray] = {}
        self._capacity_bytes = capacity_bytes
        self._marks: set[str] = set()

    def encrypts(self, object_id: str) -> bool:
        """Memory is as it is."""
        require_object_id(object_id)
        return False

    async def size_bytes(self, object_id: str) -> int:
        """How much is held."""
        return len(self._require(object_id, 0))

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset; what lies beyond is cut off."""
        if offset_bytes == 0:
            self._objects.setdefault(require_object_id(object_id), bytearray())
        content = self._require(object_id, offset_bytes)
        del content[offset_bytes:]
        return _MemoryWriter(self, content)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy the first bytes to a new object."""
        content = self._require(source_id, size_bytes)
        if require_object_id(target_id) in self._objects:
            raise FileExistsError(target_id)
        self.require_room(size_bytes)
        self._objects[target_id] = content[:size_bytes]

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Check the size; memory is never durable."""
        if len(self._require(object_id, size_bytes)) != size_bytes:
            raise ObjectMissing(object_id)

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again."""
        content = bytes(self._require(object_id, 0))
        return {name: hashlib.new(name, content).digest() for name in algorithms}

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream [start, end); a reader keeps the bytes of an object that is deleted meanwhile."""
        content = self._require(object_id, end_byte)
        for start in range(start_byte, end_byte, PIECE_BYTES):
            yield bytes(content[start : min(start + PIECE_BYTES, end_byte)])

    def path(self, object_id: str) -> Path | None:
        """There are no files."""
        require_object_id(object_id)
        return None

    def url(self, object_id: str, seconds: int) -> str | None:  # noqa: ARG002 - the protocol's
        """Nobody but openecr serves these bytes."""
        require_object_id(object_id)
        return None

    async def delete(self, object_id: str) -> None:
        """Forget the object."""
        self._objects.pop(require_object_id(object_id), None)

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Forget the objects."""
        for object_id in object_ids:
            await self.delete(object_id)

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Memory is always there; the mark goes with it."""
        if is_marked and mark not in self._marks:
            raise unmarked("the memory of this process", mark)
        self._marks.add(mark)

    def require_room(self, more_bytes: int) -> None:
        """Refuse bytes that the capacity does not hold."""
        if self._capacity_bytes is not None:
            held = sum(len(content) for content in self._objects.values())
            if held + more_bytes > self._capacity_bytes:
                raise StorageFull

    def _require(self, object_id: str, size_bytes: int) -> bytearray:
        content = self._objects.get(require_object_id(object_id))
        if content is None or len(content) < size_bytes:
            raise ObjectMissing(object_id)
        return content


class _MemoryWriter:
    def __init__(self, store: MemoryStore, content: bytearray) -> None:
        self._store = store
        self._content = content

    @property
    def kept_bytes(self) -> int:
        """How much is held."""
        return len(self._content)

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece, or nothing of it."""
        self._store.require_room(len(piece))
        self._content += piece

    async def drain(self) -> None:
        """Nothing is buffered."""

    async def close(self) -> None:
        """Nothing is buffered."""
