"""Instance profiles: what hands a role to a machine."""

from typing import Any

from openecr.access.credentials import INSTANCE_PROFILE_ID, unique_id
from openecr.call import Call
from openecr.db import identities, instance_profiles
from openecr.db.identities import ROLE
from openecr.db.instance_profiles import InstanceProfile
from openecr.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity
from openecr.services.iam import arns, documents, finding, pages, quotas, roles, tag_rules
from openecr.services.iam.declaring import iam_operation

_PASSED = {"iam:passedtoservice": ("ec2.amazonaws.com",)}
"""Whom a role in an instance profile is passed to."""


@iam_operation("CreateInstanceProfile", writes=True, located=arns.new("instance-profile", "instance_profile_name"))
def create_instance_profile(
    call: Call, *, instance_profile_name: str, path: str | None = None, tags: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Make an instance profile without a role."""
    wanted = tag_rules.parse(tags)
    if wanted:
        arn = arns.arn(call.registry().account_id, f"instance-profile{path or '/'}{instance_profile_name}")
        call.authorize("iam:TagInstanceProfile", arn)
    account_key = finding.hold_account(call)
    quotas.require_room(
        instance_profiles.count(call.db, account_key),
        quotas.INSTANCE_PROFILES_PER_ACCOUNT,
        "InstanceProfilesPerAccount",
    )
    made = instance_profiles.insert(
        call.db,
        account_key,
        name=instance_profile_name,
        path=path or "/",
        unique_id=unique_id(INSTANCE_PROFILE_ID),
        tags=wanted,
        now_us=call.now_us,
    )
    if not made:
        raise EntityAlreadyExists(message=f"Instance Profile {instance_profile_name} already exists.")
    return {"InstanceProfile": _told(call, require(call, instance_profile_name))}


@iam_operation("GetInstanceProfile", writes=False, located=arns.instance_profile)
def get_instance_profile(call: Call, *, instance_profile_name: str) -> dict[str, Any]:
    """An instance profile and its role."""
    return {"InstanceProfile": _told(call, require(call, instance_profile_name))}


@iam_operation("ListInstanceProfiles", writes=False, located=arns.under("instance-profile"))
def list_instance_profiles(
    call: Call, *, path_prefix: str | None = None, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The account's instance profiles under a path, by name."""
    account_id, prefix = call.registry().account_id, path_prefix or "/"
    return pages.page(
        call,
        "ListInstanceProfiles",
        {"prefix": prefix},
        marker,
        max_items,
        member="InstanceProfiles",
        start=[""],
        load=lambda position, most: instance_profiles.list_after(
            call.db, account_id, path_prefix=prefix, after=str(position[0]), most=most
        ),
        position_of=lambda profile: [profile.name.lower()],
        told=lambda profile: _told(call, profile),
    )


@iam_operation("ListInstanceProfilesForRole", writes=False, located=arns.the(ROLE))
def list_instance_profiles_for_role(
    call: Call, *, role_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The instance profiles that hold a role."""
    role = finding.require(call, ROLE, role_name)
    return pages.page(
        call,
        "ListInstanceProfilesForRole",
        {"role": role.unique_id},
        marker,
        max_items,
        member="InstanceProfiles",
        start=[0],
        load=lambda position, most: instance_profiles.of_role_after(call.db, role.key, int(position[0]), most),
        position_of=lambda profile: [profile.key],
        told=lambda profile: _told(call, profile),
    )


@iam_operation("AddRoleToInstanceProfile", writes=True, located=arns.instance_profile)
def add_role_to_instance_profile(call: Call, *, instance_profile_name: str, role_name: str) -> dict[str, Any]:
    """Put a role into an instance profile that has none; the caller must be allowed to pass the role on."""
    profile = require(call, instance_profile_name)
    call.authorize("iam:PassRole", arns.stored(call, ROLE, role_name), more=_PASSED)
    role = finding.require_modifiable(call, ROLE, role_name)
    if profile.role_name is not None:
        raise LimitExceeded(message="Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    instance_profiles.set_role(call.db, profile.key, role.key)
    return {}


@iam_operation("RemoveRoleFromInstanceProfile", writes=True, located=arns.instance_profile)
def remove_role_from_instance_profile(call: Call, *, instance_profile_name: str, role_name: str) -> dict[str, Any]:
    """Take a role out of an instance profile."""
    profile = require(call, instance_profile_name)
    if profile.role_name is None or profile.role_name.lower() != role_name.lower():
        raise NoSuchEntity(message=f"The role with name {role_name} cannot be found.")
    instance_profiles.set_role(call.db, profile.key, None)
    return {}


@iam_operation("DeleteInstanceProfile", writes=True, located=arns.instance_profile)
def delete_instance_profile(call: Call, *, instance_profile_name: str) -> dict[str, Any]:
    """Delete an instance profile without a role."""
    profile = require(call, instance_profile_name)
    if profile.role_name is not None:
        raise DeleteConflict(message="Cannot delete entity, must remove roles from instance profile first.")
    instance_profiles.delete(call.db, profile.key)
    return {}


def require(call: Call, name: str) -> InstanceProfile:
    """The instance profile of a name; held where the call writes.

    Raises:
        NoSuchEntity: there is none.
    """
    found = instance_profiles.find(call.db, call.registry().account_id, name, lock=call.writes)
    if found is None:
        raise NoSuchEntity(message=f"Instance Profile {name} cannot be found.")
    return found


def _told(call: Call, profile: InstanceProfile) -> dict[str, Any]:
    account_id = call.registry().account_id
    role = None if profile.role_name is None else identities.find(call.db, account_id, ROLE, profile.role_name)
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.unique_id,
        "Arn": arns.arn(account_id, f"instance-profile{profile.path}{profile.name}"),
        "CreateDate": documents.whole_seconds(profile.created_us),
        "Roles": [] if role is None else [roles.listed(call, role)],
        "Tags": tag_rules.told(profile.tags),
    }
