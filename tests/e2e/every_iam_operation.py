"""One story that calls every built operation of IAM at least once, for any client of the API."""

import json
from collections.abc import Callable
from typing import Any

from openecr.services.iam.operations import OPERATIONS

Call = Callable[..., Any]
"""Calls an operation by its name, with its parameters by their names."""
PULL = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}]}
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}
        ],
    }
)
TAGS = [{"Key": "team", "Value": "payments"}]


def tell(call: Call, name: str) -> None:
    """Go through the life of an account's identities, and see what each answer says.

    Args:
        name: of identities that do not exist, in an account whose alias nobody else uses.
    """
    called: set[str] = set()

    def iam(operation: str, **parameters: Any) -> Any:
        called.add(operation)
        return call(operation, **parameters)

    policy = _policies(iam, name)
    for kind in ("User", "Group", "Role"):
        _identity(iam, kind, name, policy)
    _members(iam, name)
    _keys(iam, name)
    _profiles(iam, name)
    _providers(iam, name)
    _account(iam, name)
    _end(iam, name, policy)
    assert called == set(OPERATIONS)


def _policies(iam: Call, name: str) -> str:
    arn: str = iam("CreatePolicy", PolicyName=name, PolicyDocument=PULL)["Policy"]["Arn"]
    assert iam("GetPolicy", PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    assert arn in [one["Arn"] for one in iam("ListPolicies", Scope="Local")["Policies"]]
    iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=PULL)
    assert iam("GetPolicyVersion", PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == json.loads(PULL)
    iam("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v2")
    iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v1")
    assert [one["VersionId"] for one in iam("ListPolicyVersions", PolicyArn=arn)["Versions"]] == ["v2"]
    iam("TagPolicy", PolicyArn=arn, Tags=TAGS)
    assert iam("ListPolicyTags", PolicyArn=arn)["Tags"] == TAGS
    iam("UntagPolicy", PolicyArn=arn, TagKeys=["team"])
    simulated = iam("SimulateCustomPolicy", PolicyInputList=[PULL], ActionNames=["ecr:BatchGetImage"])
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
    assert iam("GetContextKeysForCustomPolicy", PolicyInputList=[PULL])["ContextKeyNames"] == []
    return arn


def _identity(iam: Call, kind: str, name: str, policy: str) -> None:
    named = {f"{kind}Name": name}
    more = {"AssumeRolePolicyDocument": TRUST} if kind == "Role" else {}
    arn = iam(f"Create{kind}", **named, **more)[kind]["Arn"]
    assert iam(f"Get{kind}", **named)[kind]["Arn"] == arn
    assert arn in [one["Arn"] for one in iam(f"List{kind}s")[f"{kind}s"]]
    iam(f"Put{kind}Policy", **named, PolicyName="own", PolicyDocument=PULL)
    assert iam(f"Get{kind}Policy", **named, PolicyName="own")["PolicyDocument"] == json.loads(PULL)
    assert iam(f"List{kind}Policies", **named)["PolicyNames"] == ["own"]
    iam(f"Attach{kind}Policy", **named, PolicyArn=policy)
    attached = iam(f"ListAttached{kind}Policies", **named)["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == [policy]
    simulated = iam("SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=["ecr:BatchGetImage"])
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
    assert iam("GetContextKeysForPrincipalPolicy", PolicySourceArn=arn)["ContextKeyNames"] == []
    if kind == "Group":
        return
    iam(f"Put{kind}PermissionsBoundary", **named, PermissionsBoundary=policy)
    iam(f"Delete{kind}PermissionsBoundary", **named)
    iam(f"Tag{kind}", **named, Tags=TAGS)
    assert iam(f"List{kind}Tags", **named)["Tags"] == TAGS
    iam(f"Untag{kind}", **named, TagKeys=["team"])


def _members(iam: Call, name: str) -> None:
    iam("AddUserToGroup", GroupName=name, UserName=name)
    assert [one["GroupName"] for one in iam("ListGroupsForUser", UserName=name)["Groups"]] == [name]
    iam("RemoveUserFromGroup", GroupName=name, UserName=name)
    iam("UpdateUser", UserName=name, NewPath="/told/")
    iam("UpdateGroup", GroupName=name, NewPath="/told/")
    iam("UpdateRole", RoleName=name, MaxSessionDuration=7200)
    assert iam("UpdateRoleDescription", RoleName=name, Description="pulls")["Role"]["Description"] == "pulls"
    iam("UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=TRUST)


def _keys(iam: Call, name: str) -> None:
    key = iam("CreateAccessKey", UserName=name)["AccessKey"]["AccessKeyId"]
    iam("UpdateAccessKey", UserName=name, AccessKeyId=key, Status="Inactive")
    listed = iam("ListAccessKeys", UserName=name)["AccessKeyMetadata"]
    assert [(one["AccessKeyId"], one["Status"]) for one in listed] == [(key, "Inactive")]
    assert iam("GetAccessKeyLastUsed", AccessKeyId=key)["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    iam("DeleteAccessKey", UserName=name, AccessKeyId=key)


def _profiles(iam: Call, name: str) -> None:
    named = {"InstanceProfileName": name}
    iam("CreateInstanceProfile", **named)
    iam("AddRoleToInstanceProfile", **named, RoleName=name)
    assert iam("GetInstanceProfile", **named)["InstanceProfile"]["Roles"][0]["RoleName"] == name
    assert name in [one["InstanceProfileName"] for one in iam("ListInstanceProfiles")["InstanceProfiles"]]
    assert len(iam("ListInstanceProfilesForRole", RoleName=name)["InstanceProfiles"]) == 1
    iam("TagInstanceProfile", **named, Tags=TAGS)
    assert iam("ListInstanceProfileTags", **named)["Tags"] == TAGS
    iam("UntagInstanceProfile", **named, TagKeys=["team"])
    iam("RemoveRoleFromInstanceProfile", **named, RoleName=name)
    iam("DeleteInstanceProfile", **named)


def _providers(iam: Call, name: str) -> None:
    arn = iam("CreateOpenIDConnectProvider", Url=f"https://{name}.example.com")["OpenIDConnectProviderArn"]
    named = {"OpenIDConnectProviderArn": arn}
    iam("AddClientIDToOpenIDConnectProvider", **named, ClientID="a")
    iam("AddClientIDToOpenIDConnectProvider", **named, ClientID="b")
    iam("RemoveClientIDFromOpenIDConnectProvider", **named, ClientID="a")
    iam("UpdateOpenIDConnectProviderThumbprint", **named, ThumbprintList=["a" * 40])
    assert iam("GetOpenIDConnectProvider", **named)["ClientIDList"] == ["b"]
    assert arn in [one["Arn"] for one in iam("ListOpenIDConnectProviders")["OpenIDConnectProviderList"]]
    iam("TagOpenIDConnectProvider", **named, Tags=TAGS)
    assert iam("ListOpenIDConnectProviderTags", **named)["Tags"] == TAGS
    iam("UntagOpenIDConnectProvider", **named, TagKeys=["team"])
    iam("DeleteOpenIDConnectProvider", **named)
    made = iam("CreateServiceLinkedRole", AWSServiceName="ecr.amazonaws.com")["Role"]["RoleName"]
    task = iam("DeleteServiceLinkedRole", RoleName=made)["DeletionTaskId"]
    assert iam("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task)["Status"] == "SUCCEEDED"


def _account(iam: Call, name: str) -> None:
    iam("CreateAccountAlias", AccountAlias=name)
    assert iam("ListAccountAliases")["AccountAliases"] == [name]
    iam("DeleteAccountAlias", AccountAlias=name)
    assert iam("GetAccountSummary")["SummaryMap"]["Users"] >= 2


def _end(iam: Call, name: str, policy: str) -> None:
    holders = iam("ListEntitiesForPolicy", PolicyArn=policy)
    assert [len(holders[of]) for of in ("PolicyUsers", "PolicyGroups", "PolicyRoles")] == [1, 1, 1]
    for kind in ("User", "Group", "Role"):
        named = {f"{kind}Name": name}
        iam(f"Detach{kind}Policy", **named, PolicyArn=policy)
        iam(f"Delete{kind}Policy", **named, PolicyName="own")
        iam(f"Delete{kind}", **named)
    iam("DeletePolicy", PolicyArn=policy)
