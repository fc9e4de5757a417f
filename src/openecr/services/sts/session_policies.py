"""The policies that a session's maker narrows it with: checked, and kept as they were when the session was made."""

from collections.abc import Mapping, Sequence

from openecr.access import aws_managed
from openecr.access.policies.document import PolicyInvalid, PolicyKind, compiled
from openecr.call import Call
from openecr.db import sessions
from openecr.errors import MalformedPolicyDocument, ValidationFailed
from openecr.services.sts.session_rules import require_policy_size


def session_policies(
    call: Call, account_id: str, policy: str | None, policy_arns: Sequence[Mapping[str, str]]
) -> tuple[list[str], list[tuple[str, str]]]:
    """(the ARNs, (name, document) of every policy) of a new session of a role or user of this account.

    Raises:
        MalformedPolicyDocument, ValidationFailed
    """
    arns = [item.get("arn", "") for item in policy_arns]
    require_policy_size(policy, arns)
    found = [(arn, _managed(call, account_id, arn)) for arn in arns]
    if policy is not None:
        try:
            compiled(policy, PolicyKind.SESSION)
        except PolicyInvalid as invalid:
            raise MalformedPolicyDocument(message=invalid.why) from None
        found.append(("the session policy", policy))
    return arns, found


def _managed(call: Call, account_id: str, arn: str) -> str:
    known = aws_managed.find(arn)
    if known is not None:
        return known.document
    document = sessions.managed_policy(call.db, account_id, arn)
    if document is None:
        raise ValidationFailed(message=f"Policy {arn} does not exist or is not attachable.")
    return document
