"""What attackers try on IAM and with sessions of STS; each fails when its defence is taken out."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.support import ACCOUNT, OWN_ACCOUNT, arn_of, policy, push, refusal_of, trust
from tests.api.test_iam_rights import Person, is_denied
from tests.api.test_iam_rights import person as person
from tests.identities import client, make_role, make_user, registry_password, statement, trusts
from tests.identities import policy as statements
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
NOTHING_OF_ECR = "arn:aws:iam::aws:policy/AmazonElasticContainerRegistryPublicFullAccess"
ALL = "arn:aws:iam::aws:policy/AdministratorAccess"
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def allowed(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, Resource=resource, **more)


def denial(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return statement(*actions, effect="Deny", Resource=resource, **more)


class TestPrivilegeEscalation:
    """The known ways from some rights of IAM to all rights: each is the action on the resource that AWS asks about."""

    def test_each_way_up_needs_its_own_right_on_its_own_resource(
        self, person: Person, iam: Any, server: Server
    ) -> None:
        """Everything but one action on oneself: then every way round it is shut too."""
        role, group, own = f"r-{person.name}", f"g-{person.name}", f"p-{person.name}"
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
        iam.create_group(GroupName=group)
        iam.attach_group_policy(GroupName=group, PolicyArn=ALL)
        owned = iam.create_policy(PolicyName=own, PolicyDocument=policy("ecr:DescribeRegistry"))["Policy"]["Arn"]
        iam.create_policy_version(PolicyArn=owned, PolicyDocument=policy("*"))
        iam.attach_user_policy(UserName=person.name, PolicyArn=owned)
        profile = f"i-{person.name}"
        iam.create_instance_profile(InstanceProfileName=profile)
        mine = person.client("iam")
        role_arn, group_arn = f"arn:aws:iam::{ACCOUNT}:role/{role}", f"arn:aws:iam::{ACCOUNT}:group/{group}"
        everything = policy("*")
        ways: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
            (mine.create_policy_version, {"PolicyArn": owned, "PolicyDocument": everything}, owned),
            (mine.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v2"}, owned),
            (mine.attach_user_policy, {"UserName": person.name, "PolicyArn": ALL}, person.arn),
            (
                mine.put_user_policy,
                {"UserName": person.name, "PolicyName": "x", "PolicyDocument": everything},
                person.arn,
            ),
            (mine.create_access_key, {"UserName": person.name}, person.arn),
            (mine.delete_user_permissions_boundary, {"UserName": person.name}, person.arn),
            (mine.add_user_to_group, {"UserName": person.name, "GroupName": group}, group_arn),
            (mine.attach_group_policy, {"GroupName": group, "PolicyArn": ALL}, group_arn),
            (mine.put_group_policy, {"GroupName": group, "PolicyName": "x", "PolicyDocument": everything}, group_arn),
            (mine.attach_role_policy, {"RoleName": role, "PolicyArn": ALL}, role_arn),
            (mine.update_assume_role_policy, {"RoleName": role, "PolicyDocument": trust(OWN_ACCOUNT)}, role_arn),
            (mine.add_role_to_instance_profile, {"RoleName": role, "InstanceProfileName": profile}, role_arn),
            (mine.update_user, {"UserName": person.name, "NewPath": "/admins/"}, person.arn),
        ]
        protected = [person.arn, owned, role_arn, group_arn]
        iam.put_user_policy(
            UserName=person.name,
            PolicyName="rights",
            PolicyDocument=statements(allowed("*"), denial("iam:*", resource=protected)),
        )
        for call, arguments, resource in ways:
            status, code, message = refusal_of(call, **arguments)
            assert (status, code) == (403, "AccessDenied"), call
            assert f"on resource: {resource} with an explicit deny" in message
        # In any spelling of the name, which IAM takes in any case.
        shouted = person.name.upper()
        assert is_denied(mine.attach_user_policy, UserName=shouted, PolicyArn=ALL)
        assert is_denied(mine.update_assume_role_policy, RoleName=role.upper(), PolicyDocument=trust(OWN_ACCOUNT))
        assert is_denied(mine.add_user_to_group, UserName=person.name, GroupName=group.upper())

    def test_a_name_in_another_case_is_no_way_around_a_denial(self, person: Person, iam: Any) -> None:
        """An instance profile was once named in its ARN as the caller spelled it."""
        profile, role = f"prod-{person.name}", f"r-{person.name}"
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
        guarded = f"arn:aws:iam::{ACCOUNT}:instance-profile/prod-*"
        iam.put_user_policy(
            UserName=person.name,
            PolicyName="rights",
            PolicyDocument=statements(allowed("iam:*"), denial("iam:*", resource=guarded)),
        )
        mine = person.client("iam")
        for name in (profile, profile.upper(), profile.title()):
            assert is_denied(mine.add_role_to_instance_profile, InstanceProfileName=name, RoleName=role)
            assert is_denied(mine.get_instance_profile, InstanceProfileName=name)
            assert is_denied(mine.delete_instance_profile, InstanceProfileName=name)
        assert iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"] == []

    def test_an_arn_with_another_path_is_no_way_to_what_somebody_may(self, person: Person, iam: Any, name: str) -> None:
        """Simulations once found a user by the name in an ARN, whatever its path and case."""
        iam.create_user(UserName=f"{name}-boss", Path="/bosses/")
        boss = f"arn:aws:iam::{ACCOUNT}:user/bosses/{name}-boss"
        iam.put_user_policy(
            UserName=person.name,
            PolicyName="rights",
            PolicyDocument=statements(
                allowed("iam:*"), denial("iam:*", resource=f"arn:aws:iam::{ACCOUNT}:user/bosses/*")
            ),
        )
        mine = person.client("iam")
        for arn, code in (
            (boss, "AccessDenied"),
            (boss.replace("/bosses/", "/"), "NoSuchEntity"),
            (boss.replace("/bosses/", "/Bosses/"), "NoSuchEntity"),
            (boss.replace("/bosses/", "/x/y/"), "NoSuchEntity"),
            (boss.replace(ACCOUNT, OTHER_ACCOUNT), "AccessDenied"),
        ):
            asked = {"PolicySourceArn": arn, "ActionNames": ["ecr:PutImage"]}
            assert refusal_of(mine.simulate_principal_policy, **asked)[1] == code, arn
            assert refusal_of(mine.get_context_keys_for_principal_policy, PolicySourceArn=arn)[1] == code
        assert refusal_of(mine.get_user, UserName=f"{name}-BOSS")[1] == "AccessDenied"

    def test_a_role_may_be_passed_to_the_services_that_the_policy_names(self, person: Person, iam: Any) -> None:
        profile, role = f"i-{person.name}", f"r-{person.name}"
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
        to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        iam.put_user_policy(
            UserName=person.name,
            PolicyName="rights",
            PolicyDocument=statements(allowed("iam:*"), denial("iam:PassRole", Condition=to_ec2)),
        )
        call = person.client("iam").add_role_to_instance_profile
        assert is_denied(call, InstanceProfileName=profile, RoleName=role)
        person.may("iam:AddRoleToInstanceProfile", "iam:PassRole", Condition=to_ec2)
        assert is_denied(call, InstanceProfileName=profile, RoleName=role)  # the first action has no such key
        iam.put_user_policy(
            UserName=person.name,
            PolicyName="rights",
            PolicyDocument=statements(
                allowed("iam:AddRoleToInstanceProfile"), allowed("iam:PassRole", Condition=to_ec2)
            ),
        )
        call(InstanceProfileName=profile, RoleName=role)

    def test_another_accounts_names_open_nothing(self, person: Person, iam: Any, other_iam: Any) -> None:
        """An ARN in an argument says which account's policies decide, and whose identities are found."""
        theirs = other_iam.create_policy(PolicyName=person.name, PolicyDocument=policy("ecr:*"))["Policy"]["Arn"]
        person.may("iam:*", resource="*")
        mine = person.client("iam")
        for call, arguments in (
            (mine.get_policy, {"PolicyArn": theirs}),
            (mine.create_policy_version, {"PolicyArn": theirs, "PolicyDocument": policy("*"), "SetAsDefault": True}),
            (mine.set_default_policy_version, {"PolicyArn": theirs, "VersionId": "v1"}),
            (mine.delete_policy, {"PolicyArn": theirs}),
            (mine.list_entities_for_policy, {"PolicyArn": theirs}),
        ):
            absent = arguments | {"PolicyArn": f"{theirs}-absent"}
            assert is_denied(call, **arguments)
            there, missing = refusal_of(call, **arguments), refusal_of(call, **absent)
            assert missing[2].replace("-absent", "") == there[2]
        code = refusal_of(mine.attach_user_policy, UserName=person.name, PolicyArn=theirs)[1]
        assert code == "NoSuchEntity"
        assert len(other_iam.list_policy_versions(PolicyArn=theirs)["Versions"]) == 1

    def test_a_boundary_is_not_left_by_what_one_makes(self, person: Person, iam: Any, server: Server) -> None:
        """A bounded administrator makes a role without the boundary, and assumes it: the boundary forbids the making,
        whatever other boundary or none it asks for."""
        bounds = {"StringEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/b-{person.name}"}}
        boundary = iam.create_policy(
            PolicyName=f"b-{person.name}",
            PolicyDocument=statements(
                allowed("ecr:Describe*", "sts:*"),
                allowed("iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy", Condition=bounds),
            ),
        )["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName=person.name, PermissionsBoundary=boundary)
        person.may("*")
        mine, role = person.client("iam"), f"r-{person.name}"
        document = trust({"AWS": person.arn})
        free = {"RoleName": role, "AssumeRolePolicyDocument": document}
        assert is_denied(mine.create_role, **free)
        assert is_denied(mine.create_role, **free, PermissionsBoundary=ALL)
        mine.create_role(**free, PermissionsBoundary=boundary)
        mine.attach_role_policy(RoleName=role, PolicyArn=ALL)
        assert is_denied(mine.delete_role_permissions_boundary, RoleName=role)
        assert is_denied(mine.put_role_permissions_boundary, RoleName=role, PermissionsBoundary=ALL)
        assert is_denied(mine.delete_user_permissions_boundary, UserName=person.name)
        session = person.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="free"
        )["Credentials"]
        free_client = client(server, "ecr", session)
        assert free_client.describe_repositories()
        assert is_denied(free_client.create_repository, repositoryName=f"free/{person.name}")


class TestSessions:
    """A session is never more than its terms, on any plane, by whatever it asks for."""

    @pytest.fixture
    def narrowed(self, server: Server, name: str, repository: str, docker: RegistryClient) -> dict[str, Any]:
        """Credentials of a role that may do everything, in a session that may pull one repository."""
        push(docker, repository, "narrow", "v1")
        role = make_role(server, name, trust=trust(OWN_ACCOUNT), allowed=policy("*"))
        login = allowed("ecr:GetAuthorizationToken", "sts:*", "iam:*")
        narrow = statements(login, allowed(*PULL, resource=arn_of(repository)))
        answer = server.client("sts").assume_role(RoleArn=role, RoleSessionName="narrow", Policy=narrow)
        credentials: dict[str, Any] = answer["Credentials"]
        return credentials

    def test_a_registry_token_of_a_narrowed_session_stays_narrow(
        self, server: Server, ecr: Any, docker: RegistryClient, narrowed: dict[str, Any], repository: str, name: str
    ) -> None:
        other = f"{repository}-other"
        ecr.create_repository(repositoryName=other)
        layer = b"of the other one"
        push(docker, other, "other", "v1", layers=(layer,))
        wide = server.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="wide")[
            "Credentials"
        ]
        narrow_docker = RegistryClient(server.port, registry_password(server, narrowed))
        wide_docker = RegistryClient(server.port, registry_password(server, wide))
        # The same role under the same version of its policies, one session after the other: no decision is shared.
        for _ in range(2):
            assert wide_docker.request("GET", f"/v2/{other}/manifests/v1").status == 200
            assert narrow_docker.request("GET", f"/v2/{repository}/manifests/v1").status == 200
            for method, path in (
                ("GET", f"/v2/{other}/manifests/v1"),
                ("GET", f"/v2/{other}/blobs/{digest_of(layer)}"),
                ("GET", f"/v2/{other}/tags/list"),
                ("GET", "/v2/_catalog"),
                ("POST", f"/v2/{repository}/blobs/uploads/"),
                ("DELETE", f"/v2/{repository}/manifests/v1"),
            ):
                body = b"" if method == "POST" else None
                assert narrow_docker.request(method, path, body).error[:2] == (403, "DENIED"), path

    def test_a_narrowed_session_gives_itself_no_wider_one(
        self, server: Server, narrowed: dict[str, Any], repository: str, name: str
    ) -> None:
        """A chain begins anew from the role's rights only where the session's policy lets it, and a new password of a
        narrowed session is as narrow as the session."""
        sts = client(server, "sts", narrowed)
        assert refusal_of(sts.get_session_token)[1] == "AccessDenied"
        again = RegistryClient(server.port, registry_password(server, narrowed))
        assert again.request("GET", "/v2/_catalog").status == 403
        login_only = statements(allowed("ecr:GetAuthorizationToken"))
        role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        last = server.client("sts").assume_role(RoleArn=role, RoleSessionName="last", Policy=login_only)["Credentials"]
        assert refusal_of(client(server, "sts", last).assume_role, RoleArn=role, RoleSessionName="up")[:2] == (
            403,
            "AccessDenied",
        )
        assert is_denied(client(server, "ecr", last).describe_repositories)

    def test_a_session_is_not_its_principals_of_the_same_name(self, server: Server, name: str, repository: str) -> None:
        """A session's name is the caller's choice: naming it as a user or another role makes it neither."""
        make_user(server, name, allowed=policy("ecr:*"))
        role = make_role(server, f"{name}-role", trust=trust(OWN_ACCOUNT))
        credentials = server.client("sts").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        ecr = client(server, "ecr", credentials)
        assert is_denied(ecr.describe_repositories)
        named = json.loads(policy("ecr:ListImages"))
        named["Statement"][0] |= {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"}}
        del named["Statement"][0]["Resource"]
        server.client("ecr").set_repository_policy(repositoryName=repository, policyText=json.dumps(named))
        assert is_denied(ecr.list_images, repositoryName=repository)

    def test_a_sessions_tag_stands_before_its_roles_in_any_case(self, server: Server, name: str) -> None:
        """``team`` of a session replaces ``Team`` of its role, as keys of tags are the same in any case."""
        role = make_role(server, name, trust=trusts(OWN_ACCOUNT, "sts:AssumeRole", "sts:TagSession"))
        iam = server.client("iam")
        iam.tag_role(RoleName=name, Tags=[{"Key": "Team", "Value": "red"}])
        red = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
        iam.put_role_policy(
            RoleName=name, PolicyName="rights", PolicyDocument=policy("ecr:DescribeRepositories", Condition=red)
        )
        sts = server.client("sts")

        def session(**more: Any) -> Any:
            answer = sts.assume_role(RoleArn=role, RoleSessionName="tagged", **more)
            return client(server, "ecr", answer["Credentials"])

        assert session().describe_repositories()
        assert is_denied(session(Tags=[{"Key": "tEAM", "Value": "blue"}]).describe_repositories)
        assert session(Tags=[{"Key": "TEAM", "Value": "red"}]).describe_repositories()


class TestStaleness:
    """What was decided before a change is not decided so after it; every change is one that a decision remembers."""

    def test_every_change_of_what_one_may_ends_what_was_remembered(
        self, person: Person, iam: Any, repository: str, docker: RegistryClient
    ) -> None:
        push(docker, repository, "stale", "v1")
        login = policy("ecr:GetAuthorizationToken")
        pulls = policy([*PULL, "ecr:GetAuthorizationToken"])
        iam.put_user_policy(UserName=person.name, PolicyName="login", PolicyDocument=login)
        mine = person.docker()
        owned = iam.create_policy(PolicyName=person.name, PolicyDocument=pulls)["Policy"]["Arn"]
        iam.create_policy_version(PolicyArn=owned, PolicyDocument=login)
        group = f"g-{person.name}"
        iam.create_group(GroupName=group)
        iam.add_user_to_group(UserName=person.name, GroupName=group)

        def may() -> bool:
            status = mine.request("GET", f"/v2/{repository}/manifests/v1").status
            assert status in (200, 403)
            return status == 200

        user = {"UserName": person.name}
        steps: list[tuple[Callable[..., Any], dict[str, Any], bool]] = [
            (iam.attach_user_policy, {**user, "PolicyArn": owned}, True),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v2"}, False),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v1"}, True),
            (iam.put_user_permissions_boundary, {**user, "PermissionsBoundary": owned}, True),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v2"}, False),
            (iam.put_user_policy, {**user, "PolicyName": "all", "PolicyDocument": policy("*")}, False),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v1"}, True),
            (iam.delete_user_policy, {**user, "PolicyName": "all"}, True),
            (iam.detach_user_policy, {**user, "PolicyArn": owned}, False),
            (iam.attach_group_policy, {"GroupName": group, "PolicyArn": owned}, True),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v2"}, False),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v1"}, True),
            (iam.detach_group_policy, {"GroupName": group, "PolicyArn": owned}, False),
            (iam.put_group_policy, {"GroupName": group, "PolicyName": "x", "PolicyDocument": pulls}, True),
            (iam.remove_user_from_group, {**user, "GroupName": group}, False),
            (iam.add_user_to_group, {**user, "GroupName": group}, True),
            (iam.delete_group_policy, {"GroupName": group, "PolicyName": "x"}, False),
            # A policy that weighs as a boundary alone.
            (iam.put_user_policy, {**user, "PolicyName": "all", "PolicyDocument": policy("*")}, True),
            (iam.set_default_policy_version, {"PolicyArn": owned, "VersionId": "v2"}, False),
            (iam.create_policy_version, {"PolicyArn": owned, "PolicyDocument": pulls, "SetAsDefault": True}, True),
            (iam.put_user_permissions_boundary, {**user, "PermissionsBoundary": READ_ONLY}, True),
            (iam.put_user_permissions_boundary, {**user, "PermissionsBoundary": NOTHING_OF_ECR}, False),
            (iam.delete_user_permissions_boundary, user, True),
        ]
        assert not may()
        for number, (change, arguments, expected) in enumerate(steps):
            change(**arguments)
            assert may() is expected, (number, change.__name__)
            assert may() is expected  # from memory

    def test_a_user_that_is_made_again_or_renamed_has_nothing_of_the_other(
        self, person: Person, iam: Any, server: Server, ecr: Any, repository: str
    ) -> None:
        named = json.loads(policy("ecr:ListImages"))
        named["Statement"][0] |= {"Principal": {"AWS": person.arn}}
        del named["Statement"][0]["Resource"]
        ecr.set_repository_policy(repositoryName=repository, policyText=json.dumps(named))
        assert "imageIds" in person.client("ecr").list_images(repositoryName=repository)
        iam.update_user(UserName=person.name, NewUserName=f"{person.name}-renamed")
        assert "imageIds" in person.client("ecr").list_images(repositoryName=repository)
        usurper = client(server, "ecr", make_user(server, person.name))
        assert is_denied(usurper.list_images, repositoryName=repository)

    def test_tags_that_conditions_read_are_read_each_time(
        self, person: Person, iam: Any, ecr: Any, repository: str
    ) -> None:
        blue = {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:ResourceTag/team": "blue"}}
        person.may("ecr:ListImages", Condition=blue)
        listing = person.client("ecr").list_images
        arn = arn_of(repository)
        for principal, resource in (("blue", "red"), ("red", "blue"), ("blue", "blue"), ("red", "blue")):
            iam.tag_user(UserName=person.name, Tags=[{"Key": "team", "Value": principal}])
            ecr.tag_resource(resourceArn=arn, tags=[{"Key": "team", "Value": resource}])
            if (principal, resource) == ("blue", "blue"):
                assert "imageIds" in listing(repositoryName=repository)
            else:
                assert is_denied(listing, repositoryName=repository)
