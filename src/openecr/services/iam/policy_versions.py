"""Versions of managed policies: up to five, of which one is in force."""

from typing import Any

from openecr.access.aws_managed import ManagedPolicy
from openecr.access.credentials import fresh_version
from openecr.call import Call
from openecr.db import callers, managed_policies
from openecr.db.managed_policies import Version
from openecr.errors import DeleteConflict, LimitExceeded, NoSuchEntity
from openecr.services.iam import arns, documents, pages, policies, policy_names, quotas
from openecr.services.iam.declaring import iam_operation

_MISSING = "Policy {arn} was not found."
_AFTER_ALL = 2**62


@iam_operation("CreatePolicyVersion", writes=True, located=arns.named("policy_arn"))
def create_policy_version(
    call: Call, *, policy_arn: str, policy_document: str, set_as_default: bool | None = None
) -> dict[str, Any]:
    """Add a version to a policy, and put it in force where asked."""
    policy = policy_names.require_own(call, "iam:CreatePolicyVersion", policy_arn)
    policies.require_document(policy_document)
    there = managed_policies.versions_before(call.db, policy.key, _AFTER_ALL, quotas.POLICY_VERSIONS)
    if len(there) >= quotas.POLICY_VERSIONS:
        raise LimitExceeded(
            message=f"A managed policy can have up to {quotas.POLICY_VERSIONS} versions. Before you create a new "
            "version, you must delete an existing version."
        )
    is_default = bool(set_as_default)
    number = managed_policies.add_version(call.db, policy, policy_document, is_default=is_default, now_us=call.now_us)
    if is_default:
        _changed(call, policy.arn)
    made = {
        "VersionId": f"v{number}",
        "IsDefaultVersion": is_default,
        "CreateDate": documents.whole_seconds(call.now_us),
    }
    return {"PolicyVersion": made}


@iam_operation("GetPolicyVersion", writes=False, located=arns.named("policy_arn"))
def get_policy_version(call: Call, *, policy_arn: str, version_id: str) -> dict[str, Any]:
    """A version of a policy with its document; of AWS's policies there is the current one."""
    policy = policy_names.find(call, policy_arn, _MISSING)
    if isinstance(policy, ManagedPolicy):
        if version_id != f"v{policy.version}":
            raise _missing(policy.arn, version_id)
        return {
            "PolicyVersion": {
                "Document": documents.told(policy.document),
                "VersionId": version_id,
                "IsDefaultVersion": True,
            }
        }
    version = managed_policies.version(call.db, policy.key, _number(version_id))
    if version is None:
        raise _missing(policy.arn, version_id)
    return {
        "PolicyVersion": {
            "Document": documents.told(version.document),
            **_told(version, policy.default_version),
        }
    }


@iam_operation("ListPolicyVersions", writes=False, located=arns.named("policy_arn"))
def list_policy_versions(
    call: Call, *, policy_arn: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The versions of a policy, the newest first, without their documents."""
    policy = policy_names.find(call, policy_arn, _MISSING)
    if isinstance(policy, ManagedPolicy):
        only = {"VersionId": f"v{policy.version}", "IsDefaultVersion": True}
        return {"Versions": [only], "IsTruncated": False}
    return pages.page(
        call,
        "ListPolicyVersions",
        {"policy": policy.unique_id},
        marker,
        max_items,
        member="Versions",
        start=[_AFTER_ALL],
        load=lambda position, most: managed_policies.versions_before(call.db, policy.key, int(position[0]), most),
        position_of=lambda version: [version.number],
        told=lambda version: _told(version, policy.default_version),
    )


@iam_operation("SetDefaultPolicyVersion", writes=True, located=arns.named("policy_arn"))
def set_default_policy_version(call: Call, *, policy_arn: str, version_id: str) -> dict[str, Any]:
    """Put a version of a policy in force, for everyone whom the policy weighs on."""
    policy = policy_names.require_own(call, "iam:SetDefaultPolicyVersion", policy_arn)
    number = _number(version_id)
    if managed_policies.version(call.db, policy.key, number) is None:
        raise _missing(policy.arn, version_id)
    managed_policies.set_default(call.db, policy.key, number, call.now_us)
    _changed(call, policy.arn)
    return {}


@iam_operation("DeletePolicyVersion", writes=True, located=arns.named("policy_arn"))
def delete_policy_version(call: Call, *, policy_arn: str, version_id: str) -> dict[str, Any]:
    """Delete a version that is not in force."""
    policy = policy_names.require_own(call, "iam:DeletePolicyVersion", policy_arn)
    number = _number(version_id)
    if number == policy.default_version:
        raise DeleteConflict(message="Cannot delete the default version of a policy.")
    if not managed_policies.delete_version(call.db, policy.key, number):
        raise _missing(policy.arn, version_id)
    return {}


def _changed(call: Call, policy_arn: str) -> None:
    callers.policy_changed(call.db, version=fresh_version(), policy_arn=policy_arn)


def _number(version_id: str) -> int:
    """The number in a version's id; of what is none, one that no version has."""
    digits = version_id.removeprefix("v")
    return int(digits) if digits.isdigit() and len(digits) < 10 else 0


def _missing(policy_arn: str, version_id: str) -> NoSuchEntity:
    return NoSuchEntity(message=f"Policy {policy_arn} version {version_id} does not exist or is not attachable.")


def _told(version: Version, default_version: int) -> dict[str, Any]:
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == default_version,
        "CreateDate": documents.whole_seconds(version.created_us),
    }
