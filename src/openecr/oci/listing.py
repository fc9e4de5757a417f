"""What a repository and a registry hold: tags, the catalog, referrers."""

from urllib.parse import quote, urlencode

from openecr.errors import InvalidDigest, InvalidParameter, NotSupported
from openecr.manifest import OCI_INDEX
from openecr.names import Digest
from openecr.oci.http import Answer, Request
from openecr.oci.render import VERSION_HEADER, json_answer
from openecr.services.ecr.image_listing import list_referrers, list_tags
from openecr.services.ecr.repositories import catalog
from openecr.waist import Waist

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000


async def tags(waist: Waist, request: Request) -> Answer:
    """``GET /v2/{name}/tags/list``, in byte order."""
    _require_get(request)
    most = _page_size(request)
    found = await waist.run(
        list_tags, request.origin, repository_name=request.name, after=request.parameter("last") or "", most=most
    )
    document = {"name": request.name, "tags": found.items}
    if not found.has_more or not most:
        return json_answer(200, document)
    return json_answer(200, document, _next(f"{request.repository_path}/tags/list", most, found.items[-1]))


async def repositories(waist: Waist, request: Request) -> Answer:
    """``GET /v2/_catalog``: the repositories of the addressed registry."""
    _require_get(request)
    most = _page_size(request)
    found = await waist.run(catalog, request.origin, after=request.parameter("last") or "", most=most)
    document = {"repositories": found.items}
    if not found.has_more or not most:
        return json_answer(200, document)
    return json_answer(200, document, _next(f"/v2{request.prefix}/_catalog", most, found.items[-1]))


async def referrers(waist: Waist, request: Request) -> Answer:
    """``GET /v2/{name}/referrers/{digest}``: an index of what refers to the digest (OCI 1.1)."""
    _require_get(request)
    subject = Digest.parse(request.reference)
    if subject is None:
        raise InvalidDigest(parameter="imageDigest")
    wanted = tuple(request.query.get("artifactType", ()))
    found = await waist.run(
        list_referrers,
        request.origin,
        repository_name=request.name,
        subject=subject,
        artifact_types=wanted,
        next_token=request.parameter("next"),
        default_most=_DEFAULT_PAGE,
    )
    manifests = [
        {key: value for key, value in item.items() if value is not None and key != "artifactStatus"}
        for item in found.items
    ]
    headers = [(b"oci-filters-applied", b"artifactType")] if wanted else []
    if found.next_token is not None:
        query = urlencode([("next", found.next_token), *(("artifactType", item) for item in wanted)])
        headers.append((b"link", f'<{request.repository_path}/referrers/{subject}?{query}>; rel="next"'.encode()))
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    answer = json_answer(200, document)
    return Answer(200, (VERSION_HEADER, (b"content-type", OCI_INDEX.encode()), *headers), answer.body)


def _require_get(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise NotSupported(message="The operation is unsupported.")


def _page_size(request: Request) -> int:
    """``n``, refused above 1,000 as ECR does, rather than clamped."""
    text = request.parameter("n")
    if text is None:
        return _DEFAULT_PAGE
    if not text.isascii() or not text.isdigit():
        raise InvalidParameter(parameter="maxResults", constraint="Member must have value greater than or equal to 0")
    if len(text) > 12 or int(text) > _LARGEST_PAGE:
        raise InvalidParameter(
            parameter="maxResults", constraint=f"Member must have value less than or equal to {_LARGEST_PAGE}"
        )
    return int(text)


def _next(path: str, most: int, last: str) -> tuple[bytes, bytes]:
    return b"link", f'<{path}?n={most}&last={quote(last, safe="")}>; rel="next"'.encode()
