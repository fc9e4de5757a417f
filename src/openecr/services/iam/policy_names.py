"""What a managed policy is called by, and which that is."""

import re

from openecr.access import aws_managed
from openecr.access.aws_managed import ManagedPolicy
from openecr.call import Call
from openecr.db import managed_policies
from openecr.db.managed_policies import Policy
from openecr.errors import AccessDenied, InvalidInput, NoSuchEntity
from openecr.services.iam import arns

_ARN = re.compile(r"arn:aws:iam::(?:[0-9]{12}|aws):policy(/(?:[!-~]+/)?)([\w+=,.@-]{1,128})", re.ASCII)


def is_policy_arn(text: str) -> bool:
    """Whether a text is the ARN of a managed policy, there or not."""
    return _ARN.fullmatch(text) is not None


def path_and_name(policy_arn: str) -> tuple[str, str]:
    """(path, name) in a managed policy's ARN."""
    parts = _ARN.fullmatch(policy_arn)
    return ("/", "") if parts is None else (parts[1], parts[2])


def find(call: Call, policy_arn: str, missing: str, *, to_delete: bool = False) -> Policy | ManagedPolicy:
    """The policy of AWS or of the caller's account that has this ARN; held where the call writes.

    Args:
        missing: the sentence where there is none, with ``{arn}``.
    Raises:
        InvalidInput, NoSuchEntity: it is no policy's ARN, or the policy is not there.
    """
    if not is_policy_arn(policy_arn):
        raise InvalidInput(message=f"ARN {policy_arn} is not valid.")
    of_aws = aws_managed.find(policy_arn)
    if of_aws is not None:
        return of_aws
    found = None
    if policy_arn.startswith(arns.arn(call.registry().account_id, "policy/")):
        found = managed_policies.find(call.db, policy_arn, lock=call.writes, to_delete=to_delete)
    if found is None:
        raise NoSuchEntity(message=missing.format(arn=policy_arn))
    return found


def require_own(call: Call, action: str, policy_arn: str, *, to_delete: bool = False) -> Policy:
    """The policy of the caller's account that has this ARN; AWS's own cannot be changed by anyone.

    Raises:
        InvalidInput, NoSuchEntity, AccessDenied: it is no policy's ARN, not there, or AWS's.
    """
    found = find(call, policy_arn, "Policy {arn} was not found.", to_delete=to_delete)
    if isinstance(found, ManagedPolicy):
        reason = f"because no resource-based policy allows the {action} action"
        raise AccessDenied(principal=call.caller.arn, action=action, resource=policy_arn, reason=reason)
    return found
