"""Inline policies: documents that belong to one user, group or role."""

from typing import Any

from openecr.call import Call
from openecr.db import identity_policies
from openecr.db.identities import GROUP, ROLE, USER
from openecr.errors import LimitExceeded, NoSuchEntity
from openecr.services.iam import arns, documents, finding, pages, quotas
from openecr.services.iam.declaring import iam_operation


@iam_operation("PutUserPolicy", writes=True, located=arns.the(USER))
def put_user_policy(call: Call, *, user_name: str, policy_name: str, policy_document: str) -> dict[str, Any]:
    """Give a user a policy of its own, or replace it."""
    return _put(call, USER, user_name, policy_name, policy_document)


@iam_operation("PutGroupPolicy", writes=True, located=arns.the(GROUP))
def put_group_policy(call: Call, *, group_name: str, policy_name: str, policy_document: str) -> dict[str, Any]:
    """Give a group a policy of its own, or replace it."""
    return _put(call, GROUP, group_name, policy_name, policy_document)


@iam_operation("PutRolePolicy", writes=True, located=arns.the(ROLE))
def put_role_policy(call: Call, *, role_name: str, policy_name: str, policy_document: str) -> dict[str, Any]:
    """Give a role a policy of its own, or replace it."""
    return _put(call, ROLE, role_name, policy_name, policy_document)


@iam_operation("GetUserPolicy", writes=False, located=arns.the(USER))
def get_user_policy(call: Call, *, user_name: str, policy_name: str) -> dict[str, Any]:
    """A user's own policy."""
    return {"UserName": user_name, **_get(call, USER, user_name, policy_name)}


@iam_operation("GetGroupPolicy", writes=False, located=arns.the(GROUP))
def get_group_policy(call: Call, *, group_name: str, policy_name: str) -> dict[str, Any]:
    """A group's own policy."""
    return {"GroupName": group_name, **_get(call, GROUP, group_name, policy_name)}


@iam_operation("GetRolePolicy", writes=False, located=arns.the(ROLE))
def get_role_policy(call: Call, *, role_name: str, policy_name: str) -> dict[str, Any]:
    """A role's own policy."""
    return {"RoleName": role_name, **_get(call, ROLE, role_name, policy_name)}


@iam_operation("ListUserPolicies", writes=False, located=arns.the(USER))
def list_user_policies(
    call: Call, *, user_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The names of a user's own policies."""
    return _list(call, "ListUserPolicies", USER, user_name, marker, max_items)


@iam_operation("ListGroupPolicies", writes=False, located=arns.the(GROUP))
def list_group_policies(
    call: Call, *, group_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The names of a group's own policies."""
    return _list(call, "ListGroupPolicies", GROUP, group_name, marker, max_items)


@iam_operation("ListRolePolicies", writes=False, located=arns.the(ROLE))
def list_role_policies(
    call: Call, *, role_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The names of a role's own policies."""
    return _list(call, "ListRolePolicies", ROLE, role_name, marker, max_items)


@iam_operation("DeleteUserPolicy", writes=True, located=arns.the(USER))
def delete_user_policy(call: Call, *, user_name: str, policy_name: str) -> dict[str, Any]:
    """Take a user's own policy away."""
    return _delete(call, USER, user_name, policy_name)


@iam_operation("DeleteGroupPolicy", writes=True, located=arns.the(GROUP))
def delete_group_policy(call: Call, *, group_name: str, policy_name: str) -> dict[str, Any]:
    """Take a group's own policy away."""
    return _delete(call, GROUP, group_name, policy_name)


@iam_operation("DeleteRolePolicy", writes=True, located=arns.the(ROLE))
def delete_role_policy(call: Call, *, role_name: str, policy_name: str) -> dict[str, Any]:
    """Take a role's own policy away."""
    return _delete(call, ROLE, role_name, policy_name)


def _put(call: Call, kind: str, name: str, policy_name: str, document: str) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    documents.require_identity_policy(document)
    identity_policies.put_inline(call.db, identity.key, policy_name, document)
    most = quotas.INLINE_CHARACTERS[kind]
    if identity_policies.inline_characters(call.db, identity.key) > most:
        raise LimitExceeded(message=f"Maximum policy size of {most} bytes exceeded for {kind} {identity.name}")
    finding.changed(call, identity)
    return {}


def _get(call: Call, kind: str, name: str, policy_name: str) -> dict[str, Any]:
    document = identity_policies.inline(call.db, finding.require(call, kind, name).key, policy_name)
    if document is None:
        raise _missing(kind, policy_name)
    return {"PolicyName": policy_name, "PolicyDocument": documents.told(document)}


def _list(
    call: Call, operation_name: str, kind: str, name: str, marker: str | None, most: int | None
) -> dict[str, Any]:
    identity = finding.require(call, kind, name)
    return pages.page(
        call,
        operation_name,
        {"identity": identity.unique_id},
        marker,
        most,
        member="PolicyNames",
        start=[""],
        load=lambda position, wanted: identity_policies.inline_names_after(
            call.db, identity.key, str(position[0]), wanted
        ),
        position_of=lambda policy_name: [policy_name],
        told=str,
    )


def _delete(call: Call, kind: str, name: str, policy_name: str) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    if not identity_policies.delete_inline(call.db, identity.key, policy_name):
        raise _missing(kind, policy_name)
    finding.changed(call, identity)
    return {}


def _missing(kind: str, policy_name: str) -> NoSuchEntity:
    return NoSuchEntity(message=f"The {kind} policy with name {policy_name} cannot be found.")
