"""The account itself: its alias, and how much of its quotas is used."""

from typing import Any

from openecr.call import Call
from openecr.db import accounts, identities, instance_profiles, managed_policies, oidc_providers
from openecr.db.identities import GROUP, ROLE, USER
from openecr.errors import EntityAlreadyExists, NoSuchEntity
from openecr.services.iam import arns, finding, quotas
from openecr.services.iam.declaring import iam_operation


@iam_operation("CreateAccountAlias", writes=True, located=arns.anything)
def create_account_alias(call: Call, *, account_alias: str) -> dict[str, Any]:
    """Give the account a name instead of its number; it replaces the one that it had."""
    finding.hold_account(call)
    if not accounts.alias_is_free(call.db, account_alias):
        raise EntityAlreadyExists(message=f"The account alias {account_alias} already exists.")
    accounts.set_alias(call.db, call.registry().account_id, account_alias)
    return {}


@iam_operation("ListAccountAliases", writes=False, located=arns.anything)
def list_account_aliases(
    call: Call,
    *,
    marker: str | None = None,  # noqa: ARG001 - there is one alias at most
    max_items: int | None = None,  # noqa: ARG001 - so one page holds it
) -> dict[str, Any]:
    """The account's alias, where it has one."""
    account = accounts.find(call.db, call.registry().account_id)
    alias = None if account is None else account.alias
    return {"AccountAliases": [] if alias is None else [alias], "IsTruncated": False}


@iam_operation("DeleteAccountAlias", writes=True, located=arns.anything)
def delete_account_alias(call: Call, *, account_alias: str) -> dict[str, Any]:
    """Take the account's alias away."""
    account_id = call.registry().account_id
    finding.hold_account(call)
    account = accounts.find(call.db, account_id)
    if account is None or account.alias != account_alias:
        raise NoSuchEntity(message=f"The account alias {account_alias} cannot be found.")
    accounts.set_alias(call.db, account_id, None)
    return {}


@iam_operation("GetAccountSummary", writes=False, located=arns.anything)
def get_account_summary(call: Call) -> dict[str, Any]:
    """How many identities and policies the account has, and how many it may have."""
    account_id = call.registry().account_id
    account = accounts.find(call.db, account_id)
    assert account is not None  # noqa: S101 - the caller is of it
    summary = {
        "Users": identities.count(call.db, account.key, USER),
        "UsersQuota": quotas.PER_ACCOUNT[USER],
        "Groups": identities.count(call.db, account.key, GROUP),
        "GroupsQuota": quotas.PER_ACCOUNT[GROUP],
        "Roles": identities.count(call.db, account.key, ROLE),
        "RolesQuota": quotas.PER_ACCOUNT[ROLE],
        "Policies": managed_policies.count(call.db, account.key),
        "PoliciesQuota": quotas.POLICIES_PER_ACCOUNT,
        "InstanceProfiles": instance_profiles.count(call.db, account.key),
        "InstanceProfilesQuota": quotas.INSTANCE_PROFILES_PER_ACCOUNT,
        "Providers": len(oidc_providers.every(call.db, account_id)),
        "UserPolicySizeQuota": quotas.INLINE_CHARACTERS[USER],
        "GroupPolicySizeQuota": quotas.INLINE_CHARACTERS[GROUP],
        "RolePolicySizeQuota": quotas.INLINE_CHARACTERS[ROLE],
        "AssumeRolePolicySizeQuota": quotas.TRUST_CHARACTERS,
        "PolicySizeQuota": quotas.POLICY_CHARACTERS,
        "VersionsPerPolicyQuota": quotas.POLICY_VERSIONS,
        "GroupsPerUserQuota": quotas.GROUPS_PER_USER,
        "AccessKeysPerUserQuota": quotas.ACCESS_KEYS_PER_USER,
        "AttachedPoliciesPerUserQuota": quotas.ATTACHED_POLICIES,
        "AttachedPoliciesPerGroupQuota": quotas.ATTACHED_POLICIES,
        "AttachedPoliciesPerRoleQuota": quotas.ATTACHED_POLICIES,
        "MFADevices": 0,
        "AccountMFAEnabled": 0,
        "AccountAccessKeysPresent": 0,
    }
    return {"SummaryMap": summary}
