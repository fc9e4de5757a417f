"""Objects as files of a local folder: ``root/ab/cd/<object id>``.

Bytes are written where they stay: no temporary name, no rename, no copy. What makes an object visible is its row in the
database, so a half-written file is seen by nobody. Work that ends in the page cache runs inline; what waits for the
disk (fsync, hashing again, copies, a read of cold data) runs in a thread.
"""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from openecr.blobs.store import PIECE_BYTES, ObjectMissing, ObjectWriter, mark_name, require_object_id, unmarked
from openecr.errors import StorageFull
from openecr.settings import SettingsError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_FAST_COPY = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


class FilesystemStore:
    """The blob store of an embedded deployment; any number of processes may open one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._settled: set[Path] = set()
        """Folders whose own names are known to be durable, so that a seal costs two fsyncs, not four."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def encrypts(self, object_id: str) -> bool:
        """Whether the disk is encrypted cannot be seen from here."""
        require_object_id(object_id)
        return False

    async def size_bytes(self, object_id: str) -> int:
        """The file's size."""
        try:
            return self._path(object_id).stat().st_size
        except FileNotFoundError:
            raise ObjectMissing(object_id) from None

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset; what lies beyond is cut off."""
        path = self._path(object_id)
        with _told_when_full():
            if offset_bytes == 0:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = _open(path, os.O_WRONLY | os.O_CREAT)
            else:
                descriptor = _open(path, os.O_WRONLY)
            try:
                if os.fstat(descriptor).st_size < offset_bytes:
                    raise ObjectMissing(object_id)
                os.ftruncate(descriptor, offset_bytes)
                os.lseek(descriptor, offset_bytes, os.SEEK_SET)
            except BaseException:
                os.close(descriptor)
                raise
        return _FileWriter(descriptor, offset_bytes)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy the first bytes to a new object; the kernel shares or copies them where it can."""
        await asyncio.to_thread(_copy_prefix, self._path(source_id), self._path(target_id), size_bytes)

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make the bytes, the file's name and its folders' names durable."""
        await asyncio.to_thread(self._seal, self._path(object_id), size_bytes)

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again; the thread holds the interpreter only between pieces."""
        return await asyncio.to_thread(_digests, self._path(object_id), algorithms)

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream [start, end): inline from the page cache, through a thread where the disk must be waited for."""
        descriptor = _open(self._path(object_id), os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size < end_byte:
                raise ObjectMissing(object_id)
            os.posix_fadvise(descriptor, start_byte, end_byte - start_byte, os.POSIX_FADV_SEQUENTIAL)
            while start_byte < end_byte:
                wanted = min(PIECE_BYTES, end_byte - start_byte)
                if _is_cached(descriptor, start_byte + wanted - 1):
                    piece = os.pread(descriptor, wanted, start_byte)
                else:
                    piece = await asyncio.to_thread(os.pread, descriptor, wanted, start_byte)
                if not piece:
                    raise ObjectMissing(object_id)
                start_byte += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def path(self, object_id: str) -> Path | None:
        """The object's file."""
        path = self._path(object_id)
        return path if path.exists() else None

    def url(self, object_id: str, seconds: int) -> str | None:  # noqa: ARG002 - the protocol's
        """Nobody but openecr serves these files."""
        require_object_id(object_id)
        return None

    async def delete(self, object_id: str) -> None:
        """Unlink the file in a thread: freeing the blocks of a large one takes the disk's time."""
        await asyncio.to_thread(self._path(object_id).unlink, missing_ok=True)

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Unlink the files in one thread, one by one."""
        paths = [self._path(object_id) for object_id in object_ids]
        await asyncio.to_thread(_unlink, paths)

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Write and remove a file, and look for the mark."""
        await asyncio.to_thread(_check, self._root, mark, is_marked)

    def _path(self, object_id: str) -> Path:
        require_object_id(object_id)
        return self._root / object_id[:2] / object_id[2:4] / object_id

    def _seal(self, path: Path, size_bytes: int) -> None:
        descriptor = _open(path, os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size != size_bytes:
                raise ObjectMissing(path.name)
            with _told_when_full():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with _told_when_full():
            sync_folder(path.parent)
            for folder in (path.parent, path.parent.parent, self._root):
                if folder not in self._settled:
                    sync_folder(folder.parent)
                    self._settled.add(folder)


class _FileWriter:
    """An open file at its end, without a buffer of its own: the server hands over pieces that are large enough."""

    def __init__(self, descriptor: int, offset_bytes: int) -> None:
        self._descriptor = descriptor
        self._end = offset_bytes

    @property
    def kept_bytes(self) -> int:
        """Where the file ends."""
        return self._end

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece whole, or leave the object as it was before it."""
        try:
            with _told_when_full():
                _write_all(self._descriptor, piece)
        except BaseException:
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            raise
        self._end += len(piece)

    async def drain(self) -> None:
        """The page cache bounds itself: the kernel makes a writer wait in ``write``."""

    async def close(self) -> None:
        """Let go of the file; again is no error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise ObjectMissing(path.name) from None


@contextmanager
def _told_when_full() -> Iterator[None]:
    """Name a disk, quota or file-size limit that is used up as what the client is told."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        raise


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    written = os.write(descriptor, piece)
    if written < len(piece):
        rest = memoryview(piece)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _is_cached(descriptor: int, offset: int) -> bool:
    """Whether reading up to here would likely not wait for the disk: asks for one byte, if it is in the page cache."""
    try:
        os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # the file system cannot tell; inline is right for most reads
    return True


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _check(root: Path, mark: str, is_marked: bool) -> None:
    path = root / f"check-{uuid4()}"
    marked = root / mark_name(mark)
    if is_marked and not marked.exists():
        raise unmarked(str(root), mark)
    try:
        path.write_bytes(b"openecr")
        path.unlink()
        marked.touch(mode=0o600)
    except OSError as error:
        raise SettingsError(f"layers cannot be stored in {root}: {error.strerror}; make it writable") from None


def _copy_prefix(source: Path, target: Path, size_bytes: int) -> None:
    reading = _open(source, os.O_RDONLY)
    try:
        if os.fstat(reading).st_size < size_bytes:
            raise ObjectMissing(source.name)
        with _told_when_full():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            writing = _open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                _copy_bytes(reading, writing, size_bytes)
            except BaseException:
                target.unlink()
                raise
            finally:
                os.close(writing)
    finally:
        os.close(reading)


def _copy_bytes(reading: int, writing: int, size_bytes: int) -> None:
    done = 0
    while done < size_bytes:
        try:
            copied = os.copy_file_range(reading, writing, size_bytes - done, done, done)
        except OSError as error:
            if error.errno not in _NO_FAST_COPY:
                raise
            break
        if copied == 0:
            break
        done += copied
    os.lseek(writing, done, os.SEEK_SET)
    while done < size_bytes:
        piece = os.pread(reading, min(PIECE_BYTES, size_bytes - done), done)
        if not piece:
            raise ObjectMissing("the source was cut while it was copied")
        _write_all(writing, piece)
        done += len(piece)


def _digests(path: Path, algorithms: tuple[str, ...]) -> dict[str, bytes]:
    hashes = {name: hashlib.new(name) for name in algorithms}
    descriptor = _open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(PIECE_BYTES))
        while length := os.readv(descriptor, [buffer]):
            for state in hashes.values():
                state.update(buffer[:length])
    finally:
        os.close(descriptor)
    return {name: state.digest() for name, state in hashes.items()}


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
