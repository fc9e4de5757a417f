"""OIDC providers, instance profiles, and the account itself."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.support import ACCOUNT, OWN_ACCOUNT, members_of, refusal_of, trust
from tests.places import ON_DATABASES

pytestmark = ON_DATABASES

PRINT = "a" * 40


@pytest.fixture
def host() -> str:
    """An issuer that no other test has."""
    return f"{uuid4()}.example.com/id/1"


def test_a_provider_lives_and_dies(iam: Any, host: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    made = iam.create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=[PRINT]
    )
    assert made["OpenIDConnectProviderArn"] == arn

    told = members_of(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))
    assert told.pop("CreateDate")
    assert told == {"Url": host, "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": [PRINT], "Tags": []}
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert refusal_of(iam.create_open_id_connect_provider, Url=f"https://{host}") == (
        409,
        "EntityAlreadyExists",
        f"Provider with url https://{host} already exists.",
    )
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="ci")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    told = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (told["ClientIDList"], told["ThumbprintList"]) == (["ci"], ["b" * 40])
    tags = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}]
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["a"])
    for _ in range(2):
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert refusal_of(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn) == (
        404,
        "NoSuchEntity",
        f"OpenIDConnect Provider not found for arn {arn}",
    )


@pytest.mark.parametrize("url", ["http://a.example.com", "https://", "a.example.com", "https://a.example.com/?q=1"])
def test_an_address_that_no_issuer_has_is_refused(iam: Any, url: str) -> None:
    assert refusal_of(iam.create_open_id_connect_provider, Url=url) == (
        400,
        "InvalidInput",
        "Invalid Open ID Connect Provider URL",
    )


def test_lists_of_a_provider_are_bounded(iam: Any, host: str) -> None:
    url = f"https://{host}"
    clients = [f"c{number}" for number in range(101)]
    assert refusal_of(iam.create_open_id_connect_provider, Url=url, ClientIDList=clients) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100",
    )
    assert refusal_of(iam.create_open_id_connect_provider, Url=url, ThumbprintList=[PRINT] * 6) == (
        400,
        "InvalidInput",
        "Thumbprint list must contain fewer than 5 entries.",
    )
    assert refusal_of(iam.create_open_id_connect_provider, Url=url, ThumbprintList=["z" * 40])[1] == "InvalidInput"


def test_an_instance_profile_hands_out_one_role(iam: Any, name: str) -> None:
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/nodes/")["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/nodes/{name}"
    assert made["Roles"] == []
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))["Role"]

    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    told = iam.get_instance_profile(InstanceProfileName=name.upper())["InstanceProfile"]
    assert [one["Arn"] for one in told["Roles"]] == [role["Arn"]]
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == [told]
    assert told in iam.list_instance_profiles(PathPrefix="/nodes/")["InstanceProfiles"]
    assert refusal_of(iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    )
    first = (409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
    assert refusal_of(iam.delete_role, RoleName=name) == first
    assert refusal_of(iam.delete_instance_profile, InstanceProfileName=name) == first
    iam.tag_instance_profile(InstanceProfileName=name, Tags=[{"Key": "a", "Value": "1"}])
    assert iam.list_instance_profile_tags(InstanceProfileName=name)["Tags"] == [{"Key": "a", "Value": "1"}]
    iam.untag_instance_profile(InstanceProfileName=name, TagKeys=["a"])
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    iam.delete_role(RoleName=name)
    assert refusal_of(iam.get_instance_profile, InstanceProfileName=name) == (
        404,
        "NoSuchEntity",
        f"Instance Profile {name} cannot be found.",
    )


def test_an_account_has_one_alias(iam: Any, other_iam: Any) -> None:
    alias = f"a{uuid4()}"
    other_iam.create_account_alias(AccountAlias=f"{alias}-old")
    other_iam.create_account_alias(AccountAlias=alias)

    assert other_iam.list_account_aliases()["AccountAliases"] == [alias]
    assert refusal_of(iam.create_account_alias, AccountAlias=alias) == (
        409,
        "EntityAlreadyExists",
        f"The account alias {alias} already exists.",
    )
    other_iam.delete_account_alias(AccountAlias=alias)
    assert other_iam.list_account_aliases()["AccountAliases"] == []
    assert refusal_of(other_iam.delete_account_alias, AccountAlias=alias)[:2] == (404, "NoSuchEntity")


def test_the_summary_counts_what_the_account_has(iam: Any, name: str) -> None:
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_user(UserName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(OWN_ACCOUNT))

    after = iam.get_account_summary()["SummaryMap"]

    assert {key for key in after if after[key] != before[key]} == {"Users", "Roles"}
    assert after["AccessKeysPerUserQuota"] == 2


def test_a_service_linked_role_is_its_services_alone(iam: Any, name: str) -> None:
    service, role = "replication.ecr.amazonaws.com", "AWSServiceRoleForECRReplication"
    made = iam.create_service_linked_role(AWSServiceName=service)["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/{role}"
    (attached,) = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert attached["PolicyName"] == "ECRReplicationServiceRolePolicy"

    assert refusal_of(iam.create_service_linked_role, AWSServiceName=service) == (
        400,
        "InvalidInput",
        f"Service role name {role} has been taken in this account, please try a different suffix.",
    )
    protected = (
        400,
        "UnmodifiableEntity",
        f"Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS",
    )
    assert refusal_of(iam.delete_role, RoleName=role) == protected
    assert refusal_of(iam.detach_role_policy, RoleName=role, PolicyArn=attached["PolicyArn"]) == protected
    assert refusal_of(iam.update_assume_role_policy, RoleName=role, PolicyDocument=trust(OWN_ACCOUNT)) == protected
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(OWN_ACCOUNT))
    assert refusal_of(iam.attach_role_policy, RoleName=name, PolicyArn=attached["PolicyArn"]) == (
        400,
        "PolicyNotAttachable",
        "Cannot attach a Service Role Policy to a customer role.",
    )
    task = iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refusal_of(iam.get_role, RoleName=role)[1] == "NoSuchEntity"
    assert refusal_of(iam.delete_service_linked_role, RoleName=name)[1] == "NoSuchEntity"
