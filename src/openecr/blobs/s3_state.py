"""What an upload on S3 leaves between requests, so that any process can go on: its *states*.

S3 cannot append, so an unsealed object is a multipart upload and the bytes that are in no part yet. A state is an
object that names the first and holds the second:

    <id>      what the upload became at last; before that a small object whole, or the first state
    <id>.a    later states, written by turns, so that the state which the last
    <id>.b    counted request left is still there while a request is not counted

Each object's note (its metadata) has a nonce. A later state names the nonce of the ``<id>`` that it descends from, its
*root*: as soon as ``<id>`` is written anew (an upload begun again, or completed) the states of before are void, without
having to be removed first. Nothing is ever listed.
"""

import base64
import struct
from dataclasses import asdict, dataclass, replace
from uuid import uuid4

import orjson

from openecr.blobs.s3_bucket import Head

SLOTS = ("", ".a", ".b")


@dataclass(frozen=True, slots=True)
class Multipart:
    """An open multipart upload."""

    upload_id: str
    nonce: str
    """The note's nonce of the object that it will become."""


@dataclass(frozen=True, slots=True)
class Note:
    """What the metadata of one of an upload's objects says."""

    nonce: str
    root: str = ""
    is_state: bool = False
    sequence: int = 1
    basis: int = 0
    """The sequence of the state that this one was made from."""
    base_bytes: int = 0
    """The offset from which its writer went on."""
    size_bytes: int = 0
    """How many bytes the upload has in this state."""
    settled_bytes: int = 0
    """How many of them are not in the tail: in parts, or in the root."""
    multipart: Multipart | None = None

    def encode(self) -> str:
        """As S3 metadata takes it."""
        return base64.urlsafe_b64encode(orjson.dumps(asdict(self))).decode()


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is stored; its number is its place."""

    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class State:
    """A state whole. Without a multipart upload the bytes before the tail are the first bytes of the root."""

    note: Note
    parts: tuple[Part, ...]
    tail: bytes

    def cut(self, size_bytes: int) -> "State":
        """The state of the first bytes; the cut is in the tail."""
        tail = self.tail[: size_bytes - self.note.settled_bytes]
        return replace(self, tail=tail, note=replace(self.note, size_bytes=size_bytes))

    def encode(self) -> bytes:
        """The state as an object's bytes: length, parts, tail."""
        parts = orjson.dumps([[part.etag, part.size_bytes] for part in self.parts])
        return struct.pack(">I", len(parts)) + parts + self.tail


@dataclass(frozen=True, slots=True)
class Seen:
    """One of an upload's objects, as a HEAD shows it, among the others."""

    slot: str
    note: Note
    newest_sequence: int
    slots: tuple[str, ...]
    """Every slot that is there, void or not."""


def other_slot(slot: str) -> str:
    """The slot to write when the state in this one must stay."""
    return ".b" if slot == ".a" else ".a"


def nonce() -> str:
    """A name for one written object."""
    return uuid4().hex


def read_note(head: Head) -> Note:
    """The note of an object; one that lost its metadata on the way is a whole object."""
    try:
        said = orjson.loads(base64.urlsafe_b64decode(head.note))
        opened = said.pop("multipart")
        note = Note(**said, multipart=Multipart(**opened) if opened else None)
    except (ValueError, KeyError, TypeError):
        note = Note(nonce="")
    return note if note.is_state else replace(note, root=note.nonce, sequence=1, size_bytes=head.size_bytes)


def read_state(note: Note, content: bytes) -> State:
    """The state that an object holds."""
    (length,) = struct.unpack_from(">I", content)
    parts = tuple(Part(etag, size_bytes) for etag, size_bytes in orjson.loads(content[4 : 4 + length]))
    return State(note, parts, content[4 + length :])


def newest(notes: dict[str, Note]) -> Seen:
    """The newest state of those that descend from the root; the root itself where there is none."""
    root = notes[""]
    valid = {slot: note for slot, note in notes.items() if note.root == root.nonce or slot == ""}
    slot = max(valid, key=lambda name: valid[name].sequence)
    return Seen(slot, valid[slot], valid[slot].sequence, tuple(notes))


def basis_of(seen: Seen, notes: dict[str, Note]) -> Seen | None:
    """The state that the newest was made from, where it is still there with as many bytes as its writer began at."""
    root = notes[""]
    for slot, note in notes.items():
        valid = slot == "" or note.root == root.nonce
        if valid and note.sequence == seen.note.basis and note.size_bytes >= seen.note.base_bytes:
            return replace(seen, slot=slot, note=note)
    return None
