"""Managed policies: an account's own, and AWS's, which every account has."""

import hashlib
from typing import Any

from openecr.access import aws_managed
from openecr.access.aws_managed import ManagedPolicy
from openecr.access.credentials import POLICY_ID, unique_id
from openecr.call import Call
from openecr.db import accounts, identity_policies, managed_policies
from openecr.db.identities import GROUP, ROLE, USER
from openecr.db.identity_policies import Holder
from openecr.db.managed_policies import Policy
from openecr.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded
from openecr.services.iam import arns, documents, finding, pages, policy_names, quotas, tag_rules
from openecr.services.iam.declaring import iam_operation
from openecr.services.pages import Position

_MISSING = "Policy {arn} was not found."
_OF_AWS, _OWN = 0, 1
"""The order of ListPolicies: AWS's own first."""
_ATTACHED, _BOUNDED = 0, 1
_USAGES = {None: "any", "PermissionsPolicy": "policy", "PermissionsBoundary": "boundary"}
_KINDS = {"User": USER, "Group": GROUP, "Role": ROLE}


@iam_operation("CreatePolicy", writes=True, located=arns.new("policy", "policy_name"))
def create_policy(
    call: Call,
    *,
    policy_name: str,
    policy_document: str,
    path: str | None = None,
    description: str | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Make a managed policy with its first version."""
    wanted = tag_rules.parse(tags)
    require_document(policy_document)
    arn = arns.arn(call.registry().account_id, f"policy{path or '/'}{policy_name}")
    if wanted:
        call.authorize("iam:TagPolicy", arn)
    account_key = finding.hold_account(call)
    quotas.require_room(managed_policies.count(call.db, account_key), quotas.POLICIES_PER_ACCOUNT, "PoliciesPerAccount")
    made = managed_policies.insert(
        call.db,
        account_key,
        arn=arn,
        name=policy_name,
        path=path or "/",
        unique_id=unique_id(POLICY_ID),
        description=description or "",
        tags=wanted,
        document=policy_document,
        now_us=call.now_us,
    )
    if not made:
        raise EntityAlreadyExists(
            message=f"A policy called {policy_name} already exists. Duplicate names are not allowed."
        )
    return {"Policy": _told(call, policy_names.find(call, arn, _MISSING), account_key)}


def require_document(document: str) -> None:
    """Refuse what cannot be a version of a managed policy.

    Raises:
        MalformedPolicyDocument, LimitExceeded: why not.
    """
    documents.require_identity_policy(document)
    if documents.characters(document) > quotas.POLICY_CHARACTERS:
        raise LimitExceeded(message=f"Cannot exceed quota for PolicySize: {quotas.POLICY_CHARACTERS}")


@iam_operation("GetPolicy", writes=False, located=arns.named("policy_arn"))
def get_policy(call: Call, *, policy_arn: str) -> dict[str, Any]:
    """A managed policy, and how many identities of the account it weighs on."""
    return {"Policy": _told(call, policy_names.find(call, policy_arn, _MISSING), _account_key(call))}


@iam_operation("ListPolicies", writes=False, located=arns.under("policy"))
def list_policies(
    call: Call,
    *,
    scope: str | None = None,
    only_attached: bool | None = None,
    path_prefix: str | None = None,
    policy_usage_filter: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """AWS's managed policies and the account's, each by name."""
    account_key, prefix = _account_key(call), path_prefix or "/"
    usage = _USAGES[policy_usage_filter] if only_attached or policy_usage_filter else ""

    def load(position: Position, most: int) -> list[Policy | ManagedPolicy]:
        stage, after = position
        found: list[Policy | ManagedPolicy] = []
        if stage == _OF_AWS and scope != "Local":
            found += _of_aws_after(call, account_key, prefix, usage, str(after))
        if scope != "AWS":
            found += managed_policies.list_after(
                call.db,
                call.registry().account_id,
                path_prefix=prefix,
                after=str(after) if stage == _OWN else "",
                most=most,
                attached_as=usage,
            )
        return found[:most]

    return pages.page(
        call,
        "ListPolicies",
        {"scope": scope, "usage": usage, "prefix": prefix},
        marker,
        max_items,
        member="Policies",
        start=[_OF_AWS, ""],
        load=load,
        position_of=lambda policy: [_OF_AWS if isinstance(policy, ManagedPolicy) else _OWN, policy.name.lower()],
        told=lambda policy: _listed(call, policy, account_key),
    )


def _of_aws_after(call: Call, account_key: int, prefix: str, usage: str, after: str) -> list[ManagedPolicy]:
    found = [
        policy
        for policy in sorted(aws_managed.every().values(), key=lambda policy: policy.name.lower())
        if policy.name.lower() > after and policy_names.path_and_name(policy.arn)[0].startswith(prefix)
    ]
    if not usage:
        return found
    return [
        policy for policy in found if _is_used(identity_policies.count_uses(call.db, account_key, policy.arn), usage)
    ]


def _is_used(uses: tuple[int, int], usage: str) -> bool:
    attached, bounded = uses
    return bool((usage != "boundary" and attached) or (usage != "policy" and bounded))


@iam_operation("ListEntitiesForPolicy", writes=False, located=arns.named("policy_arn"))
def list_entities_for_policy(
    call: Call,
    *,
    policy_arn: str,
    entity_filter: str | None = None,
    path_prefix: str | None = None,
    policy_usage_filter: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The users, groups and roles of the account that a policy is attached to, or whose boundary it is."""
    arn = policy_names.find(call, policy_arn, _MISSING).arn
    account_key = _account_key(call)
    kind, prefix = _KINDS.get(entity_filter or ""), path_prefix or "/"
    wanted = {"PermissionsPolicy": [_ATTACHED], "PermissionsBoundary": [_BOUNDED]}.get(
        policy_usage_filter or "", [_ATTACHED, _BOUNDED]
    )

    def load(position: Position, most: int) -> list[tuple[int, Holder]]:
        found: list[tuple[int, Holder]] = []
        for stage in (stage for stage in wanted if stage >= int(position[0])):
            after = int(position[1]) if stage == position[0] else 0
            while len(found) < most:
                read = _STAGES[stage](call.db, account_key, arn, after, most)
                found += [(stage, one) for one in read if kind in (None, one.kind) and one.path.startswith(prefix)]
                if len(read) < most:
                    break
                after = read[-1].key
        return found[:most]

    listed = pages.page(
        call,
        "ListEntitiesForPolicy",
        {"policy": arn, "entity": entity_filter, "prefix": prefix, "usage": policy_usage_filter},
        marker,
        max_items,
        member="found",
        start=[_ATTACHED, 0],
        load=load,
        position_of=lambda item: [item[0], item[1].key],
        told=lambda item: item[1],
    )
    holders = {holder.key: holder for holder in listed.pop("found")}.values()
    if entity_filter in ("LocalManagedPolicy", "AWSManagedPolicy"):
        holders = {}.values()
    return {
        "PolicyGroups": [{"GroupName": one.name, "GroupId": one.unique_id} for one in holders if one.kind == GROUP],
        "PolicyUsers": [{"UserName": one.name, "UserId": one.unique_id} for one in holders if one.kind == USER],
        "PolicyRoles": [{"RoleName": one.name, "RoleId": one.unique_id} for one in holders if one.kind == ROLE],
        **listed,
    }


_STAGES = {_ATTACHED: identity_policies.attached_to_after, _BOUNDED: identity_policies.bounded_by_after}


@iam_operation("DeletePolicy", writes=True, located=arns.named("policy_arn"))
def delete_policy(call: Call, *, policy_arn: str) -> dict[str, Any]:
    """Delete a policy that weighs on nobody and has one version left."""
    policy = policy_names.require_own(call, "iam:DeletePolicy", policy_arn, to_delete=True)
    if any(identity_policies.count_uses(call.db, _account_key(call), policy.arn)):
        raise DeleteConflict(message="Cannot delete a policy attached to entities.")
    if len(managed_policies.versions_before(call.db, policy.key, policy.newest_version + 1, 2)) > 1:
        raise DeleteConflict(
            message="This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
    managed_policies.delete(call.db, policy.key)
    return {}


def _account_key(call: Call) -> int:
    account = accounts.find(call.db, call.registry().account_id)
    assert account is not None  # noqa: S101 - the caller is of it
    return account.key


def _listed(call: Call, policy: Policy | ManagedPolicy, account_key: int) -> dict[str, Any]:
    """A policy as listings tell it; when AWS made its own is not known here, so it is not said."""
    attached, bounded = identity_policies.count_uses(call.db, account_key, policy.arn)
    answer: dict[str, Any] = {
        "PolicyName": policy_names.path_and_name(policy.arn)[1],
        "PolicyId": _id_of_aws(policy) if isinstance(policy, ManagedPolicy) else policy.unique_id,
        "Arn": policy.arn,
        "Path": policy_names.path_and_name(policy.arn)[0],
        "DefaultVersionId": f"v{policy.version if isinstance(policy, ManagedPolicy) else policy.default_version}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounded,
        "IsAttachable": True,
    }
    if isinstance(policy, Policy):
        answer["CreateDate"] = documents.whole_seconds(policy.created_us)
        answer["UpdateDate"] = documents.whole_seconds(policy.updated_us)
    return answer


def _id_of_aws(policy: ManagedPolicy) -> str:
    """An id for a policy of AWS that is the same on every server: not the one that AWS gave it."""
    return POLICY_ID + hashlib.sha256(policy.arn.encode()).hexdigest()[:17].upper()


def _told(call: Call, policy: Policy | ManagedPolicy, account_key: int) -> dict[str, Any]:
    answer = _listed(call, policy, account_key)
    if isinstance(policy, Policy):
        answer["Tags"] = tag_rules.told(policy.tags)
        if policy.description:
            answer["Description"] = policy.description
    return answer
