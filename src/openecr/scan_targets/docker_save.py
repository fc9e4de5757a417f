"""Images as ``docker save`` wrote them before it wrote OCI layouts: ``manifest.json`` names config and layers.

Source: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format". The tar is walked once for
where its members begin; nothing is extracted. A link is followed within the tar: equal layers were saved as links.
"""

import hashlib
import posixpath
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.oci_layout.names import INDEX, LayoutRefused
from openecr.oci_layout.tar_members import Place, TarMembers
from openecr.scan.indexing import Indexer
from openecr.scan.inventories import unpack
from openecr.scan.packages import LayerInventory
from openecr.scan.squash import squash
from openecr.scan_targets.target import Target, TargetRefused

MANIFEST = "manifest.json"
_MOST_NAME = 512
_MOST_JSON_BYTES = 4 << 20
_MOST_IMAGES = 200
_MOST_LAYERS = 1000
_MOST_LINKS = 8
_TEXT_LENGTH = 256


@dataclass(frozen=True, slots=True)
class _Saved:
    """An image of ``manifest.json``."""

    name: str
    config: str
    layers: tuple[str, ...]


class SavedImages:
    """A tar that may be ``docker save``'s."""

    def __init__(self, path: Path) -> None:
        """Walk it.

        Raises:
            LayoutRefused: it is no uncompressed tar.
        """
        self._tar = TarMembers(path)
        self._members: dict[str, Place] = {}
        self._links: dict[str, str] = {}
        for member in self._tar.walk("decompress it"):
            self._take(member)

    @property
    def is_layout(self) -> bool:
        """Whether it is an OCI image layout."""
        return INDEX in self._members

    @property
    def is_saved(self) -> bool:
        """Whether it is of ``docker save``."""
        return MANIFEST in self._members

    async def read(self, indexer: Indexer, *, development: bool) -> list[Target]:
        """Every image of the tar.

        Raises:
            TargetRefused, IndexingFailed
        """
        known: dict[Place, LayerInventory] = {}
        return [await self._target(saved, indexer, known, development) for saved in self._images()]

    async def _target(
        self, saved: _Saved, indexer: Indexer, known: dict[Place, LayerInventory], development: bool
    ) -> Target:
        config = self._document(saved.config)
        root = config.get("rootfs") if isinstance(config, dict) else None
        named = root.get("diff_ids") if isinstance(root, dict) else None
        layers = []
        for name in saved.layers:
            place = self._place(name)
            if place not in known:
                known[place] = unpack(await indexer.index(self._pieces(place)))
            layers.append(known[place])
        architecture = config.get("architecture") if isinstance(config, dict) else None
        digest = f"sha256:{hashlib.sha256(self._bytes(saved.config)).hexdigest()}"
        digests = [item for item in named if isinstance(item, str)] if isinstance(named, list) else []
        return Target(
            saved.name,
            squash(layers, development=development),
            digest=digest,
            layers=tuple(digests) if len(digests) == len(layers) else (),
            architecture=architecture[:_TEXT_LENGTH] if isinstance(architecture, str) else "",
            digests=frozenset((digest,)),
        )

    def _images(self) -> Iterator[_Saved]:
        listed = self._document(MANIFEST)
        if not isinstance(listed, list) or not listed or len(listed) > _MOST_IMAGES:
            raise TargetRefused(f"{MANIFEST} lists no images, or more than {_MOST_IMAGES}; save the image again")
        for item in listed:
            config, layers = (item.get("Config"), item.get("Layers")) if isinstance(item, dict) else (None, None)
            if not isinstance(config, str) or not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
                raise TargetRefused(f"{MANIFEST} names something that is no image; save the image again")
            if not all(isinstance(layer, str) for layer in layers):
                raise TargetRefused(f"{MANIFEST} names something that is no layer; save the image again")
            tags = item.get("RepoTags")
            named = tags[0] if isinstance(tags, list) and tags and isinstance(tags[0], str) else config
            yield _Saved(named[:_TEXT_LENGTH], config, tuple(layers))

    def _document(self, name: str) -> Any:
        try:
            return bounded_json.loads(self._bytes(name))
        except JsonRefused as refusal:
            raise TargetRefused(f"{name[:100]} {refusal}; save the image again") from None

    def _bytes(self, name: str) -> bytes:
        place = self._place(name)
        if place[1] > _MOST_JSON_BYTES:
            raise TargetRefused(f"{name[:100]} is longer than {_MOST_JSON_BYTES} bytes; save the image again")
        return b"".join(self._tar.pieces(place))

    def _place(self, name: str) -> Place:
        """Where a member's bytes are."""
        wanted = posixpath.normpath(name)
        for _ in range(_MOST_LINKS):
            if wanted not in self._links:
                break
            wanted = self._links[wanted]
        place = self._members.get(wanted)
        if place is None:
            raise TargetRefused(f"the tar does not hold '{name[:100]}', which it names; save the image again")
        return place

    async def _pieces(self, place: Place) -> AsyncIterator[bytes]:
        for piece in self._tar.pieces(place):
            yield piece

    def _take(self, member: tarfile.TarInfo) -> None:
        name = posixpath.normpath(member.name)
        if len(name) > _MOST_NAME or name.startswith(("/", "../")):
            return
        if name in self._members or name in self._links:
            raise LayoutRefused(f"the tar has '{name[:100]}' twice; do not trust this file")
        if member.isreg() and not member.issparse():
            self._members[name] = (member.offset_data, member.size)
        elif member.issym():
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            self._links[name] = posixpath.normpath(member.linkname)
