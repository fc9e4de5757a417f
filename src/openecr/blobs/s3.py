"""Objects in a bucket of an S3-compatible store; uploads are streamed as multipart uploads with bounded memory.

A small object is one PUT under its own key. A larger one is a multipart upload, whose parts and whose last bytes
between requests are kept as ``s3_state`` says. Every call that waits for the store runs in a thread.
"""

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from openecr.blobs.s3_bucket import Bucket, Stream, UploadGone
from openecr.blobs.s3_location import S3Location
from openecr.blobs.s3_state import (
    SLOTS,
    Multipart,
    Note,
    Part,
    Seen,
    State,
    basis_of,
    newest,
    nonce,
    other_slot,
    read_note,
    read_state,
)
from openecr.blobs.store import (
    PIECE_BYTES,
    ObjectMissing,
    ObjectWriter,
    StoreFailed,
    mark_name,
    require_object_id,
    unmarked,
)

PART_BYTES = 8 * 1024 * 1024
"""Of one part: 10,000 of them, S3's most, hold more than the largest layer."""
HELD_BYTES = 1024 * 1024 + 64
"""The last bytes of an upload stay out of parts, so that a writer may go on from up to so far before its end."""
_SMALL_BYTES = PART_BYTES + HELD_BYTES
_COPIED_BYTES = 1024 * 1024 * 1024
_COPIES_AT_ONCE = 4
_FLYING_A_WRITER = 2
_FLYING_A_STORE = 12
_KEPT_BYTES = 32 * 1024 * 1024
_KEPT_COUNT = 1024
_READ_TRIES = 3


class S3Store:
    """The blob store of deployments that outgrow one machine; any number of processes may open one bucket."""

    def __init__(self, location: S3Location) -> None:
        self._location = location
        self.flying = 0
        """Parts on their way, of all writers."""
        self.kept = _Kept()

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket, opened when it is needed first: credentials are read then.

        Raises:
            SettingsError: there are none.
        """
        return Bucket(self._location)

    def connect(self) -> "S3Store":
        """Open the bucket now, where the first request must not wait for it."""
        _ = self.bucket
        return self

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object to append at an offset; what lies beyond is cut off."""
        require_object_id(object_id)
        if offset_bytes == 0:
            return _Writer(self, object_id, None, 0)
        seen = await self.bucket.run(self.find, object_id, offset_bytes)
        return _Writer(self, object_id, seen, offset_bytes)

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Copy the first bytes to a new object within the store; a writer of the source cannot store parts any more."""
        await self.bucket.run(self._copy_prefix, require_object_id(source_id), require_object_id(target_id), size_bytes)

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make the upload the object, and check its size."""
        await self.bucket.run(self._seal, require_object_id(object_id), size_bytes)

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again; an upload becomes the object first."""
        return await self.bucket.run(self._digests, require_object_id(object_id), algorithms)

    async def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream [start, end), one piece ahead; an answer that breaks off is asked for again from there."""
        require_object_id(object_id)
        run = self.bucket.run
        stream = await run(self._open_range, object_id, start_byte, end_byte)
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
                    stream = await run(self._open_range, object_id, start_byte, end_byte)
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
            self.kept.forget(require_object_id(object_id))
        await asyncio.gather(*(self.bucket.run(self.abort_uploads, object_id) for object_id in object_ids))
        await self.bucket.run(self.bucket.delete, [object_id + slot for object_id in object_ids for slot in SLOTS])

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Store, read and remove a few bytes, and look for the mark."""
        await self.bucket.run(self.bucket.check)
        found = await self.bucket.run(self.bucket.head, mark_name(mark))
        if found is None and is_marked:
            raise unmarked(self._location.name, mark)
        if found is None:
            await self.bucket.run(self.bucket.put, mark_name(mark), b"", "")

    # What follows waits for the store, and runs in its threads.

    def find(self, object_id: str, size_bytes: int | None) -> Seen:
        """The state to go on from at a size; the newest where no size is given.

        A state that holds more bytes than counted has the counted ones as its first bytes: whoever wrote it went on
        from them. Where the cut falls into its parts, the state before it will do, if it ends there; else the parts
        become the object, which can be cut anywhere.

        Raises:
            ObjectMissing: there is no such object, or it has fewer bytes.
        """
        head = self.bucket.head(object_id)
        if head is None:
            raise ObjectMissing(object_id)
        notes = {"": read_note(head)}
        kept = self.kept.get(object_id)
        if kept is None or kept.note.nonce != notes[""].nonce or notes[""].size_bytes != size_bytes:
            for slot in SLOTS[1:]:
                found = self.bucket.head(object_id + slot)
                if found is not None:
                    notes[slot] = read_note(found)
        seen = newest(notes)
        if size_bytes is None:
            return seen
        if seen.note.size_bytes < size_bytes:
            raise ObjectMissing(object_id)
        if size_bytes >= seen.note.settled_bytes:
            return seen
        before = basis_of(seen, notes) if seen.note.base_bytes == size_bytes else None
        if before is not None and size_bytes >= before.note.settled_bytes:
            return before
        self._complete(object_id, replace(self.load(object_id, seen), tail=b""), seen)
        return self.find(object_id, size_bytes)

    def load(self, object_id: str, seen: Seen, size_bytes: int | None = None) -> State:
        """A state whole, cut to a size."""
        size_bytes = seen.note.size_bytes if size_bytes is None else size_bytes
        kept = self.kept.get(object_id)
        if kept is not None and kept.note.nonce == seen.note.nonce:
            return kept.cut(size_bytes)
        if not seen.note.is_state:
            return self._state_of_whole(object_id, seen.note, size_bytes)
        head, content = self.bucket.get(object_id + seen.slot)
        note = read_note(head)
        if note.nonce != seen.note.nonce:
            raise StoreFailed(f"object {object_id} was written by another while it was read")
        return read_state(note, content).cut(size_bytes)

    def save(self, object_id: str, state: State, slot: str) -> State:
        """Leave a state for whoever goes on."""
        self.bucket.put(object_id + slot, state.encode(), state.note.encode())
        self.kept.put(object_id, state)
        return state

    def put_whole(self, object_id: str, content: bytes) -> None:
        """Store a small object; states of before are void from here on."""
        note = Note(nonce())
        self.bucket.put(object_id, content, note.encode())
        self.kept.put(object_id, State(replace(note, root=note.nonce, size_bytes=len(content)), (), content))

    def begin_multipart(self, object_id: str, state: State, slot: str) -> State:
        """Open a multipart upload for a state that has none, and leave it named before its first new part."""
        multipart = self._multipart(object_id)
        parts: tuple[Part, ...] = ()
        if state.note.settled_bytes:
            parts = self._copy(object_id, multipart, object_id, state.note.settled_bytes)
        return self.save(object_id, State(replace(state.note, multipart=multipart), parts, state.tail), slot)

    def abort_uploads(self, object_id: str) -> None:
        """Give back the parts of every multipart upload that an object's states name."""
        for slot in SLOTS:
            head = self.bucket.head(object_id + slot)
            if head is None:
                if not slot:
                    return  # it is written before all others
                continue
            opened = read_note(head).multipart
            if opened is not None:
                self.bucket.abort(object_id, opened.upload_id)

    def _state_of_whole(self, object_id: str, note: Note, size_bytes: int) -> State:
        """A whole object as a state to go on from."""
        settled_bytes = 0 if size_bytes <= _SMALL_BYTES else size_bytes - HELD_BYTES
        tail = b""
        if size_bytes:
            found = self.bucket.open_range(object_id, settled_bytes, size_bytes)
            if found is None or read_note(found[0]).nonce != note.nonce:
                raise StoreFailed(f"object {object_id} was written by another while it was read")
            tail = found[1].read(size_bytes - settled_bytes)
        return State(replace(note, size_bytes=size_bytes, settled_bytes=settled_bytes), (), tail)

    def _multipart(self, object_id: str) -> Multipart:
        sealed = Note(nonce())
        return Multipart(self.bucket.begin(object_id, sealed.encode()), sealed.nonce)

    def _copy(self, object_id: str, multipart: Multipart, source_id: str, size_bytes: int) -> tuple[Part, ...]:
        """The first bytes of a whole object as parts of an upload, copied within the store."""
        count = -(-size_bytes // _COPIED_BYTES)
        edges = [size_bytes * number // count for number in range(count + 1)]

        def copy(number: int) -> Part:
            start_byte, end_byte = edges[number], edges[number + 1]
            etag = self.bucket.copy_part(object_id, multipart.upload_id, number + 1, source_id, start_byte, end_byte)
            return Part(etag, end_byte - start_byte)

        with ThreadPoolExecutor(_COPIES_AT_ONCE) as copying:
            return tuple(copying.map(copy, range(count)))

    def _complete(self, object_id: str, state: State, seen: Seen) -> None:
        """Make a state the object: parts, and the tail as the last one. What was completed before is no error."""
        if not state.note.settled_bytes:
            if state.note.multipart is not None:
                self.bucket.abort(object_id, state.note.multipart.upload_id)
            self.put_whole(object_id, state.tail)
            return
        if state.note.multipart is None:
            note = replace(state.note, nonce=nonce(), is_state=True, sequence=seen.newest_sequence + 1)
            state = self.begin_multipart(object_id, replace(state, note=note), other_slot(seen.slot))
        multipart = state.note.multipart
        assert multipart is not None  # noqa: S101 - it was begun
        etags = [part.etag for part in state.parts]
        try:
            if state.tail:
                etags.append(self.bucket.put_part(object_id, multipart.upload_id, len(etags) + 1, state.tail))
            self.bucket.complete(object_id, multipart.upload_id, etags)
        except UploadGone:
            head = self.bucket.head(object_id)
            if head is None or read_note(head).nonce != multipart.nonce:
                raise ObjectMissing(object_id) from None
        self.kept.forget(object_id)

    def _seal(self, object_id: str, size_bytes: int) -> None:
        seen = self.find(object_id, size_bytes)
        if seen.note.size_bytes != size_bytes:
            raise ObjectMissing(object_id)
        if seen.note.is_state:
            self._complete(object_id, self.load(object_id, seen), seen)
            head = self.bucket.head(object_id)
            if head is None or head.size_bytes != size_bytes or read_note(head).is_state:
                raise StoreFailed(f"object {object_id} does not have the {size_bytes} bytes that were put into it")
        leftover = [object_id + slot for slot in seen.slots if slot]
        if leftover:
            self.bucket.delete(leftover)
        self.kept.forget(object_id)

    def _settle(self, object_id: str) -> int:
        """Make an upload the object, whatever its size is; the size."""
        seen = self.find(object_id, None)
        if seen.note.is_state:
            self._complete(object_id, self.load(object_id, seen), seen)
        return seen.note.size_bytes

    def _digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        hashes = {name: hashlib.new(name) for name in algorithms}
        size_bytes = self._settle(object_id)
        stream = self._open_range(object_id, 0, size_bytes)
        try:
            done = 0
            while done < size_bytes:
                piece = stream.read(min(PIECE_BYTES, size_bytes - done))
                if not piece:
                    raise StoreFailed(f"object {object_id} broke off at byte {done}")
                for state in hashes.values():
                    state.update(piece)
                done += len(piece)
        finally:
            stream.close()
        return {name: state.digest() for name, state in hashes.items()}

    def _open_range(self, object_id: str, start_byte: int, end_byte: int) -> "Stream | _Nothing":
        """The bytes [start, end) of an object that has them; an upload becomes the object first."""
        if start_byte == end_byte:
            if self.find(object_id, None).note.size_bytes < end_byte:
                raise ObjectMissing(object_id)
            return _Nothing()
        for _ in range(2):
            found = self.bucket.open_range(object_id, start_byte, end_byte)
            if found is not None:
                if found[0].size_bytes >= end_byte and not read_note(found[0]).is_state:
                    return found[1]
                found[1].close()
            if self._settle(object_id) < end_byte:
                raise ObjectMissing(object_id)
        raise StoreFailed(f"object {object_id} changes while it is read")

    def _copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        if self.bucket.head(target_id) is not None:
            raise FileExistsError(target_id)
        seen = self.find(source_id, size_bytes)
        state = self.load(source_id, seen, size_bytes)
        if not state.note.settled_bytes:
            self.put_whole(target_id, state.tail)
            return
        if state.note.multipart is not None:
            self._fold(source_id, state, seen)
        try:
            multipart = self._multipart(target_id)
            first = nonce()
            note = Note(first, first, is_state=True, multipart=multipart)
            self.save(target_id, State(note, (), b""), "")
            settled_bytes = state.note.settled_bytes
            parts = self._copy(target_id, multipart, source_id, settled_bytes)
            note = replace(note, nonce=nonce(), sequence=2, basis=1, size_bytes=size_bytes, settled_bytes=settled_bytes)
            self.save(target_id, State(note, parts, state.tail), ".a")
        except BaseException:
            self.kept.forget(target_id)
            self.abort_uploads(target_id)
            self.bucket.delete([target_id + slot for slot in SLOTS])
            raise

    def _fold(self, object_id: str, state: State, seen: Seen) -> None:
        """Complete an upload with its counted parts, so that they can be copied; its tail stays in a state beside."""
        multipart = state.note.multipart
        assert multipart is not None  # noqa: S101 - the caller looked
        note = replace(
            state.note, nonce=nonce(), root=multipart.nonce, sequence=seen.newest_sequence + 1, multipart=None
        )
        self.save(object_id, State(note, (), state.tail), other_slot(seen.slot))
        self._complete(object_id, replace(state, tail=b""), seen)


class _Nothing:
    """A stream of no bytes."""

    def read(self, _size_bytes: int) -> bytes:
        """No bytes."""
        return b""

    def close(self) -> None:
        """There is nothing to let go of."""


class _Kept:
    """The states that this process left last, so that their tails need not be fetched again; bounded."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, State] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, object_id: str) -> State | None:
        """The state left last; another process may have left a newer one since."""
        return self._states.get(object_id)

    def put(self, object_id: str, state: State) -> None:
        """Remember a state in place of the object's last."""
        with self._lock:
            self._drop(object_id)
            self._states[object_id] = state
            self._bytes += len(state.tail)
            while self._bytes > _KEPT_BYTES or len(self._states) > _KEPT_COUNT:
                self._drop(next(iter(self._states)))

    def forget(self, object_id: str) -> None:
        """The upload ended."""
        with self._lock:
            self._drop(object_id)

    def _drop(self, object_id: str) -> None:
        dropped = self._states.pop(object_id, None)
        if dropped is not None:
            self._bytes -= len(dropped.tail)


class _Writer:
    """An upload open at its end: bytes gather here until a part is full, and at most two parts are on their way."""

    def __init__(self, store: S3Store, object_id: str, seen: Seen | None, offset_bytes: int) -> None:
        self._store = store
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

    def write(self, piece: bytes) -> None:
        """Append a piece to what gathers."""
        self._tail += piece

    async def drain(self) -> None:
        """Send off full parts; wait while enough of them are on their way."""
        while self._unfetched_bytes + len(self._tail) >= _SMALL_BYTES:
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
        state = self._store.load(self._object_id, self._seen, self._offset_bytes)
        return replace(state, note=self._next_note(state.note, self._seen))

    def _begin(self) -> State:
        """The state to go on from, with a multipart upload; in a thread."""
        state = self._load()
        if state.note.multipart is not None:
            return state
        if self._seen is None:
            self._store.abort_uploads(self._object_id)  # of a request that was not counted
            return self._store.begin_multipart(self._object_id, state, "")
        return self._store.begin_multipart(self._object_id, state, other_slot(self._seen.slot))

    def _leave(self, parts: tuple[Part, ...]) -> None:
        """Store what the next writer goes on from; in a thread."""
        state = self._state
        if state is None:
            state = self._load()
            self._tail[:0] = state.tail
        tail, note = bytes(self._tail), state.note
        settled_bytes = note.settled_bytes + sum(part.size_bytes for part in parts)
        if note.multipart is None and not settled_bytes:
            self._store.put_whole(self._object_id, tail)
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
        self._store.save(self._object_id, State(note, state.parts + parts, tail), slot)

    def _next_note(self, note: Note, seen: Seen) -> Note:
        return replace(
            note,
            nonce=nonce(),
            is_state=True,
            sequence=seen.newest_sequence + 1,
            basis=note.sequence,
            base_bytes=self._offset_bytes,
        )


def _close_after(stream: "Stream | _Nothing", _read: "asyncio.Future[bytes]") -> None:
    """Let go of an answer whose reader left while a thread was still reading."""
    if not _read.cancelled():
        _read.exception()
    stream.close()
