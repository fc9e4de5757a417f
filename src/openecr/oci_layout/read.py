"""Read a layout that anybody may have made: nothing is extracted, no name becomes a path, nothing is read unbounded.

Only regular files count, under names that are derived from a parsed digest. A tar is walked once for where its members
begin; it is not decompressed, so that there are no bombs, and links, devices, sparse members, repeated names, absolute
names and ``..`` are refused, however harmless.
"""

import os
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.manifest import MANIFEST_TYPES, MOST_BYTES, Descriptor
from openecr.names import Digest
from openecr.oci_layout.names import INDEX, LayoutRefused, blob_name
from openecr.oci_layout.tar_members import Place, TarMembers

_PIECE_BYTES = 1024 * 1024
_OWN = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/(?:sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128}))")


class Source(Protocol):
    """A layout to read."""

    def size_bytes(self, name: str) -> int | None:
        """The size of a file of the layout; None where it has none of this name."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a file of the layout."""
        ...


def open_layout(path: Path) -> Source:
    """A folder or a tar.

    Raises:
        LayoutRefused: it is neither, or no layout.
    """
    if path.is_dir():
        source: Source = FolderSource(path)
    elif path.is_file():
        source = TarSource(path)
    else:
        raise LayoutRefused(f"there is no layout at {path}; give a folder or a .tar")
    if source.size_bytes(INDEX) is None:
        raise LayoutRefused(f"{path} has no index.json at its top; give an OCI image layout")
    return source


def document(source: Source, name: str) -> bytes:
    """A small file of a layout, whole.

    Raises:
        LayoutRefused: it is missing, or longer than a manifest may be.
    """
    size_bytes = source.size_bytes(name)
    if size_bytes is None:
        raise LayoutRefused(f"the layout has no {name}; export it again")
    if size_bytes > MOST_BYTES:
        raise LayoutRefused(f"{name} is longer than {MOST_BYTES} bytes, which no manifest may be")
    return b"".join(source.pieces(name))


def manifest_bytes(source: Source, digest: Digest, told_bytes: int) -> bytes:
    """A manifest of a layout, verified.

    Raises:
        LayoutRefused: it is missing, or has other bytes than its descriptor says.
    """
    content = document(source, blob_name(digest))
    if len(content) != told_bytes or Digest.of(content, digest.algorithm) != digest:
        raise LayoutRefused(f"the manifest {digest} has other bytes in the layout; export it again")
    return content


def index_of(source: Source) -> list[dict[str, Any]]:
    """What a layout's ``index.json`` lists.

    Raises:
        LayoutRefused
    """
    try:
        index = bounded_json.loads(document(source, INDEX))
    except JsonRefused as refusal:
        raise LayoutRefused(f"index.json {refusal}; export the layout again") from None
    listed = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise LayoutRefused("index.json lists no manifests; give an OCI image layout")
    return listed


def root_of(item: dict[str, Any]) -> Descriptor:
    """The image or index that an entry of ``index.json`` names.

    Raises:
        LayoutRefused
    """
    text, size, media_type = item.get("digest"), item.get("size"), item.get("mediaType")
    digest = Digest.parse(text) if isinstance(text, str) else None
    is_manifest = isinstance(media_type, str) and media_type in MANIFEST_TYPES
    if digest is None or not isinstance(size, int) or isinstance(size, bool) or not is_manifest:
        raise LayoutRefused("index.json names something that is no image or index; give an OCI image layout")
    return Descriptor(digest, str(media_type), size)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A layout in a folder."""

    folder: Path

    def size_bytes(self, name: str) -> int | None:
        """The size of a regular file that is reached without a link."""
        path = self.folder
        for part in name.split("/"):
            path = path / part
            try:
                about = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(about.st_mode):
                raise LayoutRefused(f"{name} is a link, which no layout has; copy the files themselves")
        if not stat.S_ISREG(about.st_mode):
            raise LayoutRefused(f"{name} is no regular file; export the layout again")
        return about.st_size

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file's bytes."""
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece


class TarSource:
    """A layout in an uncompressed tar."""

    def __init__(self, path: Path) -> None:
        self._tar = TarMembers(path)
        self._places: dict[str, Place] = {}
        for member in self._tar.walk("decompress it, or give the folder"):
            self._take(member)

    def size_bytes(self, name: str) -> int | None:
        """The size of a member."""
        found = self._places.get(name)
        return None if found is None else found[1]

    def pieces(self, name: str) -> Iterator[bytes]:
        """The member's bytes."""
        return self._tar.pieces(self._places[name])

    def _take(self, member: tarfile.TarInfo) -> None:
        parts = member.name.split("/")
        if member.name.startswith("/") or ".." in parts:
            raise LayoutRefused(f"the tar's member '{member.name[:100]}' leads out of it; do not trust this file")
        if member.isdir():
            return
        if not member.isreg() or member.issparse():
            raise LayoutRefused(f"the tar's member '{member.name[:100]}' is a link or special; do not trust this file")
        found = _OWN.fullmatch(member.name)
        if found is None:
            return
        if found[1] in self._places:
            raise LayoutRefused(f"the tar has '{found[1]}' twice; do not trust this file")
        self._places[found[1]] = (member.offset_data, member.size)
