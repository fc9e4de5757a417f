"""Permissions boundaries: a managed policy that bounds what a user or role may do."""

from typing import Any

from openecr.access import aws_managed
from openecr.call import Call
from openecr.db import identities, managed_policies
from openecr.db.identities import ROLE, USER, Identity
from openecr.errors import InvalidInput, NoSuchEntity
from openecr.services.iam import arns, finding
from openecr.services.iam.declaring import iam_operation
from openecr.services.iam.policy_names import is_policy_arn

_TYPE = "Policy"
"""What the service says; its model says ``PermissionsBoundaryPolicy`` (awsdocs/iam-user-guide#82)."""


def require_policy(call: Call, policy_arn: str) -> None:
    """Refuse a boundary that is no policy that the account can use.

    Raises:
        InvalidInput, NoSuchEntity: it is no policy's ARN, or the policy is not there.
    """
    if not is_policy_arn(policy_arn):
        raise InvalidInput(message=f"ARN {policy_arn} is not valid.")
    if aws_managed.find(policy_arn) is not None:
        return
    own = policy_arn.startswith(arns.arn(call.registry().account_id, "policy/"))
    # Held, so that the policy is not deleted meanwhile: no foreign key guards a boundary.
    if not own or managed_policies.find(call.db, policy_arn, lock=True) is None:
        raise NoSuchEntity(message=f"Scope ARN: {policy_arn} does not exist or is not attachable.")


def told(identity: Identity) -> dict[str, Any]:
    """The boundary as answers have it."""
    if identity.boundary_arn is None:
        return {}
    return {
        "PermissionsBoundary": {
            "PermissionsBoundaryType": _TYPE,
            "PermissionsBoundaryArn": identity.boundary_arn,
        }
    }


@iam_operation("PutUserPermissionsBoundary", writes=True, located=arns.the(USER))
def put_user_permissions_boundary(call: Call, *, user_name: str, permissions_boundary: str) -> dict[str, Any]:
    """Bound what a user may do."""
    return _put(call, finding.require(call, USER, user_name), permissions_boundary)


@iam_operation("PutRolePermissionsBoundary", writes=True, located=arns.the(ROLE))
def put_role_permissions_boundary(call: Call, *, role_name: str, permissions_boundary: str) -> dict[str, Any]:
    """Bound what a role may do."""
    return _put(call, finding.require_modifiable(call, ROLE, role_name), permissions_boundary)


@iam_operation("DeleteUserPermissionsBoundary", writes=True, located=arns.the(USER))
def delete_user_permissions_boundary(call: Call, *, user_name: str) -> dict[str, Any]:
    """Take a user's boundary away."""
    return _delete(call, finding.require(call, USER, user_name))


@iam_operation("DeleteRolePermissionsBoundary", writes=True, located=arns.the(ROLE))
def delete_role_permissions_boundary(call: Call, *, role_name: str) -> dict[str, Any]:
    """Take a role's boundary away."""
    return _delete(call, finding.require_modifiable(call, ROLE, role_name))


def _put(call: Call, identity: Identity, policy_arn: str) -> dict[str, Any]:
    require_policy(call, policy_arn)
    identities.set_boundary(call.db, identity.key, policy_arn)
    finding.changed(call, identity)
    return {}


def _delete(call: Call, identity: Identity) -> dict[str, Any]:
    if identity.boundary_arn is None:
        raise NoSuchEntity(message=f"The permissions boundary of {identity.kind} {identity.name} cannot be found.")
    identities.set_boundary(call.db, identity.key, None)
    finding.changed(call, identity)
    return {}
