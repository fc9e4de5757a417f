"""Objects encrypted in segments, over any other store: what is stored is never plain, what is read is proven.

    object   := segment*                  each of 1 MiB of plain bytes, the last one of what is left
    segment  := nonce (12 bytes) ciphertext tag (16 bytes)                            AES-256-GCM under the data key
    proven with it: the format's version and the segment's index

A data key is one object's (copies that take an upload over share it), so that no segment of another object opens in its
place. How long an object is, and so which segment is its last, is known from its row and its stored size. Any range
costs the segments that it touches.

Bytes that are appended behind an incomplete last segment are stored as that whole segment anew: it is cut off, kept in
memory, and written again with what follows. A process that is killed in between leaves an object that is shorter by
that segment, never one with other bytes; ``open_writer`` and ``copy_prefix`` tell, and the upload goes on from there.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openecr.blobs.store import PIECE_BYTES, BlobDamaged, BlobStore, ObjectMissing, ObjectWriter, require_object_id

if TYPE_CHECKING:
    from hashlib import _Hash

CIPHER = "aes-256-gcm"
"""What a row says of an object in this format; ``none`` is an object as it is."""
KEY_BYTES = 32
SEGMENT_BYTES = PIECE_BYTES
_VERSION = 1
_NONCE_BYTES = 12
_OVERHEAD_BYTES = _NONCE_BYTES + 16
_STORED_SEGMENT_BYTES = SEGMENT_BYTES + _OVERHEAD_BYTES


def stored_size_bytes(size_bytes: int) -> int:
    """How many bytes the store holds for so many plain ones."""
    return size_bytes + -(-size_bytes // SEGMENT_BYTES) * _OVERHEAD_BYTES


def plain_size_bytes(stored_bytes: int) -> int:
    """How many plain bytes are in so many stored ones; a remainder too short to be a segment holds none."""
    whole, rest = divmod(stored_bytes, _STORED_SEGMENT_BYTES)
    return whole * SEGMENT_BYTES + max(rest - _OVERHEAD_BYTES, 0)


class EncryptedStore:
    """The objects of one data key in another store."""

    def __init__(self, inner: BlobStore, data_key: bytes) -> None:
        self._inner = inner
        self._cipher = AESGCM(data_key)

    def encrypts(self, object_id: str) -> bool:
        """That is what it does."""
        require_object_id(object_id)
        return True

    async def size_bytes(self, object_id: str) -> int:
        """How many plain bytes the object holds."""
        return plain_size_bytes(await self._inner.size_bytes(object_id))

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset; an incomplete segment before it is read, to be written again."""
        index, tail_bytes = divmod(offset_bytes, SEGMENT_BYTES)
        tail = b""
        if offset_bytes:
            stored_bytes = await self._inner.size_bytes(object_id)
            if plain_size_bytes(stored_bytes) < offset_bytes:
                raise ObjectMissing(object_id)
            if tail_bytes:
                tail = (await self._segment(object_id, index, stored_bytes))[:tail_bytes]
        writer = await self._inner.open_writer(object_id, index * _STORED_SEGMENT_BYTES)
        return _SegmentWriter(writer, self._cipher, index, tail)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy the first bytes: whole segments as they are, an incomplete last one sealed again."""
        require_object_id(target_id)
        stored_bytes = await self._inner.size_bytes(source_id)
        if plain_size_bytes(stored_bytes) < size_bytes:
            raise ObjectMissing(source_id)
        if stored_bytes == stored_size_bytes(size_bytes):
            await self._inner.copy_prefix(source_id, target_id, stored_bytes)
            return
        index, tail_bytes = divmod(size_bytes, SEGMENT_BYTES)
        tail = (await self._segment(source_id, index, stored_bytes))[:tail_bytes] if tail_bytes else b""
        await self._inner.copy_prefix(source_id, target_id, index * _STORED_SEGMENT_BYTES)
        try:
            writer = await self._inner.open_writer(target_id, index * _STORED_SEGMENT_BYTES)
            await _SegmentWriter(writer, self._cipher, index, tail).close()
        except BaseException:
            await self._inner.delete(target_id)
            raise

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make exactly the segments of so many plain bytes durable."""
        await self._inner.seal(object_id, stored_size_bytes(size_bytes))

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Open and hash a whole object; opening and hashing are a thread's work, a segment at a time."""
        hashes = {name: hashlib.new(name) for name in algorithms}
        stored_bytes = await self._inner.size_bytes(object_id)
        async with aclosing(self._stored_segments(object_id, 0, stored_bytes)) as segments:
            index = 0
            async for stored in segments:
                await asyncio.to_thread(self._open_and_hash, object_id, index, stored, hashes.values())
                index += 1
        return {name: state.digest() for name, state in hashes.items()}

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream [start, end), a segment at a time; each is proven before any of its bytes is handed on."""
        stored_bytes = await self._inner.size_bytes(object_id)
        if plain_size_bytes(stored_bytes) < end_byte:
            raise ObjectMissing(object_id)
        if start_byte >= end_byte:
            return
        index = start_byte // SEGMENT_BYTES
        position = index * SEGMENT_BYTES
        stored_end = min(-(-end_byte // SEGMENT_BYTES) * _STORED_SEGMENT_BYTES, stored_bytes)
        async with aclosing(self._stored_segments(object_id, index * _STORED_SEGMENT_BYTES, stored_end)) as segments:
            async for stored in segments:
                plain = self._open(object_id, index, stored)
                if position < start_byte or position + len(plain) > end_byte:
                    plain = plain[max(start_byte - position, 0) : end_byte - position]
                yield plain
                index += 1
                position += SEGMENT_BYTES

    def path(self, object_id: str) -> Path | None:
        """No file holds the plain bytes."""
        require_object_id(object_id)
        return None

    def url(self, object_id: str, seconds: int) -> str | None:  # noqa: ARG002 - the protocol's
        """Nobody but openecr can open these bytes."""
        require_object_id(object_id)
        return None

    async def delete(self, object_id: str) -> None:
        """Remove the object, as the store under it does."""
        await self._inner.delete(object_id)

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Remove objects, as the store under it does."""
        await self._inner.delete_many(object_ids)

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """The store under it is what can fail."""
        await self._inner.check(mark, is_marked=is_marked)

    async def _segment(self, object_id: str, index: int, stored_bytes: int) -> bytes:
        """The plain bytes of one segment."""
        start = index * _STORED_SEGMENT_BYTES
        end = min(start + _STORED_SEGMENT_BYTES, stored_bytes)
        async with aclosing(self._stored_segments(object_id, start, end)) as segments:
            async for stored in segments:
                return self._open(object_id, index, stored)
        raise ObjectMissing(object_id)

    async def _stored_segments(self, object_id: str, start: int, end: int) -> AsyncGenerator[bytes | bytearray, None]:
        """The stored bytes of [start, end) segment by segment, however the store under it cuts them."""
        segment = bytearray()
        async with aclosing(self._inner.read(object_id, start, end)) as pieces:
            async for piece in pieces:
                view = memoryview(piece)
                while view:
                    taken = view[: _STORED_SEGMENT_BYTES - len(segment)]
                    segment += taken
                    view = view[len(taken) :]
                    if len(segment) == _STORED_SEGMENT_BYTES:
                        yield segment
                        segment = bytearray()
        if segment:
            yield segment

    def _open(self, object_id: str, index: int, stored: bytes | bytearray) -> bytes:
        view = memoryview(stored)
        try:
            return self._cipher.decrypt(view[:_NONCE_BYTES], view[_NONCE_BYTES:], _proven_with(index))
        except (InvalidTag, ValueError):
            raise BlobDamaged(f"segment {index} of object {object_id} is not what was written") from None

    def _open_and_hash(self, object_id: str, index: int, stored: bytes | bytearray, hashes: "Iterable[_Hash]") -> None:
        plain = self._open(object_id, index, stored)
        for state in hashes:
            state.update(plain)


class _SegmentWriter:
    """Gathers plain bytes into segments; the last, incomplete one is written when the writer is closed."""

    def __init__(self, writer: ObjectWriter, cipher: AESGCM, index: int, tail: bytes) -> None:
        self._writer = writer
        self._cipher = cipher
        self._index = index
        self._waiting = memoryview(bytearray(SEGMENT_BYTES))
        self._waiting[: len(tail)] = tail
        self._waiting_bytes = len(tail)
        self._closed = False

    @property
    def kept_bytes(self) -> int | None:
        """The plain bytes of the segments that the store under it has."""
        kept_bytes = self._writer.kept_bytes
        return None if kept_bytes is None else plain_size_bytes(kept_bytes)

    def write(self, piece: bytes | memoryview) -> None:
        """Gather a piece, and hand on what is complete, all at once: a piece is kept whole or not at all."""
        view = memoryview(piece)
        room_bytes = SEGMENT_BYTES - self._waiting_bytes
        count = (self._waiting_bytes + len(view)) // SEGMENT_BYTES
        if count:
            sealed = memoryview(bytearray(count * _STORED_SEGMENT_BYTES))
            self._waiting[self._waiting_bytes :] = view[:room_bytes]
            self._seal(self._index, self._waiting, sealed[:_STORED_SEGMENT_BYTES])
            view = view[room_bytes:]
            for number in range(1, count):
                start = number * _STORED_SEGMENT_BYTES
                self._seal(self._index + number, view[:SEGMENT_BYTES], sealed[start : start + _STORED_SEGMENT_BYTES])
                view = view[SEGMENT_BYTES:]
            self._writer.write(sealed)
            self._index += count
            self._waiting_bytes = 0
        self._waiting[self._waiting_bytes : self._waiting_bytes + len(view)] = view
        self._waiting_bytes += len(view)

    async def drain(self) -> None:
        """Wait where the store under it is slower."""
        await self._writer.drain()

    async def close(self) -> None:
        """Write the last segment, and let go of the object; again is no error."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._waiting_bytes:
                sealed = memoryview(bytearray(self._waiting_bytes + _OVERHEAD_BYTES))
                self._seal(self._index, self._waiting[: self._waiting_bytes], sealed)
                self._writer.write(sealed)
        finally:
            await self._writer.close()

    def _seal(self, index: int, plain: memoryview, sealed: memoryview) -> None:
        """Encrypt a segment into its place."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed[:_NONCE_BYTES] = nonce
        self._cipher.encrypt_into(nonce, plain, _proven_with(index), sealed[_NONCE_BYTES:])


def _proven_with(index: int) -> bytes:
    """What a segment authenticates beside its bytes."""
    return bytes((_VERSION,)) + index.to_bytes(8, "big")
