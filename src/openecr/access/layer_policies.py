"""May a layer be read through this endpoint? What S3 asks of the policy of a gateway endpoint, asked here.

A presigned URL is the right to a layer, so that no policy but the endpoint's weighs on it; the caller is nobody in
particular, whom only statements for everyone mean (ECR user guide, "Minimum Amazon S3 bucket permissions for Amazon
ECR").
"""

from openecr.access.condition_keys import Asked, Context
from openecr.access.identity import ANONYMOUS
from openecr.access.networks import Way
from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import AccessRequest, NamedPolicy, PolicySet, Verdict, evaluate
from openecr.names import partition_of

_ACTION = "s3:GetObject"
_EVERYONE = NamedPolicy(
    "the presigned URL",
    compiled('{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}', PolicyKind.ENDPOINT),
)


def object_arn(region: str, object_id: str) -> str:
    """The layer in the bucket that ECR has in a region."""
    return f"arn:{partition_of(region)}:s3:::prod-{region}-starport-layer-bucket/{object_id}"


def denial(region: str, object_id: str, refused: Verdict) -> str:
    """S3's sentence for a layer that the policy keeps back."""
    arn = object_arn(region, object_id)
    return f'User: anonymous is not authorized to perform: {_ACTION} on resource: "{arn}" {refused.reason}'


def verdict(way: Way, *, region: str, object_id: str, now_us: int, secure: bool, user_agent: str) -> Verdict | None:
    """What the endpoint's policy says; None where the request came by none that has a policy of its own."""
    if way.policy is None:
        return None
    asked = Asked(
        caller=ANONYMOUS,
        now_us=now_us,
        region=region,
        action=_ACTION,
        resource_account_id="",
        source_address=way.source or "",
        secure=secure,
        user_agent=user_agent,
        vpc_id=way.vpc_id,
        vpc_endpoint_id=way.endpoint_id,
        vpc_source_ip=way.source,
    )
    request = AccessRequest(ANONYMOUS.principal, _ACTION, object_arn(region, object_id), "", Context(asked))
    policy = NamedPolicy(f"the policy of {way.endpoint_id}", compiled(way.policy, PolicyKind.ENDPOINT))
    return evaluate(request, PolicySet(resource=_EVERYONE, endpoint=policy))
