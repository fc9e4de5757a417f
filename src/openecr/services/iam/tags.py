"""Tags of users, roles, managed policies, OIDC providers and instance profiles.

Keys of users' and roles' tags are the same in any case, those of the others are not (IAM User Guide, "Rules for tagging
in IAM").
"""

from collections.abc import Mapping
from typing import Any

from openecr.call import Call
from openecr.db import callers, identity_tags, instance_profiles, managed_policies, oidc_providers
from openecr.db.identities import ROLE, USER
from openecr.services.iam import arns, finding, pages, policy_names, tag_rules
from openecr.services.iam import instance_profiles as profiles
from openecr.services.iam import oidc_providers as providers
from openecr.services.iam.declaring import iam_operation

_POLICY = arns.named("policy_arn")
_PROVIDER = arns.named("open_id_connect_provider_arn")
Tags = list[dict[str, str]]


@iam_operation("TagUser", writes=True, located=arns.the(USER))
def tag_user(call: Call, *, user_name: str, tags: Tags) -> dict[str, Any]:
    """Add tags to a user, or overwrite them by key."""
    return _put(call, USER, user_name, tags)


@iam_operation("TagRole", writes=True, located=arns.the(ROLE))
def tag_role(call: Call, *, role_name: str, tags: Tags) -> dict[str, Any]:
    """Add tags to a role, or overwrite them by key."""
    return _put(call, ROLE, role_name, tags)


@iam_operation("UntagUser", writes=True, located=arns.the(USER))
def untag_user(call: Call, *, user_name: str, tag_keys: list[str]) -> dict[str, Any]:
    """Remove tags of a user by key; a key that is not there is no error."""
    return _remove(call, USER, user_name, tag_keys)


@iam_operation("UntagRole", writes=True, located=arns.the(ROLE))
def untag_role(call: Call, *, role_name: str, tag_keys: list[str]) -> dict[str, Any]:
    """Remove tags of a role by key; a key that is not there is no error."""
    return _remove(call, ROLE, role_name, tag_keys)


@iam_operation("ListUserTags", writes=False, located=arns.the(USER))
def list_user_tags(
    call: Call, *, user_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The tags of a user, by key."""
    user = finding.require(call, USER, user_name)
    return _page(call, "ListUserTags", user.unique_id, callers.tags_of(call.db, user.key), marker, max_items)


@iam_operation("ListRoleTags", writes=False, located=arns.the(ROLE))
def list_role_tags(
    call: Call, *, role_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The tags of a role, by key."""
    role = finding.require(call, ROLE, role_name)
    return _page(call, "ListRoleTags", role.unique_id, callers.tags_of(call.db, role.key), marker, max_items)


@iam_operation("TagPolicy", writes=True, located=_POLICY)
def tag_policy(call: Call, *, policy_arn: str, tags: Tags) -> dict[str, Any]:
    """Add tags to a managed policy, or overwrite them by key."""
    policy = policy_names.require_own(call, "iam:TagPolicy", policy_arn)
    managed_policies.put_tags(call.db, policy.key, _with(policy.tags, tags))
    return {}


@iam_operation("UntagPolicy", writes=True, located=_POLICY)
def untag_policy(call: Call, *, policy_arn: str, tag_keys: list[str]) -> dict[str, Any]:
    """Remove tags of a managed policy by key; a key that is not there is no error."""
    policy = policy_names.require_own(call, "iam:UntagPolicy", policy_arn)
    managed_policies.put_tags(call.db, policy.key, _without(policy.tags, tag_keys))
    return {}


@iam_operation("ListPolicyTags", writes=False, located=_POLICY)
def list_policy_tags(
    call: Call, *, policy_arn: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The tags of a managed policy of the account, by key."""
    policy = policy_names.require_own(call, "iam:ListPolicyTags", policy_arn)
    return _page(call, "ListPolicyTags", policy.unique_id, policy.tags, marker, max_items)


@iam_operation("TagOpenIDConnectProvider", writes=True, located=_PROVIDER)
def tag_open_id_connect_provider(call: Call, *, open_id_connect_provider_arn: str, tags: Tags) -> dict[str, Any]:
    """Add tags to a provider, or overwrite them by key."""
    provider = providers.require(call, open_id_connect_provider_arn)
    oidc_providers.put_tags(call.db, provider.key, _with(provider.tags, tags))
    return {}


@iam_operation("UntagOpenIDConnectProvider", writes=True, located=_PROVIDER)
def untag_open_id_connect_provider(
    call: Call, *, open_id_connect_provider_arn: str, tag_keys: list[str]
) -> dict[str, Any]:
    """Remove tags of a provider by key; a key that is not there is no error."""
    provider = providers.require(call, open_id_connect_provider_arn)
    oidc_providers.put_tags(call.db, provider.key, _without(provider.tags, tag_keys))
    return {}


@iam_operation("ListOpenIDConnectProviderTags", writes=False, located=_PROVIDER)
def list_open_id_connect_provider_tags(
    call: Call, *, open_id_connect_provider_arn: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The tags of a provider, by key."""
    provider = providers.require(call, open_id_connect_provider_arn)
    return _page(call, "ListOpenIDConnectProviderTags", provider.url, provider.tags, marker, max_items)


@iam_operation("TagInstanceProfile", writes=True, located=arns.instance_profile)
def tag_instance_profile(call: Call, *, instance_profile_name: str, tags: Tags) -> dict[str, Any]:
    """Add tags to an instance profile, or overwrite them by key."""
    profile = profiles.require(call, instance_profile_name)
    instance_profiles.put_tags(call.db, profile.key, _with(profile.tags, tags))
    return {}


@iam_operation("UntagInstanceProfile", writes=True, located=arns.instance_profile)
def untag_instance_profile(call: Call, *, instance_profile_name: str, tag_keys: list[str]) -> dict[str, Any]:
    """Remove tags of an instance profile by key; a key that is not there is no error."""
    profile = profiles.require(call, instance_profile_name)
    instance_profiles.put_tags(call.db, profile.key, _without(profile.tags, tag_keys))
    return {}


@iam_operation("ListInstanceProfileTags", writes=False, located=arns.instance_profile)
def list_instance_profile_tags(
    call: Call, *, instance_profile_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The tags of an instance profile, by key."""
    profile = profiles.require(call, instance_profile_name)
    return _page(call, "ListInstanceProfileTags", profile.unique_id, profile.tags, marker, max_items)


def _put(call: Call, kind: str, name: str, tags: Tags) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    identity_tags.put(call.db, identity.key, tag_rules.parse(tags))
    tag_rules.require_few(callers.tags_of(call.db, identity.key))
    finding.changed(call, identity)
    return {}


def _remove(call: Call, kind: str, name: str, tag_keys: list[str]) -> dict[str, Any]:
    identity = finding.require_modifiable(call, kind, name)
    identity_tags.delete(call.db, identity.key, tag_keys)
    finding.changed(call, identity)
    return {}


def _with(there: Mapping[str, str], tags: Tags) -> dict[str, str]:
    after = {**there, **tag_rules.parse(tags)}
    tag_rules.require_few(after)
    return after


def _without(there: Mapping[str, str], tag_keys: list[str]) -> dict[str, str]:
    return {key: value for key, value in there.items() if key not in tag_keys}


def _page(
    call: Call,
    operation_name: str,
    whose: str,
    tags: Mapping[str, str],
    marker: str | None,
    most: int | None,
) -> dict[str, Any]:
    return pages.page(
        call,
        operation_name,
        {"of": whose},
        marker,
        most,
        member="Tags",
        start=[""],
        load=lambda position, wanted: [tag for tag in tag_rules.told(tags) if tag["Key"] > str(position[0])][:wanted],
        position_of=lambda tag: [tag["Key"]],
        told=lambda tag: tag,
    )
