"""Blob uploads: open, mount, append, finish, ask, cancel."""

import re
from dataclasses import dataclass

from openecr.errors import InvalidDigest, NotSupported, RangeInvalid, UploadNotFound
from openecr.names import UPLOAD_ID, Digest, is_repository_name
from openecr.oci.http import Answer, Request
from openecr.oci.render import empty
from openecr.services.ecr import uploads
from openecr.services.ecr.layers import mount_layer
from openecr.services.ecr.upload_completion import complete_upload
from openecr.services.ecr.upload_parts import append
from openecr.waist import Flow, Waist

_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?")


@dataclass(frozen=True, slots=True)
class _ContentRange:
    first_byte: int
    size_bytes: int


async def open_upload(waist: Waist, request: Request) -> Answer:
    """``POST /v2/{name}/blobs/uploads/``: mount, upload whole, or open an upload."""
    if request.method != "POST":
        raise NotSupported(message="The operation is unsupported.")
    mounted = await _mount(waist, request)
    if mounted is not None:
        return _created(request, mounted)
    whole = _digest(request) if request.parameter("digest") is not None else None
    upload_id = await waist.run(
        uploads.begin, request.origin, repository_name=request.name, upload_id=waist.deployment.new_id()
    )
    if whole is not None:
        await _append(waist, request, upload_id, None)
        return await _complete(waist, request, upload_id, whole)
    return _progress(request, 202, upload_id, 0)


async def _mount(waist: Waist, request: Request) -> Digest | None:
    """The mounted layer's digest; None where the client must upload, whatever the reason."""
    mount, source = request.parameter("mount"), request.parameter("from")
    digest = Digest.parse(mount) if mount else None
    if digest is None or (source is not None and not is_repository_name(source)):
        return None
    linked = await waist.run(
        mount_layer, request.origin, repository_name=request.name, source_name=source, digest=digest
    )
    return digest if linked else None


async def handle(waist: Waist, request: Request) -> Answer:
    """``/v2/{name}/blobs/uploads/{upload}``."""
    upload_id = request.reference
    if not UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFound(
            upload_id=upload_id, repository=request.name, registry_id=request.origin.registry.account_id
        )
    match request.method:
        case "PATCH":
            end_bytes = await _append(waist, request, upload_id, _content_range(request))
            return _progress(request, 202, upload_id, end_bytes)
        case "PUT":
            digest = _digest(request)
            if request.content_length != 0:
                await _append(waist, request, upload_id, _content_range(request))
            return await _complete(waist, request, upload_id, digest)
        case "GET":
            offset_bytes = await waist.run(
                uploads.offset_of, request.origin, repository_name=request.name, upload_id=upload_id
            )
            return _progress(request, 204, upload_id, offset_bytes)
        case "DELETE":
            await waist.run(uploads.cancel, request.origin, repository_name=request.name, upload_id=upload_id)
            return empty(204)
    raise NotSupported(message="The operation is unsupported.")


async def _append(waist: Waist, request: Request, upload_id: str, content_range: _ContentRange | None) -> int:
    return await append(
        Flow(waist, request.origin),
        repository_name=request.name,
        upload_id=upload_id,
        pieces=request.pieces(),
        first_byte=content_range.first_byte if content_range else None,
        told_bytes=content_range.size_bytes if content_range else None,
    )


async def _complete(waist: Waist, request: Request, upload_id: str, digest: Digest) -> Answer:
    await waist.run(
        complete_upload,
        request.origin,
        repository_name=request.name,
        upload_id=upload_id,
        digests=(digest,),
        spare_id=waist.deployment.new_object_id(request.origin.registry.region),
    )
    return _created(request, digest)


def _digest(request: Request) -> Digest:
    digest = Digest.parse(request.parameter("digest") or "")
    if digest is None:
        raise InvalidDigest(parameter="layerDigests")
    return digest


def _content_range(request: Request) -> _ContentRange | None:
    """The range that a chunk says it covers."""
    text = request.header(b"content-range")
    if text is None:
        return None
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise RangeInvalid(message="The Content-Range header is not of the form start-end")
    size_bytes = int(found[2]) - int(found[1]) + 1
    if request.content_length not in (None, size_bytes):
        raise RangeInvalid(message="The Content-Range header does not match the Content-Length header")
    return _ContentRange(int(found[1]), size_bytes)


def _progress(request: Request, status: int, upload_id: str, size_bytes: int) -> Answer:
    location = f"{request.repository_path}/blobs/uploads/{upload_id}".encode()
    return empty(
        status,
        (b"location", location),
        (b"range", f"0-{max(size_bytes - 1, 0)}".encode()),
        (b"docker-upload-uuid", upload_id.encode()),
    )


def _created(request: Request, digest: Digest) -> Answer:
    location = f"{request.repository_path}/blobs/{digest}".encode()
    return empty(201, (b"location", location), (b"docker-content-digest", str(digest).encode()))
