"""What audit records call a request that never came to a decision: as the decision it would have come to."""

from typing import Any

from openecr.access.tokens import NotCredentials
from openecr.errors import LayerNotFound, TokenInvalid
from openecr.events.trail import DKR, Trail
from openecr.names import Digest, RegistryName, is_image_tag, is_repository_name, repository_arn
from openecr.oci.routes import Route

_NAMES = {
    ("root", "GET"): "CheckCredentials",
    ("manifest", "GET"): "BatchGetImage",
    ("manifest", "PUT"): "PutImage",
    ("manifest", "DELETE"): "BatchDeleteImage",
    ("blob", "HEAD"): "BatchCheckLayerAvailability",
    ("blob", "GET"): "GetDownloadUrlForLayer",
    ("uploads", "POST"): "InitiateLayerUpload",
    ("upload", "PATCH"): "UploadLayerPart",
    ("upload", "PUT"): "CompleteLayerUpload",
    ("upload", "GET"): "DescribeLayerUpload",
    ("upload", "DELETE"): "CancelLayerUpload",
    ("tags", "GET"): "ListImages",
    ("catalog", "GET"): "DescribeRepositories",
    ("referrers", "GET"): "ListImageReferrers",
}


def begun(
    request_id: str, now_us: int, source_address: str, headers: dict[bytes, bytes], registry: RegistryName
) -> Trail:
    """The trail of a request that begins."""
    user_agent = headers.get(b"user-agent", b"").decode("latin-1")[:1024]
    return Trail(DKR, request_id, now_us, source_address, user_agent, registry)


def fail(trail: Trail, error: BaseException, route: Route | None, method: str) -> None:
    """Note that the request failed.

    A layer that is not there is what BatchCheckLayerAvailability answers, not an error: every push asks first.
    """
    name = _name_of(route, method)
    if isinstance(error, LayerNotFound) and name == "BatchCheckLayerAvailability" and trail.events:
        return
    arguments: dict[str, Any] = {}
    resources: list[str] = []
    if route is not None and is_repository_name(route.name):
        arguments["repository_name"] = route.name
        resources = [repository_arn(trail.registry, route.name)]
    if route is not None and route.noun == "manifest":
        reference = Digest.parse(route.reference) or route.reference
        if isinstance(reference, Digest) or is_image_tag(reference):
            arguments["reference"] = reference
    told = TokenInvalid() if isinstance(error, NotCredentials) else error
    event = trail.fail(told, "ecr", name, arguments)
    event.resources = event.resources or resources


def _name_of(route: Route | None, method: str) -> str:
    noun = "" if route is None else route.noun
    found = _NAMES.get((noun, method))
    return found or _NAMES.get((noun, "GET" if method == "HEAD" else method), "UnknownOperation")
