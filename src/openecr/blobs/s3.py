"""Objects in a bucket of an S3-compatible store; uploads are streamed as multipart uploads with bounded memory.

A small object is one PUT under its own key. A larger one is a multipart upload, whose parts and whose last bytes
between requests are kept as ``s3_state`` says. Every call that waits for the store runs in a thread.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from openecr.blobs.s3_bucket import Bucket, Stream, UploadGone
from openecr.blobs.s3_location import S3Location
from openecr.blobs.s3_state import SLOTS, Note, Part, Seen, State, nonce, other_slot
from openecr.blobs.s3_uploads import PART_BYTES, SMALL_BYTES, Tail, Uploads
from openecr.blobs.store import (
    PIECE_BYTES,
    ObjectWriter,
    StoreFailed,
    mark_name,
    require_object_id,
    unmarked,
)

_FLYING_A_WRITER = 2
_FLYING_A_STORE = 12
_READ_TRIES = 3


class S3Store:
    """The blob store of deployments that outgrow one machine; any number of processes may open one bucket."""

    def __init__(self, location: S3Location) -> None:
        self._location = location
        self.flying = 0
        """Parts on their way, of all writers."""

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket, opened when it is needed first: credentials are read then.

        Raises:
            SettingsError: there are none.
        """
        return Bucket(self._location)

    @cached_property
    def uploads(self) -> Uploads:
        """The bucket's uploads."""
        return Uploads(self.bucket)

    def connect(self) -> "S3Store":
        """Open the bucket now, where the first request must not wait for it."""
        _ = self.uploads
        return self

    def encrypts(self, object_id: str) -> bool:
        """Whether the bucket encrypts: where its operator says so, and on AWS, which encrypts every object."""
        require_object_id(object_id)
        return self._location.encrypts

    async def size_bytes(self, object_id: str) -> int:
        """How many bytes an object holds, or an upload in its newest state."""
        seen = await self.bucket.run(self.uploads.find, require_object_id(object_id), None)
        return seen.note.size_bytes

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset; what lies beyond is cut off."""
        require_object_id(object_id)
        if offset_bytes == 0:
            return _Writer(self, object_id, None, 0)
        seen = await self.bucket.run(self.uploads.find, object_id, offset_bytes)
        return _Writer(self, object_id, seen, offset_bytes)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy the first bytes to a new object within the store; a writer of the source cannot store parts any more."""
        source_id, target_id = require_object_id(source_id), require_object_id(target_id)
        await self.bucket.run(self.uploads.copy_prefix, source_id, target_id, size_bytes)

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make the upload the object, and check its size."""
        await self.bucket.run(self.uploads.seal, require_object_id(object_id), size_bytes)

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again; an upload becomes the object first."""
        return await self.bucket.run(self.uploads.digests, require_object_id(object_id), algorithms)

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream [start, end), one piece ahead; an answer that breaks off is asked for again from there."""
        require_object_id(object_id)
        run = self.bucket.run
        stream = await run(self.uploads.open_range, object_id, start_byte, end_byte)
        coming: asyncio.Future[bytes] | None = None
        tries = 0
        try:
            while start_byte < end_byte:
                wanted = min(PIECE_BYTES, end_byte - start_byte)
                coming = coming or asyncio.ensure_future(run(stream.read, wanted))
                try:
                    piece = await coming
                    if len(piece) < wanted:
                        raise StoreFailed(f"object {object_id} broke off at byte {start_byte + len(piece)}")
                except StoreFailed:
                    coming, tries = None, tries + 1
                    if tries == _READ_TRIES:
                        raise
                    stream.close()
                    stream = await run(self.uploads.open_range, object_id, start_byte, end_byte)
                    continue
                tries = 0
                start_byte += wanted
                following = min(PIECE_BYTES, end_byte - start_byte)
                coming = asyncio.ensure_future(run(stream.read, following)) if following else None
                yield piece
        finally:
            if coming is None or coming.done():
                stream.close()
            else:
                coming.add_done_callback(partial(_close_after, stream))

    def path(self, object_id: str) -> Path | None:
        """There are no files."""
        require_object_id(object_id)
        return None

    def url(self, object_id: str, seconds: int) -> str | None:
        """A presigned URL, where clients may be sent to the store."""
        require_object_id(object_id)
        return self.bucket.presigned(object_id, seconds) if self.bucket.location.redirect else None

    async def delete(self, object_id: str) -> None:
        """Remove an object, and an upload's states and parts."""
        await self.delete_many([object_id])

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Give open uploads back, several at once, then remove every object in as few requests as S3 has."""
        for object_id in object_ids:
            self.uploads.kept.forget(require_object_id(object_id))
        await asyncio.gather(*(self.bucket.run(self.uploads.abort_uploads, object_id) for object_id in object_ids))
        await self.bucket.run(self.bucket.delete, [object_id + slot for object_id in object_ids for slot in SLOTS])

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Store, read and remove a few bytes, and look for the mark."""
        await self.bucket.run(self.bucket.check)
        found = await self.bucket.run(self.bucket.head, mark_name(mark))
        if found is None and is_marked:
            raise unmarked(self._location.name, mark)
        if found is None:
            await self.bucket.run(self.bucket.put, mark_name(mark), b"", "")


class _Writer:
    """An upload open at its end: bytes gather here until a part is full, and at most two parts are on their way."""

    def __init__(self, store: S3Store, object_id: str, seen: Seen | None, offset_bytes: int) -> None:
        self._store = store
        self._uploads = store.uploads
        self._object_id = object_id
        self._seen = seen
        self._offset_bytes = offset_bytes
        self._state: State | None = None
        """What the writer goes on from, its tail moved to ``_tail``; None until it is needed."""
        self._tail = bytearray()
        self._unfetched_bytes = 0 if seen is None else offset_bytes - seen.note.settled_bytes
        """Of the tail that the writer goes on from."""
        self._parts: list[asyncio.Future[Part]] = []
        self._is_closed = False
        self._end_bytes = offset_bytes
        self._kept_bytes: int | None = None

    @property
    def kept_bytes(self) -> int | None:
        """Known once the upload was left with the store."""
        return self._kept_bytes

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece to what gathers."""
        self._tail += piece
        self._end_bytes += len(piece)

    async def drain(self) -> None:
        """Send off full parts; wait while enough of them are on their way."""
        while self._unfetched_bytes + len(self._tail) >= SMALL_BYTES:
            if self._state is None or self._state.note.multipart is None:
                self._go_on_from(await self._store.bucket.run(self._begin))
                continue
            most = _FLYING_A_WRITER if self._store.flying < _FLYING_A_STORE else 1
            while len(flying := [part for part in self._parts if not part.done()]) >= most:
                done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
            content = bytes(memoryview(self._tail)[:PART_BYTES])
            del self._tail[:PART_BYTES]
            number = len(self._state.parts) + len(self._parts) + 1
            self._parts.append(asyncio.ensure_future(self._send(number, content)))
            del content

    async def close(self) -> None:
        """Leave what was written for whoever goes on: a small object whole, a state of a larger one."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._seen is None or self._tail or self._parts or self._offset_bytes < self._seen.note.size_bytes:
                await self.drain()
                parts = await asyncio.gather(*self._parts)
                await self._store.bucket.run(self._leave, tuple(parts))
            self._kept_bytes = self._end_bytes
        finally:
            if self._parts:
                await asyncio.wait(self._parts)  # none may land after whoever goes on has begun
            self._tail = bytearray()

    async def _send(self, number: int, content: bytes) -> Part:
        assert self._state is not None  # noqa: S101 - parts are sent once there is an upload
        multipart = self._state.note.multipart
        assert multipart is not None  # noqa: S101 - the same
        bucket, upload_id = self._store.bucket, multipart.upload_id
        self._store.flying += 1
        try:
            etag = await bucket.run(bucket.put_part, self._object_id, upload_id, number, content)
        except UploadGone:
            raise StoreFailed(f"the upload of object {self._object_id} was taken over by another writer") from None
        finally:
            self._store.flying -= 1
        return Part(etag, len(content))

    def _go_on_from(self, state: State) -> None:
        self._tail[:0] = state.tail
        self._unfetched_bytes = 0
        self._state = replace(state, tail=b"")

    def _load(self) -> State:
        """The state to go on from; a new object's has nothing, and is the root of all that follow."""
        if self._seen is None:
            first = nonce()
            return State(Note(first, first, is_state=True), (), b"")
        state = self._uploads.load(self._object_id, self._seen, self._offset_bytes)
        return replace(state, note=self._next_note(state.note, self._seen))

    def _begin(self) -> State:
        """The state to go on from, with a multipart upload; in a thread."""
        state = self._load()
        if state.note.multipart is not None:
            return state
        if self._seen is None:
            self._uploads.abort_uploads(self._object_id)  # of a request that was not counted
            return self._uploads.begin_multipart(self._object_id, state, "")
        return self._uploads.begin_multipart(self._object_id, state, other_slot(self._seen.slot))

    def _leave(self, parts: tuple[Part, ...]) -> None:
        """Store what the next writer goes on from; in a thread."""
        state = self._state
        if state is None:
            state = self._load()
            self._tail[:0] = state.tail
        tail, note = bytes(self._tail), state.note
        settled_bytes = note.settled_bytes + sum(part.size_bytes for part in parts)
        if note.multipart is None and not settled_bytes:
            self._uploads.put_whole(self._object_id, tail)
            return
        note = replace(
            note,
            nonce=nonce(),
            sequence=note.sequence + 1,
            basis=1 if self._seen is None else note.basis,
            size_bytes=settled_bytes + len(tail),
            settled_bytes=settled_bytes,
        )
        slot = ".a" if self._seen is None else other_slot(self._seen.slot)
        self._uploads.save(self._object_id, State(note, state.parts + parts, tail), slot)

    def _next_note(self, note: Note, seen: Seen) -> Note:
        return replace(
            note,
            nonce=nonce(),
            is_state=True,
            sequence=seen.newest_sequence + 1,
            basis=note.sequence,
            base_bytes=self._offset_bytes,
        )


def _close_after(stream: Stream | Tail, _read: "asyncio.Future[bytes]") -> None:
    """Let go of an answer whose reader left while a thread was still reading."""
    if not _read.cancelled():
        _read.exception()
    stream.close()
