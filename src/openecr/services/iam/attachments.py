"""Managed policies attached to users, groups and roles."""

from typing import Any

from openecr.access import aws_managed
from openecr.access.aws_managed import ManagedPolicy
from openecr.call import Call
from openecr.db import identities, identity_policies
from openecr.db.identities import GROUP, ROLE, USER
from openecr.errors import NoSuchEntity, PolicyNotAttachable
from openecr.services.iam import arns, finding, pages, policy_names, quotas
from openecr.services.iam.declaring import iam_operation

_QUOTA_NAMES = {USER: "PoliciesPerUser", GROUP: "PoliciesPerGroup", ROLE: "PoliciesPerRole"}


@iam_operation("AttachUserPolicy", writes=True, located=arns.the(USER))
def attach_user_policy(call: Call, *, user_name: str, policy_arn: str) -> dict[str, Any]:
    """Give a user a managed policy; one that is attached stays so."""
    return _attach(call, USER, user_name, policy_arn)


@iam_operation("AttachGroupPolicy", writes=True, located=arns.the(GROUP))
def attach_group_policy(call: Call, *, group_name: str, policy_arn: str) -> dict[str, Any]:
    """Give a group a managed policy; one that is attached stays so."""
    return _attach(call, GROUP, group_name, policy_arn)


@iam_operation("AttachRolePolicy", writes=True, located=arns.the(ROLE))
def attach_role_policy(call: Call, *, role_name: str, policy_arn: str) -> dict[str, Any]:
    """Give a role a managed policy; one that is attached stays so."""
    return _attach(call, ROLE, role_name, policy_arn)


@iam_operation("DetachUserPolicy", writes=True, located=arns.the(USER))
def detach_user_policy(call: Call, *, user_name: str, policy_arn: str) -> dict[str, Any]:
    """Take a managed policy from a user."""
    return _detach(call, USER, user_name, policy_arn)


@iam_operation("DetachGroupPolicy", writes=True, located=arns.the(GROUP))
def detach_group_policy(call: Call, *, group_name: str, policy_arn: str) -> dict[str, Any]:
    """Take a managed policy from a group."""
    return _detach(call, GROUP, group_name, policy_arn)


@iam_operation("DetachRolePolicy", writes=True, located=arns.the(ROLE))
def detach_role_policy(call: Call, *, role_name: str, policy_arn: str) -> dict[str, Any]:
    """Take a managed policy from a role."""
    return _detach(call, ROLE, role_name, policy_arn)


@iam_operation("ListAttachedUserPolicies", writes=False, located=arns.the(USER))
def list_attached_user_policies(
    call: Call,
    *,
    user_name: str,
    path_prefix: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The managed policies that are attached to a user."""
    return _list(call, "ListAttachedUserPolicies", (USER, user_name), path_prefix, marker, max_items)


@iam_operation("ListAttachedGroupPolicies", writes=False, located=arns.the(GROUP))
def list_attached_group_policies(
    call: Call,
    *,
    group_name: str,
    path_prefix: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The managed policies that are attached to a group."""
    return _list(call, "ListAttachedGroupPolicies", (GROUP, group_name), path_prefix, marker, max_items)


@iam_operation("ListAttachedRolePolicies", writes=False, located=arns.the(ROLE))
def list_attached_role_policies(
    call: Call,
    *,
    role_name: str,
    path_prefix: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The managed policies that are attached to a role."""
    return _list(call, "ListAttachedRolePolicies", (ROLE, role_name), path_prefix, marker, max_items)


def _attach(call: Call, kind: str, name: str, policy_arn: str) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    policy = policy_names.find(call, policy_arn, "Policy {arn} does not exist or is not attachable.")
    if policy.arn.startswith(aws_managed.PREFIX + aws_managed.SERVICE_ROLE_FOLDER):
        raise PolicyNotAttachable
    if policy_arn in identity_policies.attached_after(call.db, identity.key, "", quotas.ATTACHED_POLICIES):
        return {}
    quotas.require_room(
        identity_policies.count_attached(call.db, identity.key), quotas.ATTACHED_POLICIES, _QUOTA_NAMES[kind]
    )
    identities.attach_policy(
        call.db,
        identity.key,
        policy_arn=policy.arn,
        policy_key=None if isinstance(policy, ManagedPolicy) else policy.key,
        now_us=call.now_us,
    )
    finding.changed(call, identity)
    return {}


def _detach(call: Call, kind: str, name: str, policy_arn: str) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    if not identity_policies.detach(call.db, identity.key, policy_arn):
        raise NoSuchEntity(message=f"Policy {policy_arn} was not found.")
    finding.changed(call, identity)
    return {}


def _list(
    call: Call,
    operation_name: str,
    named: tuple[str, str],
    path_prefix: str | None,
    marker: str | None,
    most: int | None,
) -> dict[str, Any]:
    identity = finding.require(call, *named)
    prefix = path_prefix or "/"

    def load(position: list[str | int], wanted: int) -> list[str]:
        attached = identity_policies.attached_after(call.db, identity.key, str(position[0]), quotas.ATTACHED_POLICIES)
        return [arn for arn in attached if policy_names.path_and_name(arn)[0].startswith(prefix)][:wanted]

    return pages.page(
        call,
        operation_name,
        {"identity": identity.unique_id, "prefix": prefix},
        marker,
        most,
        member="AttachedPolicies",
        start=[""],
        load=load,
        position_of=lambda arn: [arn],
        told=lambda arn: {"PolicyName": policy_names.path_and_name(arn)[1], "PolicyArn": arn},
    )
