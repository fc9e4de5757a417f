"""Uploads on S3 and what they become, as plain calls that wait for the store and run in its threads.

``s3_state`` says what an upload leaves between requests; here states are found, left, completed and taken over.
"""

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from openecr.blobs.s3_bucket import Bucket, PartsDiffer, Stream, UploadGone
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
from openecr.blobs.store import PIECE_BYTES, ObjectMissing, StoreFailed

PART_BYTES = 8 * 1024 * 1024
"""Of one part: 10,000 of them, S3's most, hold more than the largest layer."""
HELD_BYTES = 1024 * 1024 + 64
"""The last bytes of an upload stay out of parts, so that a writer may go on from up to so far before its end."""
SMALL_BYTES = PART_BYTES + HELD_BYTES
"""An object below this is one PUT."""
_LEAST_PART_BYTES = 5 * 1024 * 1024
_COPIED_BYTES = 1024 * 1024 * 1024
_COPIES_AT_ONCE = 4
_KEPT_BYTES = 32 * 1024 * 1024
_KEPT_COUNT = 1024
_TRIES = 3


class Changed(StoreFailed):
    """Another process ended or went on with the upload between two requests of this one."""


class Uploads:
    """The uploads and objects of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.kept = Kept()

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
        try:
            head, content = self.bucket.get(object_id + seen.slot)
        except ObjectMissing:
            raise Changed(f"a state of object {object_id} was removed while it was read") from None
        note = read_note(head)
        if note.nonce != seen.note.nonce:
            raise Changed(f"object {object_id} was written by another while it was read")
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
        settled_bytes = 0 if size_bytes <= SMALL_BYTES else size_bytes - HELD_BYTES
        tail = b""
        if size_bytes:
            found = self.bucket.open_range(object_id, settled_bytes, size_bytes)
            if found is None or read_note(found[0]).nonce != note.nonce:
                raise Changed(f"object {object_id} was written by another while it was read")
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
            self._complete_parts(object_id, multipart, etags, state.tail)
        except UploadGone:
            head = self.bucket.head(object_id)
            if head is None or read_note(head).nonce != multipart.nonce:
                raise ObjectMissing(object_id) from None
        self.kept.forget(object_id)

    def _complete_parts(self, object_id: str, multipart: Multipart, etags: list[str], tail: bytes) -> None:
        """Complete with these parts, the last of which is the tail where there is one.

        Ceph's gateway takes no fewer than there are: what a request that was not counted left behind them becomes part
        of the object there, after a tail that is filled up to the least size of a part. Who needs the object exact cuts
        it.
        """
        named, key, upload_id = etags, object_id, multipart.upload_id
        for remaining in reversed(range(_TRIES)):
            try:
                self.bucket.complete(key, upload_id, named)
            except PartsDiffer:
                found = self.bucket.parts(key, upload_id)
                same = all(_plain(one) == _plain(other) for one, other in zip(etags, found, strict=False))
                if not remaining or len(found) <= len(etags) or not same:
                    raise
                if tail:
                    filled = tail + bytes(max(0, _LEAST_PART_BYTES - len(tail)))
                    found[len(etags) - 1] = self.bucket.put_part(key, upload_id, len(etags), filled)
                    etags = found[: len(etags)]
                named = found
            else:
                return

    def _cut(self, object_id: str, size_bytes: int) -> None:
        """Make an object that is longer exactly its first bytes, by a copy within the store."""
        seen = self.find(object_id, None)
        if seen.note.is_state or seen.note.size_bytes <= size_bytes:
            return
        self._complete(object_id, self.load(object_id, seen, size_bytes), seen)

    def seal(self, object_id: str, size_bytes: int) -> None:
        """Make the upload the object, of exactly this size."""
        seen = self._become(object_id, size_bytes)
        if seen.note.size_bytes != size_bytes:
            raise ObjectMissing(object_id)
        if seen.note.is_state:
            self._cut(object_id, size_bytes)
            head = self.bucket.head(object_id)
            if head is None or head.size_bytes != size_bytes or read_note(head).is_state:
                raise StoreFailed(f"object {object_id} does not have the {size_bytes} bytes that were put into it")
        leftover = [object_id + slot for slot in seen.slots if slot]
        if leftover:
            self.bucket.delete(leftover)
        self.kept.forget(object_id)

    def settle(self, object_id: str) -> int:
        """Make an upload the object, whatever its size is; the size."""
        return self._become(object_id, None).note.size_bytes

    def _become(self, object_id: str, size_bytes: int | None) -> Seen:
        """Complete the upload if it has this size, or any; what it was. Another process may do the same meanwhile."""
        for remaining in reversed(range(_TRIES)):
            seen = self.find(object_id, size_bytes)
            if not seen.note.is_state or size_bytes not in (None, seen.note.size_bytes):
                break
            try:
                self._complete(object_id, self.load(object_id, seen), seen)
            except Changed:
                if not remaining:
                    raise
            else:
                break
        return seen

    def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Read a whole object again and hash it in pieces."""
        hashes = {name: hashlib.new(name) for name in algorithms}
        size_bytes = self.settle(object_id)
        stream = self.open_range(object_id, 0, size_bytes)
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

    def open_range(self, object_id: str, start_byte: int, end_byte: int) -> "Stream | Tail":
        """The bytes [start, end) of an object that has them; an upload becomes the object first, unless the bytes are
        in its tail."""
        if start_byte == end_byte:
            if self.find(object_id, None).note.size_bytes < end_byte:
                raise ObjectMissing(object_id)
            return Tail(b"")
        for _ in range(2):
            found = self.bucket.open_range(object_id, start_byte, end_byte)
            if found is not None:
                if found[0].size_bytes >= end_byte and not read_note(found[0]).is_state:
                    return found[1]
                found[1].close()
            tail = self._tail_range(object_id, start_byte, end_byte)
            if tail is not None:
                return tail
            if self.settle(object_id) < end_byte:
                raise ObjectMissing(object_id)
        raise StoreFailed(f"object {object_id} changes while it is read")

    def _tail_range(self, object_id: str, start_byte: int, end_byte: int) -> "Tail | None":
        """The bytes of an upload that are in no part yet, which its next writer may want to write anew."""
        seen = self.find(object_id, None)
        note = seen.note
        if not note.is_state or start_byte < note.settled_bytes or end_byte > note.size_bytes:
            return None
        tail = self.load(object_id, seen).tail
        return Tail(tail[start_byte - note.settled_bytes : end_byte - note.settled_bytes])

    def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Begin an upload with the first bytes of another, copied within the store.

        An upload can be copied from only once it is an object: its counted parts are completed, which ends the old
        writer's upload too.
        """
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


def _plain(etag: str) -> str:
    return etag.strip('"')


class Tail:
    """A stream of bytes that are in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size_bytes: int) -> bytes:
        """The next bytes."""
        piece, self._content = self._content[:size_bytes], self._content[size_bytes:]
        return piece

    def close(self) -> None:
        """There is nothing to let go of."""


class Kept:
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
