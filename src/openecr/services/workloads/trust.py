"""Whether a workload's role may be assumed by the service that assumes it on AWS: EC2 for a node, ECS for a task."""

from collections.abc import Mapping
from datetime import UTC, datetime

from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import AccessRequest, NamedPolicy, PolicySet, Principal, evaluate
from openecr.db.workloads import Workload


def trusts(found: Workload, now_us: int) -> bool:
    """Whether the role's trust policy, as it is now, lets the workload's service assume it."""
    if found.role_arn is None or found.account_id is None or found.trust_policy is None:
        return False
    policy = NamedPolicy(f"the trust policy of role {found.role_name}", compiled(found.trust_policy, PolicyKind.TRUST))
    request = AccessRequest(
        principal=Principal(arn="", account_id="", kind="service", service=found.service),
        action="sts:AssumeRole",
        resource=found.role_arn,
        resource_account_id=found.account_id,
        context=_context(found, found.account_id, now_us),
    )
    return evaluate(request, PolicySet(resource=policy)).allowed


def _context(found: Workload, account_id: str, now_us: int) -> Mapping[str, tuple[str, ...]]:
    """What a trust policy may ask of a service (IAM User Guide, "The confused deputy problem" and "AWS global condition
    context keys"): it acts for the role's own account."""
    return {
        "aws:sourceaccount": (account_id,),
        "aws:principalisawsservice": ("true",),
        "aws:principalservicename": (found.service,),
        "aws:currenttime": (datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(now_us // 1_000_000),),
        "sts:rolesessionname": (found.name,),
    }
