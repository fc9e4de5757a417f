"""The policy of a registry: what other accounts may do in all of it (ECR user guide, "Registry permissions")."""

import json
from typing import Any

from openecr.access.policies.document import PolicyInvalid, PolicyKind, compiled, parse
from openecr.access.policies.evaluation import NamedPolicy
from openecr.access.policies.rendering import pretty
from openecr.call import Call, no_resource, operation
from openecr.db import registries, resource_policies
from openecr.errors import InvalidParameter, RegistryPolicyNotFound
from openecr.services.ecr import policy_principals
from openecr.services.ecr.policy_principals import PrincipalMissing


@operation("PutRegistryPolicy", writes=True, resources=no_resource)
def put_registry_policy(call: Call, *, policy_text: str) -> dict[str, Any]:
    """Put a policy in place of the one before; none that would keep its caller from putting the next."""
    stored = _accepted(call, policy_text)
    _require_way_back(call, stored)
    registry_key = registries.require_key(call.db, call.registry(), call.now_us)
    registries.set_policy(call.db, registry_key, stored)
    resource_policies.forget_registry(call.db, call.registry())
    return _told(call, stored)


@operation("GetRegistryPolicy", writes=False, resources=no_resource)
def get_registry_policy(call: Call) -> dict[str, Any]:
    """The policy that is set."""
    return _told(call, _require_policy(call))


@operation("DeleteRegistryPolicy", writes=True, resources=no_resource)
def delete_registry_policy(call: Call) -> dict[str, Any]:
    """Remove the policy; the answer is the last that is seen of it."""
    stored = _require_policy(call)
    registries.set_policy(call.db, registries.require_key(call.db, call.registry(), call.now_us), None)
    resource_policies.forget_registry(call.db, call.registry())
    return _told(call, stored)


def _accepted(call: Call, text: str) -> str:
    try:
        parse(text, PolicyKind.REGISTRY)
        _require_own(call, text)
        return policy_principals.resolved(call.db, text)
    except PolicyInvalid as invalid:
        raise InvalidParameter(
            parameter="PolicyText", constraint="Invalid registry policy provided", why=invalid.why
        ) from None
    except PrincipalMissing:
        raise InvalidParameter(parameter="PolicyText", constraint="Principal not found") from None


def _require_own(call: Call, text: str) -> None:
    """Resources lie in the caller's own registry, whatever the region: the course writes ``arn:aws:ecr:*:...``."""
    statements = json.loads(text)["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        named = statement["Resource"] if "Resource" in statement else statement["NotResource"]
        for arn in [named] if isinstance(named, str) else named:
            parts = arn.split(":", 5)
            if arn != "*" and (len(parts) != 6 or parts[2] != "ecr" or parts[4] != call.registry().account_id):
                raise PolicyInvalid(f"Resource {arn} is not in the registry {call.registry().account_id}")


def _require_way_back(call: Call, stored: str) -> None:
    """There is no ``force`` here: a denial of ``ecr:*`` on ``*`` to everyone would be for ever."""
    policy = NamedPolicy("the registry's policy", compiled(stored, PolicyKind.REGISTRY))
    if call.verdict("ecr:PutRegistryPolicy", "*", trust=policy).explicit:
        raise InvalidParameter(
            parameter="PolicyText",
            constraint="The policy would prevent you from setting another policy in the future",
        )


def _require_policy(call: Call) -> str:
    stored = resource_policies.of_registry(call.db, call.registry()).policy
    if stored is None:
        raise RegistryPolicyNotFound(registry_id=call.registry().account_id)
    return stored


def _told(call: Call, stored: str) -> dict[str, Any]:
    return {
        "registryId": call.registry().account_id,
        "policyText": pretty(policy_principals.named(call.db, stored)),
    }
