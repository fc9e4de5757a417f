"""What a blob store is: bytes under opaque object ids, and nothing of digests or repositories.

An object id is never reused. Bytes are appended to an object by one writer at a time (the upload's lease sees to it),
become durable with ``seal``, and are read by whoever the rows allow. A store never lists: rows name every object.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from openecr.settings import SettingsError

PIECE_BYTES = 1024 * 1024
"""About what ``read`` yields at once."""
STORE_NAME = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}(?:_[0-9]{1,4})?")
"""A region's own store: the region, and a number where the region had another before."""
_OBJECT_ID = re.compile(rf"(?:({STORE_NAME.pattern})\.)?([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})")


class ObjectMissing(Exception):
    """No object has this id; its bytes were deleted, or never written."""


class BlobDamaged(Exception):
    """Bytes of an object are not those that were written: they do not authenticate, and are never served."""


class StoreUnmarked(SettingsError):
    """A store has not the deployment's mark, so it is not where its layers are."""


class StoreFailed(Exception):
    """The store cannot be reached, or refused what openecr asked; the text is for the log, and holds no secret."""


class StoreAway(StoreFailed):
    """The store gave no answer, or answered that it cannot answer now: what is asked of it later may well be done."""


def require_object_id(text: str) -> str:
    """The text, if it is an object id: a lower-case uuid, after the name of a region's own store and a dot where it is
    in one. Every store passes each id through here.

    Raises:
        ValueError: it is not, so it must never become part of a path or a key.
    """
    if not is_object_id(text):
        raise ValueError(f"{text!r} is not an object id")
    return text


def mark_name(mark: str) -> str:
    """The name of the object that says whose layers are here."""
    return f"deployment-{mark}"


def unmarked(where: str, mark: str) -> StoreUnmarked:
    """The error of a store that has not the layers that it should have."""
    return StoreUnmarked(
        f"{where} is not where this deployment's layers are: {mark_name(mark)} is missing there; give the --blobs or "
        "--region-blobs of before, or copy everything from there first"
    )


def is_object_id(text: str) -> bool:
    """Whether a text has the form of an object id."""
    return _OBJECT_ID.fullmatch(text) is not None


def id_beside(object_id: str, fresh_id: str) -> str:
    """An id for a new object in the same store as another one."""
    name, _ = split_object_id(object_id)
    return fresh_id if name is None else f"{name}.{fresh_id}"


def split_object_id(text: str) -> tuple[str | None, str]:
    """(name of the region's own store, id within the store) of an object id; None for the store of all others.

    Raises:
        ValueError: it is no object id.
    """
    found = _OBJECT_ID.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an object id")
    return found[1], found[2]


class ObjectWriter(Protocol):
    """An object open for appending at a known offset."""

    @property
    def kept_bytes(self) -> int | None:
        """How long the object is as far as the store has its bytes; after a ``close`` that failed, what is left. None
        where that is not known: then nothing may be appended to the object again."""
        ...

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece, which nobody changes after; inline, because it lands in the page cache or a buffer.

        Raises:
            StorageFull: the store has no room; the object ends with the piece before.
        """
        ...

    async def drain(self) -> None:
        """Wait where the store is slower than the client, so that what is buffered stays bounded."""
        ...

    async def close(self) -> None:
        """Let go of the object, flushing buffers to the store; durable only after ``seal``.

        Raises:
            StorageFull, StoreFailed: what was buffered is not all kept; ``kept_bytes`` says what is.
        Where it returns, every piece that ``write`` took is kept, whatever ``drain`` raised.
        """
        ...


class BlobStore(Protocol):
    """Bytes by object id. The conformance suite in tests/conformance is the contract's full text."""

    def encrypts(self, object_id: str) -> bool:
        """Whether the store encrypts an object itself, so that AES256 is its work and clients may be sent to it."""
        ...

    async def size_bytes(self, object_id: str) -> int:
        """How many bytes an object holds.

        Raises:
            ObjectMissing: there is no such object.
        """
        ...

    async def open_writer(self, object_id: str, offset_bytes: int) -> ObjectWriter:
        """Open an object, made if it is new, to append at ``offset_bytes``; bytes beyond it are cut off first.

        Raises:
            ObjectMissing: ``offset_bytes`` is past the object's end, so its earlier bytes are lost.
        """
        ...

    async def copy_prefix(self, source_id: str, target_id: str, size_bytes: int) -> None:
        """Make a new object of the first bytes of another: an upload is taken over from a writer that may still live.

        Raises:
            ObjectMissing: the source does not hold ``size_bytes`` bytes; no target is made.
            StorageFull: the store has no room; no target is made.
            FileExistsError: the target's id was used before.
        """
        ...

    async def seal(self, object_id: str, size_bytes: int) -> None:
        """Make exactly these bytes durable against power loss, with their name.

        Raises:
            ObjectMissing: the object does not hold exactly ``size_bytes`` bytes.
            StorageFull: the bytes did not fit on the disk after all.
        """
        ...

    async def digests(self, object_id: str, algorithms: tuple[str, ...]) -> dict[str, bytes]:
        """Hash a whole object again, off the event loop: raw digests by hashlib name."""
        ...

    def read(self, object_id: str, start_byte: int, end_byte: int) -> AsyncGenerator[bytes, None]:
        """Stream the bytes [start, end) in pieces of about 1 MiB; who stops early closes it (``aclosing``).

        Raises:
            ObjectMissing: when iteration begins and there is no such object, or it ends before ``end_byte``.
            BlobDamaged: the next bytes are not those that were written; those before were good.
        """
        ...

    def path(self, object_id: str) -> Path | None:
        """A file that holds exactly the object's bytes, where there is one to send without copying."""
        ...

    def url(self, object_id: str, seconds: int) -> str | None:
        """A URL that serves the bytes for so long without openecr, where the store has one: "redirect if you can"."""
        ...

    async def delete(self, object_id: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    async def delete_many(self, object_ids: Sequence[str]) -> None:
        """Remove objects, in as few requests as the store allows; those that are not there are no error."""
        ...

    async def check(self, mark: str, *, is_marked: bool) -> None:
        """Store, read and remove a few bytes, so that a server that could not keep a layer does not start; and see that
        it is the store that has this deployment's layers.

        Args:
            mark: a name of the deployment, left in the store (``mark_name``).
            is_marked: whether it was left there before.
        Raises:
            SettingsError: the store does not work, or should have the mark and has not; one sentence with the remedy.
        """
        ...
