"""Manifests and indexes, read but never rewritten: what they reference, what kind they are, what they weigh.

Two kinds share the JSON text and are told apart by their fields, never by a client's word alone: a document with the
fields of both is refused, as is one whose ``mediaType`` contradicts the request (the type confusion of CVE-2021-41190).
Sources: OCI image specification 1.1 (manifest, index, descriptor), Docker image manifest version 2 schema 2.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.names import Digest

MOST_BYTES = 4 * 1024 * 1024
_MOST_REFERENCES = 10_000
_FIELDS = frozenset(
    ("schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations")
)
_FIELDS_IN_LOWER_CASE = frozenset(name.lower() for name in _FIELDS)

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"

IMAGE_TYPES = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
INDEX_TYPES = frozenset((OCI_INDEX, DOCKER_LIST))
MANIFEST_TYPES = IMAGE_TYPES | INDEX_TYPES

_DOCKER_TO_OCI = {
    DOCKER_MANIFEST: OCI_MANIFEST,
    "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}
_OCI_TO_DOCKER = {oci: docker for docker, oci in _DOCKER_TO_OCI.items()}


class ManifestRefused(Exception):
    """The bytes are no manifest that openecr takes; the text says why, for the log and for ManifestInvalid."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something it references."""

    digest: Digest
    media_type: str
    size_bytes: int
    platform: dict[str, Any] | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the registry need not hold the bytes: a non-distributable layer."""
        return "nondistributable" in self.media_type or "rootfs.foreign" in self.media_type

    @property
    def is_manifest(self) -> bool:
        """Whether it says that it references a manifest or an index."""
        return self.media_type in MANIFEST_TYPES


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as pushed, and what was read from it."""

    content: bytes
    media_type: str
    is_index: bool
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    members: tuple[Descriptor, ...]
    """What an index names: images, other indexes, or, in BuildKit's caches, blobs."""
    subject: Digest | None
    artifact_type: str | None
    annotations: dict[str, str] | None

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config, then layers: what the repository must hold."""
        needed = self.layers if self.config is None else (self.config, *self.layers)
        return tuple(item for item in needed if not item.is_foreign)


def parse(content: bytes, content_type: str | None) -> Manifest:
    """Read a pushed manifest.

    Args:
        content: the bytes as pushed.
        content_type: the media type that the request names, without parameters; None where it names none.
    Raises:
        ManifestRefused: the text is not a manifest or index of a known kind.
    """
    document = _read_json(content)
    if any(name not in _FIELDS and name.lower() in _FIELDS_IN_LOWER_CASE for name in document):
        raise ManifestRefused("a field's name is spelled in another case, which some clients read as the field itself")
    said = document.get("mediaType")
    if said is not None and not isinstance(said, str):
        raise ManifestRefused("mediaType is not a text")
    media_type = said or content_type or ""
    if media_type not in MANIFEST_TYPES:
        raise ManifestRefused(f"the media type '{media_type}' is not a manifest's")
    if content_type in MANIFEST_TYPES and said not in (None, content_type):
        raise ManifestRefused(f"mediaType '{said}' contradicts the request's '{content_type}'")
    if document.get("schemaVersion") != 2:
        raise ManifestRefused("schemaVersion must be 2")
    is_index = media_type in INDEX_TYPES
    if ("manifests" in document) != is_index or ("layers" in document or "config" in document) == is_index:
        raise ManifestRefused("the fields are not those of the media type")
    subject = _descriptor(document["subject"]) if document.get("subject") is not None else None
    return Manifest(
        content=content,
        media_type=media_type,
        is_index=is_index,
        config=None if is_index else _descriptor(document.get("config")),
        layers=() if is_index else _descriptors(document.get("layers")),
        members=_descriptors(document.get("manifests")) if is_index else (),
        subject=subject.digest if subject else None,
        artifact_type=_text(document, "artifactType"),
        annotations=_annotations(document.get("annotations")),
    )


def platform_member(manifest: Manifest, operating_system: str, architecture: str) -> Descriptor | None:
    """The first member of an index for a platform."""
    for member in manifest.members:
        platform = member.platform or {}
        if platform.get("os") == operating_system and platform.get("architecture") == architecture:
            return member
    return None


def convert(content: bytes, media_type: str, accepted: frozenset[str]) -> tuple[bytes, str] | None:
    """An image manifest in the other of the two formats, where only that is accepted; None where it cannot be.

    ECR converts between Docker's schema 2 and OCI when a pull by tag accepts only the other (user guide,
    "Container image manifest format support"). The result has a digest of its own.
    """
    target, names = (
        (OCI_MANIFEST, _DOCKER_TO_OCI) if media_type == DOCKER_MANIFEST else (DOCKER_MANIFEST, _OCI_TO_DOCKER)
    )
    if media_type not in IMAGE_TYPES or target not in accepted:
        return None
    document = orjson.loads(content)
    parts = [document["config"], *document["layers"]]
    if any(part["mediaType"] not in names for part in parts) or "subject" in document or "artifactType" in document:
        return None
    document["mediaType"] = target
    for part in parts:
        part["mediaType"] = names[part["mediaType"]]
    return orjson.dumps(document, option=orjson.OPT_INDENT_2), target


def _read_json(content: bytes) -> dict[str, Any]:
    if len(content) > MOST_BYTES:
        raise ManifestRefused("longer than 4 MiB")
    try:
        document = bounded_json.loads(content)
    except JsonRefused as refusal:
        raise ManifestRefused(f"the manifest {refusal}") from None
    if not isinstance(document, dict):
        raise ManifestRefused("not a JSON object")
    return document


def _descriptors(value: Any) -> tuple[Descriptor, ...]:
    if not isinstance(value, list) or len(value) > _MOST_REFERENCES:
        raise ManifestRefused("a list of descriptors is missing, or too long")
    return tuple(_descriptor(item) for item in value)


def _descriptor(value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise ManifestRefused("a descriptor is missing or not an object")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType")
    parsed = Digest.parse(digest) if isinstance(digest, str) else None
    if parsed is None:
        raise ManifestRefused("a descriptor's digest is not sha256 or sha512")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
        raise ManifestRefused("a descriptor's size is not a count of bytes")
    if not isinstance(media_type, str) or len(media_type) > 255 or "\0" in media_type:
        raise ManifestRefused("a descriptor's mediaType is not a text of up to 255 characters")
    platform = value.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise ManifestRefused("a descriptor's platform is not an object")
    return Descriptor(parsed, media_type, size, platform)


def _text(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 255 or "\0" in value):
        raise ManifestRefused(f"{name} is not a text of up to 255 characters")
    return value or None


def _annotations(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ManifestRefused("annotations are not texts")
    return value or None
