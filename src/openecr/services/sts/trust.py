"""May a role be assumed? Its trust policy says so, and the caller's own policies where AWS asks for both.

A role that does not trust its caller and a role that is not there are refused in the same words, so that nobody learns
which roles an account has (reference D2, "enumeration").
"""

import re
from collections.abc import Mapping

from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import NamedPolicy
from openecr.call import Call
from openecr.db import sessions
from openecr.db.sessions import AssumableRole
from openecr.errors import AssumptionDenied, ValidationFailed

TAG_SESSION, SET_SOURCE_IDENTITY = "sts:TagSession", "sts:SetSourceIdentity"
Keys = Mapping[str, tuple[str, ...]]

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/(?:[\x21-\x7e]+/)?([\w+=,.@-]{1,64})", re.ASCII)


def find_role(call: Call, role_arn: str) -> AssumableRole | None:
    """The role of exactly this ARN.

    Raises:
        ValidationFailed: the text is no role's ARN.
    """
    found = _ROLE_ARN.fullmatch(role_arn)
    if found is None:
        raise ValidationFailed(message=f"{role_arn} is invalid")
    role = sessions.find_role(call.db, found[1], found[2])
    return role if role is not None and role.arn == role_arn else None


def account_of(role_arn: str) -> str:
    """The account in a role's ARN; empty where the text is none."""
    found = _ROLE_ARN.fullmatch(role_arn)
    return "" if found is None else found[1]


def trust_policy(role: AssumableRole) -> NamedPolicy | None:
    """Whom a role trusts."""
    if role.trust_policy is None:
        return None
    return NamedPolicy(f"the trust policy of role {role.name}", compiled(role.trust_policy, PolicyKind.TRUST))


def require_trusted(call: Call, role: AssumableRole | None, role_arn: str, action: str, keys: Keys) -> AssumableRole:
    """The role, where both it and the caller's own account let the caller do this with it.

    Raises:
        AssumptionDenied
    """
    policy = None if role is None else trust_policy(role)
    if role is None or policy is None:
        raise AssumptionDenied(principal=call.caller.arn, action=action, resource=role_arn)
    verdict = call.verdict(action, role.arn, trust=policy, more=keys)
    if not verdict.allowed:
        raise AssumptionDenied(principal=call.caller.arn, action=action, resource=role_arn, verdict=verdict)
    return role
