"""How an operation of IAM is declared, and what conditions may ask of it."""

from collections.abc import Callable, Mapping
from typing import Any

from openecr.call import Call, Located, Operation, operation
from openecr.db import identities
from openecr.db.identities import ROLE, USER

_BOUNDED = {f"{verb}{kind}Policy": kind for verb in ("Attach", "Detach", "Put", "Delete") for kind in ("User", "Role")}
_BOUNDED |= {f"Delete{kind}PermissionsBoundary": kind for kind in ("User", "Role")}
"""The operations whose ``iam:PermissionsBoundary`` is the boundary that the identity has."""


def iam_operation(name: str, *, writes: bool, located: Located) -> Callable[[Callable[..., dict[str, Any]]], Operation]:
    """An operation whose IAM action has its name, on the resources that ``located`` finds."""

    def keys(call: Call, arguments: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
        """The condition keys of IAM (Service Authorization Reference): so may an administrator of few rights be bound
        to policies and boundaries that were chosen for it."""
        found = {
            "iam:policyarn": arguments.get("policy_arn"),
            "iam:permissionsboundary": arguments.get("permissions_boundary") or _boundary(call, name, arguments),
            "iam:awsservicename": arguments.get("aws_service_name"),
        }
        return {key: (str(value),) for key, value in found.items() if value is not None}

    return operation(name, writes=writes, action=f"iam:{name}", located=located, keys=keys)


def _boundary(call: Call, name: str, arguments: Mapping[str, Any]) -> str | None:
    """The boundary of the user or role whose policies an operation changes."""
    kind = {"User": USER, "Role": ROLE}.get(_BOUNDED.get(name, ""))
    if kind is None:
        return None
    found = identities.find(call.db, call.registry().account_id, kind, str(arguments[f"{kind}_name"]))
    return None if found is None else found.boundary_arn
