"""Manifests: GET, HEAD, PUT, DELETE."""

from functools import lru_cache

from openecr.errors import (
    ImageDigestDoesNotMatch,
    InvalidDigest,
    InvalidTag,
    ManifestInvalid,
    ManifestTooLarge,
    NotSupported,
)
from openecr.manifest import MANIFEST_TYPES, MOST_BYTES
from openecr.names import Digest, is_image_tag
from openecr.oci.http import Answer, Request
from openecr.oci.render import VERSION_HEADER, empty
from openecr.services.ecr.image_deletion import delete_manifest
from openecr.services.ecr.images import offer, pull_image, push_image
from openecr.waist import Waist

_MOST_TAGS = 100


async def handle(waist: Waist, request: Request) -> Answer:
    """``/v2/{name}/manifests/{reference}``."""
    match request.method:
        case "GET" | "HEAD":
            return await _get(waist, request)
        case "PUT":
            return await _put(waist, request)
        case "DELETE":
            await waist.run(
                delete_manifest,
                request.origin,
                repository_name=request.name,
                reference=_reference(request.reference),
            )
            return empty(202)
    raise NotSupported(message="The operation is unsupported.")


async def _get(waist: Waist, request: Request) -> Answer:
    pulled = await waist.run(
        pull_image,
        request.origin,
        repository_name=request.name,
        reference=_reference(request.reference),
        accepted=_accepted(request.headers.get(b"accept", b"")),
        counts=request.method == "GET",
    )
    headers = (
        VERSION_HEADER,
        (b"content-type", pulled.media_type.encode()),
        (b"docker-content-digest", str(pulled.digest).encode()),
    )
    if request.method == "HEAD":
        return Answer(200, headers, b"", len(pulled.content))
    return Answer(200, headers, pulled.content)


async def _put(waist: Waist, request: Request) -> Answer:
    reference = _reference(request.reference)
    tags = tuple(request.query.get("tag", ()))
    if isinstance(reference, str) and tags:
        raise ManifestInvalid(message="Tags as parameters belong to a push by digest")
    if len(tags) > _MOST_TAGS or not all(is_image_tag(tag) for tag in tags):
        raise InvalidTag
    content = await request.body(MOST_BYTES)
    if content is None:
        raise ManifestTooLarge
    try:
        pushed = await waist.run(
            push_image,
            request.origin,
            repository_name=request.name,
            offered=offer(
                content,
                _content_type(request.header(b"content-type")),
                reference if isinstance(reference, Digest) else _digest_header(request),
            ),
            tags=(reference,) if isinstance(reference, str) else tags,
        )
    except ImageDigestDoesNotMatch as error:
        raise ManifestInvalid(message=error.message) from None
    digest = str(pushed.digest).encode()
    headers = [
        (b"location", f"{request.repository_path}/manifests/".encode() + digest),
        (b"docker-content-digest", digest),
    ]
    if pushed.manifest.subject is not None:
        headers.append((b"oci-subject", str(pushed.manifest.subject).encode()))
    headers += [(b"oci-tag", tag.encode()) for tag in tags]
    return empty(201, *headers)


def _reference(text: str) -> Digest | str:
    """A digest where there is a colon, else a tag."""
    if ":" not in text:
        if not is_image_tag(text):
            raise InvalidTag
        return text
    digest = Digest.parse(text)
    if digest is None:
        raise InvalidDigest(parameter="imageDigest")
    return digest


def _digest_header(request: Request) -> Digest | None:
    """The digest that a push by tag may announce in a header."""
    text = request.header(b"docker-content-digest")
    if text is None:
        return None
    digest = Digest.parse(text)
    if digest is None:
        raise InvalidDigest(parameter="imageDigest")
    return digest


def _content_type(header: str | None) -> str | None:
    return None if header is None else header.partition(";")[0].strip().lower()


@lru_cache(maxsize=256)
def _accepted(header: bytes) -> frozenset[str]:
    """The manifest types that an Accept header takes; empty where it takes anything."""
    items = [item.partition(";")[0].strip().lower() for item in header.decode("latin-1").split(",")]
    if not header or "*/*" in items or "application/*" in items:
        return frozenset()
    return frozenset(item for item in items if item in MANIFEST_TYPES)
