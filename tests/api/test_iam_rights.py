"""What identities may do is what their policies say, at once: on IAM itself and on the registry."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from tests.api.support import ACCOUNT, OWN_ACCOUNT, policy, refusal_of, trust
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient
from tests.running import Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
POWER_USER = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"


@dataclass
class Person:
    """A user with a key and no rights."""

    server: Server
    iam: Any
    """The administrator's client."""
    name: str
    key: dict[str, Any]

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.server.url,
            aws_access_key_id=self.key["AccessKeyId"],
            aws_secret_access_key=self.key["SecretAccessKey"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def may(self, *actions: str, resource: str = "*", **more: Any) -> None:
        """Give the person these rights and no others of their own."""
        self.iam.put_user_policy(
            UserName=self.name, PolicyName="rights", PolicyDocument=policy(list(actions), resource, **more)
        )

    def docker(self) -> RegistryClient:
        data = self.client("ecr").get_authorization_token()["authorizationData"][0]
        password = base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")
        return RegistryClient(self.server.port, password)


@pytest.fixture
def person(server: Server, iam: Any, name: str) -> Person:
    iam.create_user(UserName=name)
    return Person(server, iam, name, iam.create_access_key(UserName=name)["AccessKey"])


def denied(person: Person, action: str, resource: str, why: str = "identity-based policy") -> tuple[int, str, str]:
    return (
        403,
        "AccessDenied",
        (
            f"User: {person.arn} is not authorized to perform: {action} on resource: {resource} "
            f"because no {why} allows the {action} action"
        ),
    )


def is_denied(call: Callable[..., Any], **arguments: Any) -> bool:
    code = refusal_of(call, **arguments)[1]
    assert code in ("AccessDenied", "AccessDeniedException"), code
    return True


def test_a_new_user_may_do_nothing_and_learns_nothing(person: Person, iam: Any) -> None:
    own = person.client("iam")
    absent = f"absent-{uuid4()}"
    iam.create_user(UserName=f"{person.name}-there", Path="/secret/")

    assert refusal_of(own.get_user) == denied(person, "iam:GetUser", person.arn)
    assert refusal_of(own.list_users) == denied(person, "iam:ListUsers", f"arn:aws:iam::{ACCOUNT}:user/")
    assert refusal_of(own.get_user, UserName=absent) == denied(
        person, "iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/{absent}"
    )
    assert refusal_of(own.delete_user, UserName=absent)[1] == "AccessDenied"
    assert refusal_of(own.get_policy, PolicyArn=READ_ONLY) == denied(person, "iam:GetPolicy", READ_ONLY)


def test_nobody_gives_themselves_rights(person: Person) -> None:
    own = person.client("iam")
    everything = policy("*")
    role = f"{person.name}-role"
    person.iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust(OWN_ACCOUNT))
    person.iam.create_group(GroupName=person.name)

    for call, arguments in (
        (own.put_user_policy, {"UserName": person.name, "PolicyName": "p", "PolicyDocument": everything}),
        (own.attach_user_policy, {"UserName": person.name, "PolicyArn": POWER_USER}),
        (own.add_user_to_group, {"UserName": person.name, "GroupName": person.name}),
        (own.put_group_policy, {"GroupName": person.name, "PolicyName": "p", "PolicyDocument": everything}),
        (own.update_assume_role_policy, {"RoleName": role, "PolicyDocument": trust({"AWS": person.arn})}),
        (own.create_access_key, {"UserName": "administrator"}),
        (own.delete_user_permissions_boundary, {"UserName": person.name}),
        (own.create_policy, {"PolicyName": person.name, "PolicyDocument": everything}),
    ):
        assert is_denied(call, **arguments)


def test_rights_come_from_groups_and_managed_policies_and_go_with_them(
    person: Person, iam: Any, repository: str
) -> None:
    ecr = person.client("ecr")
    describe = {"repositoryNames": [repository]}
    assert is_denied(ecr.describe_repositories, **describe)

    iam.create_group(GroupName=person.name)
    iam.attach_group_policy(GroupName=person.name, PolicyArn=READ_ONLY)
    iam.add_user_to_group(GroupName=person.name, UserName=person.name)
    assert ecr.describe_repositories(**describe)["repositories"][0]["repositoryName"] == repository
    assert is_denied(ecr.delete_repository, repositoryName=repository)

    iam.detach_group_policy(GroupName=person.name, PolicyArn=READ_ONLY)
    assert is_denied(ecr.describe_repositories, **describe)

    arn = iam.create_policy(PolicyName=person.name, PolicyDocument=policy("ecr:Describe*"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=person.name, PolicyArn=arn)
    assert ecr.describe_repositories(**describe)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("ecr:ListImages"), SetAsDefault=True)
    assert is_denied(ecr.describe_repositories, **describe)
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert ecr.describe_repositories(**describe)
    iam.remove_user_from_group(GroupName=person.name, UserName=person.name)


def test_a_boundary_bounds_an_administrator(person: Person, iam: Any, repository: str) -> None:
    iam.attach_user_policy(UserName=person.name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.put_user_permissions_boundary(UserName=person.name, PermissionsBoundary=READ_ONLY)

    assert person.client("ecr").describe_repositories(repositoryNames=[repository])
    assert refusal_of(person.client("iam").get_user) == denied(
        person, "iam:GetUser", person.arn, "permissions boundary"
    )
    iam.delete_user_permissions_boundary(UserName=person.name)
    assert person.client("iam").get_user()["User"]["UserName"] == person.name


def test_a_registry_token_ends_with_its_key_and_follows_its_users_rights(
    person: Person, iam: Any, repository: str
) -> None:
    person.may("ecr:GetAuthorizationToken", "ecr:ListImages", "ecr:InitiateLayerUpload")
    docker = person.docker()
    begin = ("POST", f"/v2/{repository}/blobs/uploads/")
    assert docker.request(*begin).status == 202

    person.may("ecr:GetAuthorizationToken")
    assert docker.request(*begin).status == 403

    person.may("ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload")
    assert docker.request(*begin).status == 202
    iam.delete_access_key(UserName=person.name, AccessKeyId=person.key["AccessKeyId"])
    assert docker.request(*begin).status == 403


def test_an_upload_that_was_begun_outlives_its_user_for_nobody(
    person: Person, iam: Any, repository: str, docker: RegistryClient
) -> None:
    person.may("ecr:*")
    location = person.docker().request("POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
    iam.delete_user_policy(UserName=person.name, PolicyName="rights")
    iam.delete_access_key(UserName=person.name, AccessKeyId=person.key["AccessKeyId"])
    iam.delete_user(UserName=person.name)

    assert docker.request("GET", location).status == 404


def test_who_may_manage_what_is_under_a_path_may_manage_that_alone(person: Person, iam: Any) -> None:
    team, inside, outside = f"/{uuid4()}/", f"in-{uuid4()}", f"out-{uuid4()}"
    person.may("iam:*", resource=f"arn:aws:iam::{ACCOUNT}:user{team}*")
    own = person.client("iam")
    iam.create_user(UserName=outside)

    assert own.create_user(UserName=inside, Path=team)["User"]["Path"] == team
    assert [one["UserName"] for one in own.list_users(PathPrefix=team)["Users"]] == [inside]
    assert own.get_user(UserName=inside.upper())["User"]["UserName"] == inside
    assert is_denied(own.list_users)
    assert is_denied(own.create_user, UserName=f"{inside}-2")
    assert is_denied(own.get_user, UserName=outside)
    assert is_denied(own.update_user, UserName=inside, NewPath="/elsewhere/")
    own.update_user(UserName=inside, NewUserName=f"{inside}-new")


def test_a_delegated_administrator_is_held_to_the_boundary_and_policies_it_was_given(person: Person, iam: Any) -> None:
    rights = ["iam:CreateUser", "iam:AttachUserPolicy", "iam:PutUserPolicy"]
    bounded = {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}
    person.may(*rights, Condition=bounded)
    own, inside, outside = person.client("iam"), f"in-{uuid4()}", f"out-{uuid4()}"
    iam.create_user(UserName=outside)

    assert is_denied(own.create_user, UserName=inside)
    assert is_denied(own.create_user, UserName=inside, PermissionsBoundary=POWER_USER)
    own.create_user(UserName=inside, PermissionsBoundary=READ_ONLY)
    own.put_user_policy(UserName=inside, PolicyName="p", PolicyDocument=policy("*"))
    assert is_denied(own.put_user_policy, UserName=outside, PolicyName="p", PolicyDocument=policy("*"))

    person.may("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": READ_ONLY}})
    own.attach_user_policy(UserName=outside, PolicyArn=READ_ONLY)
    assert is_denied(own.attach_user_policy, UserName=outside, PolicyArn=POWER_USER)


def test_a_role_is_passed_on_only_by_who_may(person: Person, iam: Any) -> None:
    iam.create_role(RoleName=person.name, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    iam.create_instance_profile(InstanceProfileName=person.name)
    own, named = person.client("iam"), {"InstanceProfileName": person.name, "RoleName": person.name}
    role = f"arn:aws:iam::{ACCOUNT}:role/{person.name}"

    person.may("iam:AddRoleToInstanceProfile")
    assert refusal_of(own.add_role_to_instance_profile, **named) == denied(person, "iam:PassRole", role)

    person.may("iam:AddRoleToInstanceProfile", "iam:PassRole")
    own.add_role_to_instance_profile(**named)


def test_tags_decide_who_manages_whom(person: Person, iam: Any) -> None:
    own, ours, theirs = person.client("iam"), f"ours-{uuid4()}", f"theirs-{uuid4()}"
    for other, team in ((ours, "a"), (theirs, "b")):
        iam.create_user(UserName=other, Tags=[{"Key": "team", "Value": team}])
    iam.tag_user(UserName=person.name, Tags=[{"Key": "Team", "Value": "a"}])
    person.may("iam:GetUser", Condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}})

    assert own.get_user(UserName=ours)["User"]["UserName"] == ours
    assert is_denied(own.get_user, UserName=theirs)
    iam.tag_user(UserName=theirs, Tags=[{"Key": "team", "Value": "a"}])
    assert own.get_user(UserName=theirs)["User"]["UserName"] == theirs


def test_tags_of_a_new_user_need_the_right_to_tag(person: Person) -> None:
    own, tags = person.client("iam"), [{"Key": "team", "Value": "a"}]
    person.may("iam:CreateUser")
    made = f"{person.name}-made"

    refused = refusal_of(own.create_user, UserName=made, Tags=tags)
    assert refused == denied(person, "iam:TagUser", f"arn:aws:iam::{ACCOUNT}:user/{made}")
    own.create_user(UserName=made)


def test_the_organization_of_an_account_is_known_at_once(server: Server, person: Person, repository: str) -> None:
    organization = "o-abc1234567"
    both = {"aws:PrincipalOrgID": organization, "aws:ResourceOrgID": organization}
    person.may("ecr:DescribeRepositories", Condition={"StringEquals": both})
    ecr = person.client("ecr")
    assert is_denied(ecr.describe_repositories)

    server.command("account", "set-organization", ACCOUNT, organization)
    assert ecr.describe_repositories(repositoryNames=[repository])
    listed = server.command("account", "list").stdout.splitlines()
    assert [line.split()[-1] for line in listed if line.startswith(ACCOUNT)] == [organization]

    server.command("account", "set-organization", ACCOUNT, "none")
    assert is_denied(ecr.describe_repositories)
    wrong = server.command("account", "set-organization", ACCOUNT, "mine", check=False)
    assert (wrong.returncode != 0, "o-abc1234567" in wrong.stderr) == (True, True)
    absent = server.command("account", "set-organization", "0" * 12, organization, check=False)
    assert "there is no account 000000000000" in absent.stderr
