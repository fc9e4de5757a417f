"""Blobs: HEAD, and GET by redirect to the store or to the layers plane."""

from openecr.errors import InvalidDigest, LayerNotFound, NotSupported
from openecr.names import Digest
from openecr.oci.http import Answer, Request
from openecr.oci.render import VERSION_HEADER, empty
from openecr.services.ecr.layers import check, locate_layer
from openecr.waist import Flow, Waist


async def handle(waist: Waist, request: Request) -> Answer:
    """``/v2/{name}/blobs/{digest}``."""
    digest = Digest.parse(request.reference)
    if digest is None:
        raise InvalidDigest(parameter="layerDigest")
    match request.method:
        case "HEAD":
            return await _head(waist, request, digest)
        case "GET":
            found = await waist.run(locate_layer, request.origin, repository_name=request.name, digest=digest)
            return empty(307, (b"location", found.encode()), (b"docker-content-digest", str(digest).encode()))
    raise NotSupported(message="The operation is unsupported.")


async def _head(waist: Waist, request: Request, digest: Digest) -> Answer:
    found = await check(Flow(waist, request.origin), repository_name=request.name, digests=(digest,))
    told = found.get(digest)
    if told is None:
        raise LayerNotFound(digest=digest, repository=request.name, registry_id=request.origin.registry.account_id)
    headers = (
        VERSION_HEADER,
        (b"content-type", b"application/octet-stream"),
        (b"docker-content-digest", str(digest).encode()),
        (b"accept-ranges", b"bytes"),
    )
    return Answer(200, headers, b"", told.layer.size_bytes)
