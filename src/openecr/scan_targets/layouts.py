"""OCI image layouts: every image that a layout names and holds, as the registry would scan it once pushed.

Source: OCI image specification 1.1, "OCI Image Layout". Attestations and other artifacts hold no file system. Members
of an index that the layout does not hold are left out, and told: ``docker save`` writes one platform of many.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.manifest import Descriptor, Manifest, ManifestRefused, parse
from openecr.names import Digest
from openecr.oci_layout.names import CONTAINERD_NAME, REF_NAME, LayoutRefused, blob_name
from openecr.oci_layout.read import Source, index_of, manifest_bytes, root_of
from openecr.scan.indexing import Indexer
from openecr.scan.inventories import unpack
from openecr.scan.packages import LayerInventory
from openecr.scan.squash import squash
from openecr.scan_targets.target import Target, TargetRefused, verified
from openecr.services.ecr.scanning.requests import is_scannable
from openecr.services.ecr.scanning.target import runs_somewhere

_MOST_DEPTH = 3
_MOST_IMAGES = 200
_MOST_CONFIG_BYTES = 4 << 20
_TEXT_LENGTH = 256


@dataclass(slots=True)
class LayoutReading:
    """One reading of a layout."""

    source: Source
    indexer: Indexer
    development: bool
    left_out: list[str] = field(default_factory=list)
    """Images that indexes name and the layout does not hold."""
    _found: dict[Digest, Target] = field(default_factory=dict)
    _layers: dict[Digest, LayerInventory] = field(default_factory=dict)

    async def run(self) -> list[Target]:
        """Every image of the layout.

        Raises:
            LayoutRefused, TargetRefused, IndexingFailed
        """
        for item in index_of(self.source):
            root = root_of(item)
            annotations = item.get("annotations")
            await self._image(root, _name(annotations if isinstance(annotations, dict) else {}, root), (), 0)
        return list(self._found.values())

    async def _image(self, descriptor: Descriptor, name: str, parents: tuple[str, ...], depth: int) -> None:
        if descriptor.digest in self._found:
            return
        if depth > _MOST_DEPTH or len(self._found) > _MOST_IMAGES:
            raise TargetRefused("the layout's indexes name more images, or deeper ones, than are scanned at once")
        content = manifest_bytes(self.source, descriptor.digest, descriptor.size_bytes)
        try:
            manifest = parse(content, descriptor.media_type)
        except ManifestRefused as refusal:
            raise LayoutRefused(f"{descriptor.digest} is no manifest: {refusal}") from None
        if manifest.is_index:
            for member in manifest.members:
                if not member.is_manifest or not runs_somewhere(member):
                    continue
                if self.source.size_bytes(blob_name(member.digest)) is None:
                    self.left_out.append(f"{member.digest}{_platform(member)}")
                else:
                    await self._image(
                        member, f"{name}{_platform(member)}", (*parents, str(descriptor.digest)), depth + 1
                    )
        elif is_scannable(
            manifest.media_type,
            manifest.config.media_type if manifest.config else None,
            [layer.media_type for layer in manifest.layers],
        ):
            self._found[descriptor.digest] = await self._target(descriptor.digest, manifest, name, parents)

    async def _target(self, digest: Digest, manifest: Manifest, name: str, parents: tuple[str, ...]) -> Target:
        inventories, gaps = [], []
        file_systems = [layer for layer in manifest.layers if "tar" in layer.media_type]
        for layer in file_systems:
            if self.source.size_bytes(blob_name(layer.digest)) is None:
                if not layer.is_foreign:
                    raise TargetRefused(f"the layout does not hold the layer {layer.digest}; make it again, whole")
                gaps.append(f"The layer {layer.digest} is not to be distributed, and not in the layout.")
                inventories.append(LayerInventory())
                continue
            inventories.append(await self._layer(layer))
        config = self._config(manifest)
        architecture = config.get("architecture")
        return Target(
            name,
            squash(inventories, development=self.development),
            digest=str(digest),
            layers=tuple(str(layer.digest) for layer in file_systems),
            architecture=architecture[:_TEXT_LENGTH] if isinstance(architecture, str) else "",
            digests=frozenset((str(digest), *parents)),
            gaps=tuple(gaps),
        )

    async def _layer(self, layer: Descriptor) -> LayerInventory:
        if layer.digest not in self._layers:
            pieces = self.source.pieces(blob_name(layer.digest))
            self._layers[layer.digest] = unpack(await self.indexer.index(verified(pieces, layer.digest)))
        return self._layers[layer.digest]

    def _config(self, manifest: Manifest) -> Mapping[str, Any]:
        """What the image's config says; nothing where it cannot be read: it decides nothing."""
        config = manifest.config
        size_bytes = None if config is None else self.source.size_bytes(blob_name(config.digest))
        if config is None or size_bytes is None or size_bytes > _MOST_CONFIG_BYTES:
            return {}
        content = b"".join(self.source.pieces(blob_name(config.digest)))
        try:
            document = bounded_json.loads(content)
        except JsonRefused:
            return {}
        return document if isinstance(document, dict) and _is(content, config.digest) else {}


def _is(content: bytes, digest: Digest) -> bool:
    return Digest.from_raw(digest.algorithm, hashlib.new(digest.algorithm, content).digest()) == digest


def _name(annotations: Mapping[str, Any], root: Descriptor) -> str:
    for key in (CONTAINERD_NAME, REF_NAME):
        said = annotations.get(key)
        if isinstance(said, str) and said and len(said) <= _TEXT_LENGTH:
            return said
    return str(root.digest)


def _platform(member: Descriptor) -> str:
    said = member.platform or {}
    parts = [said.get(key) for key in ("os", "architecture", "variant")]
    return "".join(f" ({text})" for text in ["/".join(part[:32] for part in parts if isinstance(part, str))] if text)
