"""Users, groups and roles, as the clients of IAM make, list, rename and delete them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.api.support import ACCOUNT, OWN_ACCOUNT, policy, refusal_of, trust
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

TRUST = trust(OWN_ACCOUNT)
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


def missing(kind: str, name: str) -> tuple[int, str, str]:
    return 404, "NoSuchEntity", f"The {kind} with name {name} cannot be found."


def taken(kind: str, name: str) -> tuple[int, str, str]:
    return 409, "EntityAlreadyExists", f"{kind} with name {name} already exists."


def conflict(what: str) -> tuple[int, str, str]:
    return 409, "DeleteConflict", f"Cannot delete entity, must {what} first."


def test_a_user_lives_and_dies(iam: Any, name: str) -> None:
    made = iam.create_user(UserName=name, Path="/ci/", Tags=[{"Key": "team", "Value": "payments"}])["User"]

    assert datetime.now(UTC) - made["CreateDate"] < timedelta(seconds=60)
    assert made["UserId"].startswith("AIDA")
    assert len(made["UserId"]) == 21
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ci/{name}"
    assert made["Tags"] == [{"Key": "team", "Value": "payments"}]
    assert iam.get_user(UserName=name.upper())["User"] == made
    (listed,) = [user for user in iam.list_users(PathPrefix="/ci/")["Users"] if user["UserName"] == name]
    assert listed == {key: value for key, value in made.items() if key != "Tags"}
    iam.delete_user(UserName=name)
    assert refusal_of(iam.get_user, UserName=name) == missing("user", name)
    assert refusal_of(iam.delete_user, UserName=name) == missing("user", name)


def test_names_are_taken_in_every_case(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    iam.create_group(GroupName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)

    upper = name.upper()
    assert refusal_of(iam.create_user, UserName=upper) == taken("User", upper)
    assert refusal_of(iam.create_group, GroupName=upper) == taken("Group", upper)
    assert refusal_of(iam.create_role, RoleName=upper, AssumeRolePolicyDocument=TRUST) == taken("Role", upper)


def test_who_names_nobody_means_themselves(iam: Any) -> None:
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/administrator"
    assert {key["UserName"] for key in iam.list_access_keys()["AccessKeyMetadata"]} == {"administrator"}


def test_users_are_listed_in_pages_by_name_and_path(iam: Any) -> None:
    path = f"/{uuid4()}/"
    names = [f"page-{letter}-{uuid4()}" for letter in "BaDc"]
    for name in names:
        iam.create_user(UserName=name, Path=path)

    first = iam.list_users(PathPrefix=path, MaxItems=3)
    rest = iam.list_users(PathPrefix=path, MaxItems=3, Marker=first["Marker"])

    assert first["IsTruncated"] is True
    assert rest["IsTruncated"] is False
    listed = [user["UserName"] for user in first["Users"] + rest["Users"]]
    assert listed == sorted(names, key=str.lower)
    assert refusal_of(iam.list_users, PathPrefix="/", Marker=first["Marker"]) == (
        400,
        "ValidationError",
        "Invalid Marker.",
    )


def test_a_renamed_user_is_the_same_user(iam: Any, name: str) -> None:
    made = iam.create_user(UserName=name)["User"]
    other = iam.create_user(UserName=f"{name}-other")["User"]["UserName"]

    iam.update_user(UserName=name, NewUserName=f"{name}-new", NewPath="/moved/")

    renamed = iam.get_user(UserName=f"{name}-new")["User"]
    assert renamed["UserId"] == made["UserId"]
    assert renamed["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/moved/{name}-new"
    assert refusal_of(iam.get_user, UserName=name) == missing("user", name)
    assert refusal_of(iam.update_user, UserName=other, NewUserName=f"{name}-NEW") == taken("User", f"{name}-NEW")


def test_a_user_that_holds_something_is_not_deleted(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    iam.create_group(GroupName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.add_user_to_group(UserName=name, GroupName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy("ecr:*"))
    iam.attach_user_policy(UserName=name, PolicyArn=READ_ONLY)

    assert refusal_of(iam.delete_user, UserName=name) == conflict("detach all policies")
    iam.detach_user_policy(UserName=name, PolicyArn=READ_ONLY)
    assert refusal_of(iam.delete_user, UserName=name) == conflict("delete policies")
    iam.delete_user_policy(UserName=name, PolicyName="own")
    assert refusal_of(iam.delete_user, UserName=name) == conflict("delete access keys")
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    assert refusal_of(iam.delete_user, UserName=name) == conflict("remove users from group")
    assert refusal_of(iam.delete_group, GroupName=name) == conflict("remove users from group")
    iam.remove_user_from_group(UserName=name, GroupName=name)
    iam.delete_user(UserName=name)
    iam.delete_group(GroupName=name)
    assert refusal_of(iam.get_group, GroupName=name) == missing("group", name)


def test_a_group_knows_its_users_and_a_user_its_groups(iam: Any, name: str) -> None:
    group = iam.create_group(GroupName=name, Path="/teams/")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/teams/{name}"
    assert group["GroupId"].startswith("AGPA")
    users = [iam.create_user(UserName=f"{name}-{number}")["User"]["UserName"] for number in range(2)]
    for user in users:
        iam.add_user_to_group(GroupName=name, UserName=user)
    iam.add_user_to_group(GroupName=name, UserName=users[0])

    first = iam.get_group(GroupName=name, MaxItems=1)
    second = iam.get_group(GroupName=name, MaxItems=1, Marker=first["Marker"])

    assert first["Group"] == group
    assert [user["UserName"] for user in first["Users"] + second["Users"]] == users
    assert iam.list_groups_for_user(UserName=users[0])["Groups"] == [group]
    assert [one["GroupName"] for one in iam.list_groups(PathPrefix="/teams/")["Groups"]].count(name) == 1
    stranger = f"{name}-absent"
    assert refusal_of(iam.add_user_to_group, GroupName=name, UserName=stranger) == missing("user", stranger)
    assert refusal_of(iam.add_user_to_group, GroupName=stranger, UserName=users[0]) == missing("group", stranger)


def test_a_user_is_in_ten_groups_at_most(server: Server, iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    for number in range(11):
        iam.create_group(GroupName=f"{name}-{number}")
    server.execute(
        "INSERT INTO group_member (group_key, principal_key) SELECT g.id, u.id FROM principal g, principal u"
        " WHERE u.kind = 'user' AND u.name = :name AND g.kind = 'group' AND g.name >= :first AND g.name < :last"
        " AND g.name <> :left",
        name=name,
        first=f"{name}-",
        last=f"{name}.",
        left=f"{name}-10",
    )

    assert refusal_of(iam.add_user_to_group, GroupName=f"{name}-10", UserName=name) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for GroupsPerUser: 10",
    )
    assert len(iam.list_groups_for_user(UserName=name)["Groups"]) == 10


def test_a_role_lives_and_dies(iam: Any, name: str) -> None:
    made = iam.create_role(
        RoleName=name,
        Path="/ci/",
        AssumeRolePolicyDocument=TRUST,
        Description="pulls",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "payments"}],
    )["Role"]

    assert made["RoleId"].startswith("AROA")
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/ci/{name}"
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert (made["Description"], made["MaxSessionDuration"]) == ("pulls", 7200)
    assert iam.get_role(RoleName=name)["Role"] == made
    assert made["RoleLastUsed"] == {}
    (listed,) = [role for role in iam.list_roles(PathPrefix="/ci/")["Roles"] if role["RoleName"] == name]
    assert listed == {key: value for key, value in made.items() if key not in ("Tags", "RoleLastUsed")}
    assert iam.update_role_description(RoleName=name, Description="pushes")["Role"]["Description"] == "pushes"
    iam.update_role(RoleName=name, MaxSessionDuration=3700)
    changed = iam.get_role(RoleName=name)["Role"]
    assert (changed["Description"], changed["MaxSessionDuration"]) == ("pushes", 3700)
    iam.delete_role(RoleName=name)
    assert refusal_of(iam.get_role, RoleName=name) == missing("role", name)


def test_a_trust_policy_is_replaced(iam: Any, name: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    after = trust({"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"})

    iam.update_assume_role_policy(RoleName=name, PolicyDocument=after)

    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(after)
    code = refusal_of(iam.update_assume_role_policy, RoleName=name, PolicyDocument="{")[:2]
    assert code == (400, "MalformedPolicyDocument")
    long = trust({"AWS": [f"arn:aws:iam::{OTHER_ACCOUNT}:root"] * 60})
    assert refusal_of(iam.update_assume_role_policy, RoleName=name, PolicyDocument=long) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for ACLSizePerRole: 2048",
    )


def test_the_sessions_of_what_is_deleted_are_gone(server: Server, iam: Any, name: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    server.execute(
        "INSERT INTO session (access_key_id, principal_key, sealed_secret, token_digest, name, policies, tags,"
        " transitive_tags, source_identity, provider, chained, created_us, expires_us, kept_until_us)"
        " SELECT :key, id, access_version, access_version, 's', '', '{}', '[]', '', '', 0, 0, 1, 1 FROM principal"
        " WHERE name = :name".replace("access_version, access_version", ":raw, :raw"),
        key=f"ASIA{uuid4().hex[:16].upper()}",
        name=name,
        raw=b"raw",
    )

    iam.delete_role(RoleName=name)

    assert server.rows("SELECT 1 FROM principal WHERE name = :name", name=name) == []


def test_other_accounts_identities_are_not_seen(iam: Any, other_iam: Any, name: str) -> None:
    iam.create_user(UserName=name)

    assert refusal_of(other_iam.get_user, UserName=name) == missing("user", name)
    assert other_iam.create_user(UserName=name)["User"]["Arn"] == f"arn:aws:iam::{OTHER_ACCOUNT}:user/{name}"


def test_members_outside_their_shapes_are_told_in_the_common_form(iam: Any) -> None:
    status, code, message = refusal_of(iam.create_user, UserName="two words")

    assert (status, code) == (400, "ValidationError")
    assert message == (
        "1 validation error detected: Value 'two words' at 'userName' failed to satisfy constraint: Member must "
        r"satisfy regular expression pattern: [\w+=,.@-]+"
    )


def test_tags_are_the_same_key_in_any_case(iam: Any, name: str) -> None:
    iam.create_user(UserName=name, Tags=[{"Key": "Team", "Value": "a"}, {"Key": "stage", "Value": "b"}])

    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "c"}])
    assert iam.list_user_tags(UserName=name)["Tags"] == [
        {"Key": "stage", "Value": "b"},
        {"Key": "team", "Value": "c"},
    ]
    iam.untag_user(UserName=name, TagKeys=["STAGE", "absent"])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "team", "Value": "c"}]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    assert refusal_of(iam.tag_user, UserName=name, Tags=twice) == (
        400,
        "InvalidInput",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert refusal_of(iam.tag_user, UserName=name, Tags=many) == (
        409,
        "LimitExceeded",
        "The number of tags has reached the maximum limit.",
    )
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "team", "Value": "c"}]


def test_role_tags_come_in_pages(iam: Any, name: str) -> None:
    tags = [{"Key": f"k{number}", "Value": str(number)} for number in range(3)]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.tag_role(RoleName=name, Tags=tags)

    first = iam.list_role_tags(RoleName=name, MaxItems=2)
    rest = iam.list_role_tags(RoleName=name, MaxItems=2, Marker=first["Marker"])

    assert first["Tags"] + rest["Tags"] == tags
    iam.untag_role(RoleName=name, TagKeys=["k0", "k1", "k2"])
    assert "Tags" not in iam.get_role(RoleName=name)["Role"]
