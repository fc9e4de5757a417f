"""What a blob store is: bytes under opaque object ids, and nothing of digests or repositories.

An object id is never reused. Bytes are appended to an object by one writer at a time (the upload's lease sees to it),
become durable with ``seal``, and are read by whoever the rows allow. A store never lists: rows name every object.
"""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

PIECE_BYTES = 1024 * 1024
"""About what ``read`` yields at once."""
_OBJECT_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class ObjectMissing(Exception):
    """No object has this id; its bytes were deleted, or never written."""


class BlobDamaged(Exception):
    """Bytes of an object are not those that were written: they do not authenticate, and are never served."""


def require_object_id(text: str) -> str:
    """The text, if it is an object id (a lower-case uuid); every store passes each id through here.

    Raises:
        ValueError: it is not, so it must never become part of a path or a key.
    """
    if _OBJECT_ID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an object id")
    return text


class ObjectWriter(Protocol):
    """An object open for appending at a known offset."""

    @property
    def kept_bytes(self) -> int:
        """How long the object is as far as the store has its bytes; after a ``close`` that failed, what is left."""
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
            StorageFull: what was buffered did not fit; ``kept_bytes`` says what the object still holds.
        """
        ...


class BlobStore(Protocol):
    """Bytes by object id. The conformance suite in tests/conformance is the contract's full text."""

    @property
    def encrypts_itself(self) -> bool:
        """Whether the store encrypts what it holds, so that AES256 is its work and clients may be sent to it."""
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

    def url(self, object_id: str) -> str | None:
        """A URL that serves the bytes without openecr, where the store has one: "redirect if you can"."""
        ...

    async def delete(self, object_id: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...
