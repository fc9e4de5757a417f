"""Members of a tar that anybody may have made: walked once, without decompression, with bounded headers, then read by
where their bytes are."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from openecr.oci_layout.names import LayoutRefused

_MOST_MEMBERS = 200_000
_MOST_HEADER_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024

Place = tuple[int, int]
"""Where a member's bytes begin, and how many they are."""


class TarMembers:
    """An open tar."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")

    def walk(self, otherwise: str) -> Iterator[tarfile.TarInfo]:
        """Every member, in order.

        Args:
            otherwise: what to do with a file that is no uncompressed tar.

        Raises:
            LayoutRefused: it is none, or its members are too many or claim too much memory.
        """
        try:
            with tarfile.open(fileobj=_BoundedHeaders(self._file), mode="r:") as archive:  # type: ignore[call-overload]
                for number, member in enumerate(archive):
                    archive.members = []  # what was walked is not remembered
                    if number >= _MOST_MEMBERS:
                        raise LayoutRefused(f"the tar has more than {_MOST_MEMBERS} members, which no image's has")
                    yield member
        except tarfile.TarError as error:
            raise LayoutRefused(f"{self._path} is no uncompressed tar ({error}); {otherwise}") from None

    def pieces(self, place: Place) -> Iterator[bytes]:
        """The bytes of a member.

        Raises:
            LayoutRefused: the tar was cut off.
        """
        offset, left = place
        while left:
            self._file.seek(offset)
            piece = self._file.read(min(_PIECE_BYTES, left))
            if not piece:
                raise LayoutRefused("the tar ends before its last file does; copy it again")
            offset, left = offset + len(piece), left - len(piece)
            yield piece


class _BoundedHeaders:
    """A file of which a tar's headers are read: none of them may claim more than a megabyte of memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read a header."""
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise LayoutRefused("a header of the tar is longer than any has to be; do not trust this file")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Pass over a member."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the walk is."""
        return self._file.tell()
