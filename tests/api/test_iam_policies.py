"""Policies: managed with versions, attached, inline, as boundaries."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.api.support import ACCOUNT, OWN_ACCOUNT, policy, refusal_of, trust
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
PULL = policy(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])
PUSH = policy("ecr:*")


@pytest.fixture
def user(iam: Any, name: str) -> str:
    made: str = iam.create_user(UserName=name)["User"]["UserName"]
    return made


@pytest.fixture
def managed(iam: Any, name: str) -> str:
    made: str = iam.create_policy(PolicyName=name, PolicyDocument=PULL)["Policy"]["Arn"]
    return made


def not_found(arn: str) -> tuple[int, str, str]:
    return 404, "NoSuchEntity", f"Policy {arn} was not found."


def test_a_managed_policy_lives_and_dies(iam: Any, name: str) -> None:
    made = iam.create_policy(
        PolicyName=name,
        Path="/registry/",
        PolicyDocument=PULL,
        Description="pulls",
        Tags=[{"Key": "team", "Value": "a"}],
    )["Policy"]

    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/registry/{name}"
    assert made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert iam.get_policy(PolicyArn=arn)["Policy"] == made
    (listed,) = [
        one for one in iam.list_policies(Scope="Local", PathPrefix="/registry/")["Policies"] if one["Arn"] == arn
    ]
    assert listed == {key: value for key, value in made.items() if key not in ("Tags", "Description")}
    assert refusal_of(iam.create_policy, PolicyName=name.upper(), PolicyDocument=PULL) == (
        409,
        "EntityAlreadyExists",
        f"A policy called {name.upper()} already exists. Duplicate names are not allowed.",
    )
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "Team", "Value": "b"}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [
        {"Key": "Team", "Value": "b"},
        {"Key": "team", "Value": "a"},
    ]
    iam.untag_policy(PolicyArn=arn, TagKeys=["team"])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == [{"Key": "Team", "Value": "b"}]
    iam.delete_policy(PolicyArn=arn)
    assert refusal_of(iam.get_policy, PolicyArn=arn) == not_found(arn)


def test_documents_are_told_as_they_were_given(iam: Any, name: str) -> None:
    document = policy("ecr:GetAuthorizationToken", Condition={"StringLike": {"aws:UserAgent": "a+b %41&c=<d>"}})
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]

    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]

    assert version["Document"] == json.loads(document)
    assert version["IsDefaultVersion"] is True


def test_versions_are_five_and_one_is_in_force(iam: Any, managed: str) -> None:
    made = iam.create_policy_version(PolicyArn=managed, PolicyDocument=PUSH)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    iam.create_policy_version(PolicyArn=managed, PolicyDocument=PUSH, SetAsDefault=True)
    for _ in range(2):
        iam.create_policy_version(PolicyArn=managed, PolicyDocument=PULL)

    assert refusal_of(iam.create_policy_version, PolicyArn=managed, PolicyDocument=PULL) == (
        409,
        "LimitExceeded",
        (
            "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
            "version."
        ),
    )
    first = iam.list_policy_versions(PolicyArn=managed, MaxItems=3)
    rest = iam.list_policy_versions(PolicyArn=managed, MaxItems=3, Marker=first["Marker"])
    versions = [(one["VersionId"], one["IsDefaultVersion"]) for one in first["Versions"] + rest["Versions"]]
    assert versions == [("v5", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False)]
    assert refusal_of(iam.delete_policy_version, PolicyArn=managed, VersionId="v3") == (
        409,
        "DeleteConflict",
        "Cannot delete the default version of a policy.",
    )
    iam.set_default_policy_version(PolicyArn=managed, VersionId="v1")
    assert iam.get_policy(PolicyArn=managed)["Policy"]["DefaultVersionId"] == "v1"
    assert refusal_of(iam.delete_policy, PolicyArn=managed)[1:] == (
        "DeleteConflict",
        (
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        ),
    )
    for number in (2, 3, 4, 5):
        iam.delete_policy_version(PolicyArn=managed, VersionId=f"v{number}")
    assert iam.create_policy_version(PolicyArn=managed, PolicyDocument=PULL)["PolicyVersion"]["VersionId"] == "v6"
    assert refusal_of(iam.get_policy_version, PolicyArn=managed, VersionId="v2") == (
        404,
        "NoSuchEntity",
        f"Policy {managed} version v2 does not exist or is not attachable.",
    )


def test_policies_of_aws_are_there_for_every_account_and_change_for_none(iam: Any, other_iam: Any) -> None:
    for client in (iam, other_iam):
        told = client.get_policy(PolicyArn=READ_ONLY)["Policy"]
        assert (told["PolicyName"], told["DefaultVersionId"]) == ("AmazonEC2ContainerRegistryReadOnly", "v3")
        document = client.get_policy_version(PolicyArn=READ_ONLY, VersionId="v3")["PolicyVersion"]["Document"]
        assert "ecr:BatchGetImage" in document["Statement"][0]["Action"]
    listed = {one["Arn"] for one in iam.list_policies(Scope="AWS", MaxItems=1000)["Policies"]}
    assert {READ_ONLY, "arn:aws:iam::aws:policy/AdministratorAccess"} <= listed
    for refused in (
        lambda: iam.delete_policy(PolicyArn=READ_ONLY),
        lambda: iam.create_policy_version(PolicyArn=READ_ONLY, PolicyDocument=PUSH, SetAsDefault=True),
    ):
        assert refusal_of(refused)[:2] == (403, "AccessDenied")


def test_the_list_of_policies_goes_on_from_those_of_aws_to_the_accounts(iam: Any, managed: str) -> None:
    pages = list(iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 3}))
    listed = [one["Arn"] for page in pages for one in page["Policies"]]

    assert len(pages) > 2
    assert len(listed) == len(set(listed))
    assert {READ_ONLY, managed} <= set(listed)
    assert all(len(page["Policies"]) <= 3 for page in pages)


def test_attached_policies_are_listed_and_counted(iam: Any, user: str, managed: str) -> None:
    iam.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.attach_user_policy(UserName=user, PolicyArn=READ_ONLY)

    pages = list(
        iam.get_paginator("list_attached_user_policies").paginate(UserName=user, PaginationConfig={"PageSize": 1})
    )
    attached = [one for page in pages for one in page["AttachedPolicies"]]
    assert [one["PolicyArn"] for one in attached] == sorted([managed, READ_ONLY])
    assert {one["PolicyName"] for one in attached} == {user, "AmazonEC2ContainerRegistryReadOnly"}
    assert iam.get_policy(PolicyArn=managed)["Policy"]["AttachmentCount"] == 1
    assert managed in [one["Arn"] for one in iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]]
    assert refusal_of(iam.delete_policy, PolicyArn=managed) == (
        409,
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    iam.detach_user_policy(UserName=user, PolicyArn=managed)
    assert refusal_of(iam.detach_user_policy, UserName=user, PolicyArn=managed) == not_found(managed)
    assert managed not in [one["Arn"] for one in iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]]
    iam.delete_policy(PolicyArn=managed)


def test_whom_a_policy_weighs_on_is_told(iam: Any, user: str, managed: str) -> None:
    iam.create_group(GroupName=user)
    iam.create_role(RoleName=user, AssumeRolePolicyDocument=trust(OWN_ACCOUNT), PermissionsBoundary=managed)
    iam.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.attach_group_policy(GroupName=user, PolicyArn=managed)

    told = iam.list_entities_for_policy(PolicyArn=managed)

    assert [one["UserName"] for one in told["PolicyUsers"]] == [user]
    assert [one["GroupName"] for one in told["PolicyGroups"]] == [user]
    assert [one["RoleName"] for one in told["PolicyRoles"]] == [user]
    pages = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=managed, PaginationConfig={"PageSize": 1})
    assert [sum(len(page[kind]) for kind in ("PolicyUsers", "PolicyGroups", "PolicyRoles")) for page in pages] == [
        1
    ] * 3
    only = iam.list_entities_for_policy(PolicyArn=managed, EntityFilter="Group")
    assert (len(only["PolicyGroups"]), only["PolicyUsers"], only["PolicyRoles"]) == (1, [], [])
    bounds = iam.list_entities_for_policy(PolicyArn=managed, PolicyUsageFilter="PermissionsBoundary")
    assert (bounds["PolicyUsers"], [one["RoleName"] for one in bounds["PolicyRoles"]]) == ([], [user])


def test_what_cannot_be_attached_is_told(iam: Any, user: str) -> None:
    absent = f"arn:aws:iam::{ACCOUNT}:policy/absent-{uuid4()}"

    for arn in (absent, f"arn:aws:iam::{OTHER_ACCOUNT}:policy/theirs", "arn:aws:iam::aws:policy/NoSuchPolicy"):
        assert refusal_of(iam.attach_user_policy, UserName=user, PolicyArn=arn) == (
            404,
            "NoSuchEntity",
            f"Policy {arn} does not exist or is not attachable.",
        )
    assert refusal_of(iam.attach_user_policy, UserName=user, PolicyArn="x" * 20) == (
        400,
        "InvalidInput",
        f"ARN {'x' * 20} is not valid.",
    )


def test_ten_policies_are_attached_at_most(server: Server, iam: Any, user: str) -> None:
    server.execute(
        "INSERT INTO attached_policy (principal_key, policy_arn, attached_us) SELECT u.id, :prefix || n.policy_arn, 0"
        " FROM principal u, (SELECT '0' AS policy_arn UNION ALL SELECT '1' UNION ALL SELECT '2' UNION ALL SELECT '3'"
        " UNION ALL SELECT '4' UNION ALL SELECT '5' UNION ALL SELECT '6' UNION ALL SELECT '7' UNION ALL SELECT '8'"
        " UNION ALL SELECT '9') n WHERE u.name = :name AND u.kind = 'user'",
        prefix=f"arn:aws:iam::{ACCOUNT}:policy/p",
        name=user,
    )

    assert refusal_of(iam.attach_user_policy, UserName=user, PolicyArn=READ_ONLY) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for PoliciesPerUser: 10",
    )


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_inline_policies_of_each_kind_of_identity(iam: Any, name: str, kind: str) -> None:
    named = {f"{kind.title()}Name": name}
    more = {"AssumeRolePolicyDocument": trust(OWN_ACCOUNT)} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**named, **more)
    put, get = getattr(iam, f"put_{kind}_policy"), getattr(iam, f"get_{kind}_policy")
    listing, delete = getattr(iam, f"list_{kind}_policies"), getattr(iam, f"delete_{kind}_policy")

    put(**named, PolicyName="pull", PolicyDocument=PULL)
    put(**named, PolicyName="push", PolicyDocument=PULL)
    put(**named, PolicyName="push", PolicyDocument=PUSH)

    assert get(**named, PolicyName="push")["PolicyDocument"] == json.loads(PUSH)
    first = listing(**named, MaxItems=1)
    assert first["PolicyNames"] + listing(**named, Marker=first["Marker"])["PolicyNames"] == ["pull", "push"]
    delete(**named, PolicyName="push")
    gone = (404, "NoSuchEntity", f"The {kind} policy with name push cannot be found.")
    assert refusal_of(get, **named, PolicyName="push") == gone
    assert refusal_of(delete, **named, PolicyName="push") == gone


def test_inline_policies_are_counted_together_without_white_space(iam: Any, user: str) -> None:
    half = policy(["ecr:" + "a" * 900])
    iam.put_user_policy(UserName=user, PolicyName="one", PolicyDocument=half + "\n" * 5000)

    iam.put_user_policy(UserName=user, PolicyName="two", PolicyDocument=half)

    assert refusal_of(iam.put_user_policy, UserName=user, PolicyName="three", PolicyDocument=PULL) == (
        409,
        "LimitExceeded",
        f"Maximum policy size of 2048 bytes exceeded for user {user}",
    )
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["one", "two"]


def test_a_managed_policy_is_6144_characters_at_most(iam: Any, name: str) -> None:
    assert refusal_of(iam.create_policy, PolicyName=name, PolicyDocument=policy("ecr:" + "a" * 6100)) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )


def test_a_boundary_is_told_replaced_and_taken_away(iam: Any, user: str, managed: str) -> None:
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=managed)
    assert iam.get_user(UserName=user)["User"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": managed,
    }
    assert iam.get_policy(PolicyArn=managed)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    assert refusal_of(iam.delete_policy, PolicyArn=managed)[1] == "DeleteConflict"
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=READ_ONLY)
    iam.delete_policy(PolicyArn=managed)
    assert refusal_of(iam.put_user_permissions_boundary, UserName=user, PermissionsBoundary=managed) == (
        404,
        "NoSuchEntity",
        f"Scope ARN: {managed} does not exist or is not attachable.",
    )
    iam.delete_user_permissions_boundary(UserName=user)
    assert "PermissionsBoundary" not in iam.get_user(UserName=user)["User"]
    assert refusal_of(iam.delete_user_permissions_boundary, UserName=user)[1] == "NoSuchEntity"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "Syntax errors in policy. ("),
        ("[]", "Syntax errors in policy. ("),
        ("[" * 5000, "Syntax errors in policy. ("),
        ('{"Statement": {"Effect": "Allow", "Action": "ecr:*"}}', "Policy statement must contain resources. ("),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "Policy statement must contain actions. ("),
    ],
)
def test_what_is_no_policy_is_refused(iam: Any, document: str, message: str) -> None:
    status, code, said = refusal_of(iam.create_policy, PolicyName="p", PolicyDocument=document)

    assert (status, code) == (400, "MalformedPolicyDocument")
    assert said.startswith(message)


def test_what_is_no_trust_policy_is_refused(iam: Any, name: str) -> None:
    stranger = f"arn:aws:iam::{ACCOUNT}:user/{name}-absent"
    for document, message in (
        ("{", "Syntax errors in policy. ("),
        (trust(OWN_ACCOUNT, Resource="*"), "Has prohibited field Resource ("),
        (trust({"AWS": stranger}), f'Invalid principal in policy: "AWS":"{stranger}"'),
    ):
        status, code, said = refusal_of(iam.create_role, RoleName=name, AssumeRolePolicyDocument=document)
        assert (status, code) == (400, "MalformedPolicyDocument")
        assert said.startswith(message)


def test_a_user_that_is_made_again_is_not_who_was_trusted(iam: Any, user: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/{user}"
    first = iam.get_user(UserName=user)["User"]["UserId"]
    iam.create_role(RoleName=user, AssumeRolePolicyDocument=trust({"AWS": arn}))

    def trusted() -> str:
        document = iam.get_role(RoleName=user)["Role"]["AssumeRolePolicyDocument"]
        return str(document["Statement"][0]["Principal"]["AWS"])

    assert trusted() == arn
    iam.update_user(UserName=user, NewPath="/moved/")
    assert trusted() == f"arn:aws:iam::{ACCOUNT}:user/moved/{user}"
    iam.delete_user(UserName=user)
    iam.create_user(UserName=user)
    assert trusted() == first
