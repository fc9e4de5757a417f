"""What is pushed: random bytes that do not compress and never repeat, and small true OCI images made of them."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Blob:
    """Random bytes and their digest."""

    digest: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """An image: a manifest, and its config and layers by digest."""

    manifest: bytes
    blobs: dict[str, bytes]
    media_type: str = MANIFEST_TYPE

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return sha256(self.manifest)


def sha256(content: bytes | memoryview) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def random_blob(size_bytes: int) -> Blob:
    """A blob that no other push contains."""
    content = os.urandom(size_bytes)
    return Blob(sha256(content), content)


def random_file(path: Path, size_bytes: int) -> str:
    """Fill a file with random bytes and return its digest; the memory used stays small."""
    hashed = hashlib.sha256()
    left_bytes = size_bytes
    with path.open("wb") as file:
        while left_bytes:
            piece = os.urandom(min(16 * MIB, left_bytes))
            hashed.update(piece)
            file.write(piece)
            left_bytes -= len(piece)
    return f"sha256:{hashed.hexdigest()}"


def random_image(layer_sizes_bytes: list[int]) -> Image:
    """An image whose layers are random bytes of the given sizes."""
    layers = [random_blob(size_bytes) for size_bytes in layer_sizes_bytes]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"nonce": os.urandom(8).hex()}},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": layer.digest, "size": len(layer.content)} for layer in layers],
    }
    blobs = {sha256(config): config} | {layer.digest: layer.content for layer in layers}
    return Image(json.dumps(manifest, indent=3).encode(), blobs)


def variant(image: Image, number: int) -> bytes:
    """A manifest of the same config and layers with a digest of its own."""
    document = json.loads(image.manifest)
    document["annotations"] = {"org.example.bench.number": str(number)}
    return json.dumps(document).encode()
