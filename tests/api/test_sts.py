"""STS as its clients call it: roles, chains, tags, session policies, a user's own sessions, and what they may not."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from openecr.db import callers
from openecr.db.connection import Connection
from tests.api.support import ACCOUNT, push
from tests.identities import (
    client,
    make_role,
    make_user,
    policy,
    registry_password,
    set_trust,
    statement,
    trusts,
)
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:user/administrator"
OTHER_ADMINISTRATOR = f"arn:aws:iam::{OTHER_ACCOUNT}:user/administrator"
EVERYTHING = policy(statement("*", Resource="*"))
PULL = policy(
    statement(
        "ecr:GetAuthorizationToken",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ecr:DescribeRepositories",
        Resource="*",
    )
)
_numbers = count(1)
TagList = list[dict[str, str]]


@pytest.fixture
def name() -> str:
    """A name that no other test's role or user has."""
    return f"sts-{next(_numbers)}"


@pytest.fixture(scope="session")
def sts(server: Server) -> Any:
    return server.client("sts")


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """(status, code, message)."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def denied(who: str, role_arn: str, action: str = "sts:AssumeRole") -> tuple[int, str, str]:
    return 403, "AccessDenied", f"User: {who} is not authorized to perform: {action} on resource: {role_arn}"


def assume(sts: Any, role_arn: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = sts.assume_role(RoleArn=role_arn, RoleSessionName="ci", **more)
    return answer


def test_a_role_is_assumed_and_its_session_calls(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=PULL)

    answer = assume(sts, role)

    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert timedelta(minutes=59) < credentials["Expiration"] - datetime.now(UTC) <= timedelta(hours=1)
    assumed = answer["AssumedRoleUser"]
    assert assumed["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/ci"
    assert "PackedPolicySize" not in answer
    told = client(server, "sts", credentials).get_caller_identity()
    assert (told["Account"], told["Arn"], told["UserId"]) == (ACCOUNT, assumed["Arn"], assumed["AssumedRoleId"])
    ecr = client(server, "ecr", credentials)
    assert ecr.describe_repositories()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert refusal(ecr.create_repository, repositoryName=name)[1:] == (
        "AccessDeniedException",
        (
            f"User: {assumed['Arn']} is not authorized to perform: ecr:CreateRepository on resource: "
            f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name} because no identity-based policy allows the "
            "ecr:CreateRepository action"
        ),
    )


def test_a_role_that_is_not_there_is_refused_as_one_that_does_not_trust(server: Server, sts: Any, name: str) -> None:
    untrusting = make_role(server, name, trust=trusts(OTHER_ADMINISTRATOR), allowed=PULL)

    for role in (
        untrusting,
        f"arn:aws:iam::{ACCOUNT}:role/absent",
        "arn:aws:iam::000000000000:role/absent",
        untrusting.replace(":role/", ":role/path/"),
        untrusting.upper().replace("ARN:AWS:IAM", "arn:aws:iam").replace("ROLE/STS", "role/STS"),
    ):
        assert refusal(assume, sts=sts, role_arn=role) == denied(ADMINISTRATOR, role)


@pytest.mark.parametrize("arn", ["arn:aws:iam::123456789012:user/dev", "x" * 30, "arn:aws:iam::12:role/short"])
def test_what_is_no_role_is_invalid(sts: Any, arn: str) -> None:
    assert refusal(assume, sts=sts, role_arn=arn) == (400, "ValidationError", f"{arn} is invalid")


def test_an_account_that_is_trusted_lets_its_own_policies_decide(server: Server, name: str) -> None:
    role = make_role(server, name, trust=trusts(f"arn:aws:iam::{ACCOUNT}:root"))
    may = make_user(server, f"{name}-may", allowed=policy(statement("sts:AssumeRole", Resource=role)))
    may_not = make_user(server, f"{name}-may-not", allowed=PULL)

    assert assume(client(server, "sts", may), role)["AssumedRoleUser"]
    assert refusal(assume, sts=client(server, "sts", may_not), role_arn=role) == denied(
        f"arn:aws:iam::{ACCOUNT}:user/{name}-may-not", role
    )


def test_a_user_that_is_named_needs_no_policy_of_its_own_in_its_account(server: Server, name: str) -> None:
    user = make_user(server, f"{name}-user")
    role = make_role(server, name, trust=trusts(f"arn:aws:iam::{ACCOUNT}:user/{name}-user"))

    assert assume(client(server, "sts", user), role)["AssumedRoleUser"]


def test_an_explicit_deny_wins_on_either_side(server: Server, name: str) -> None:
    deny = statement("sts:AssumeRole", effect="Deny", Resource="*")
    user = make_user(server, f"{name}-user", allowed=policy(statement("*", Resource="*"), deny))
    role = make_role(server, name, trust=trusts(f"arn:aws:iam::{ACCOUNT}:user/{name}-user"))
    assert refusal(assume, sts=client(server, "sts", user), role_arn=role) == denied(
        f"arn:aws:iam::{ACCOUNT}:user/{name}-user", role
    )


def test_across_accounts_both_sides_must_allow(server: Server, name: str) -> None:
    who = f"arn:aws:iam::{OTHER_ACCOUNT}:user/{name}-user"
    user = make_user(server, f"{name}-user", account_id=OTHER_ACCOUNT)
    role = make_role(server, name, trust=trusts(who))
    may = make_user(
        server, f"{name}-may", account_id=OTHER_ACCOUNT, allowed=policy(statement("sts:AssumeRole", Resource="*"))
    )

    assert refusal(assume, sts=client(server, "sts", user), role_arn=role) == denied(who, role)
    assert refusal(assume, sts=client(server, "sts", may), role_arn=role) == denied(
        f"arn:aws:iam::{OTHER_ACCOUNT}:user/{name}-may", role
    )
    set_trust(server, name, trusts(f"arn:aws:iam::{OTHER_ACCOUNT}:root"))
    assert assume(client(server, "sts", may), role)["AssumedRoleUser"]["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:")


def test_an_external_id_keeps_a_deputy_from_being_confused(server: Server, name: str) -> None:
    role = make_role(
        server,
        name,
        trust=trusts(
            f"arn:aws:iam::{OTHER_ACCOUNT}:root", Condition={"StringEquals": {"sts:ExternalId": "customer-7"}}
        ),
    )
    deputy = server.client("sts", OTHER_ACCOUNT)

    assert assume(deputy, role, ExternalId="customer-7")["AssumedRoleUser"]
    for wrong in ({}, {"ExternalId": "customer-8"}, {"ExternalId": "CUSTOMER-7"}):
        assert refusal(assume, sts=deputy, role_arn=role, **wrong) == denied(OTHER_ADMINISTRATOR, role)


def test_a_trust_policy_may_ask_for_the_sessions_name(server: Server, sts: Any, name: str) -> None:
    role = make_role(
        server,
        name,
        trust=trusts(ADMINISTRATOR, Condition={"StringLike": {"sts:RoleSessionName": "${aws:username}-*"}}),
    )

    assert sts.assume_role(RoleArn=role, RoleSessionName="administrator-1")["AssumedRoleUser"]
    assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="somebody") == denied(ADMINISTRATOR, role)


# Chains.


def chain_of(server: Server, name: str, **first: Any) -> tuple[str, str]:
    """(role, role that only its sessions may assume)."""
    inner = f"arn:aws:iam::{ACCOUNT}:role/{name}-inner"
    outer = make_role(
        server,
        f"{name}-outer",
        trust=trusts(ADMINISTRATOR, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"),
        allowed=policy(statement("sts:*", Resource=inner)),
        session_seconds=43_200,
        **first,
    )
    assert inner == make_role(
        server,
        f"{name}-inner",
        trust=trusts(outer, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"),
        allowed=PULL,
        session_seconds=43_200,
    )
    return outer, inner


def test_a_chain_lasts_an_hour_at_most(server: Server, sts: Any, name: str) -> None:
    outer, inner = chain_of(server, name)
    session = client(server, "sts", assume(sts, outer, DurationSeconds=43_200)["Credentials"])

    answer = assume(session, inner, DurationSeconds=3600)

    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}-inner/ci"
    assert refusal(assume, sts=session, role_arn=inner, DurationSeconds=3601) == (
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )
    assert refusal(assume, sts=sts, role_arn=inner) == denied(ADMINISTRATOR, inner)


def test_transitive_tags_and_the_source_identity_go_down_the_chain(server: Server, sts: Any, name: str) -> None:
    outer, inner = chain_of(server, name)
    tags = [{"Key": "team", "Value": "web"}, {"Key": "stage", "Value": "ci"}]
    first = assume(sts, outer, Tags=tags, TransitiveTagKeys=["team"], SourceIdentity="mona")
    session = client(server, "sts", first["Credentials"])

    second = assume(session, inner)

    assert (first["SourceIdentity"], second["SourceIdentity"]) == ("mona", "mona")
    kept = server.rows(
        "SELECT tags, transitive_tags, chained FROM session WHERE access_key_id = :id",
        id=second["Credentials"]["AccessKeyId"],
    )
    assert [(json.loads(row[0]), json.loads(row[1]), row[2]) for row in kept] == [({"team": "web"}, ["team"], 1)]
    assert refusal(assume, sts=session, role_arn=inner, SourceIdentity="lisa") == denied(
        first["AssumedRoleUser"]["Arn"], inner, "sts:SetSourceIdentity"
    )
    again = [{"Key": "TEAM", "Value": "ops"}]
    assert refusal(assume, sts=session, role_arn=inner, Tags=again)[:2] == (400, "ValidationError")


def test_tags_and_a_source_identity_need_the_roles_trust_of_their_own(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR))

    tags = [{"Key": "team", "Value": "web"}]
    assert refusal(assume, sts=sts, role_arn=role, Tags=tags) == denied(ADMINISTRATOR, role, "sts:TagSession")
    assert refusal(assume, sts=sts, role_arn=role, SourceIdentity="mona") == denied(
        ADMINISTRATOR, role, "sts:SetSourceIdentity"
    )


def test_session_tags_are_what_policies_see(server: Server, sts: Any, name: str) -> None:
    allowed = policy(
        statement("ecr:CreateRepository", Resource=f"arn:aws:ecr:*:*:repository/{name}/${{aws:PrincipalTag/team}}/*")
    )
    role = make_role(
        server,
        name,
        trust=trusts(
            ADMINISTRATOR,
            "sts:AssumeRole",
            "sts:TagSession",
            Condition={"StringEquals": {"aws:RequestTag/team": ["web", "ops"]}},
        ),
        allowed=allowed,
    )
    web = client(server, "ecr", assume(sts, role, Tags=[{"Key": "team", "Value": "web"}])["Credentials"])

    assert web.create_repository(repositoryName=f"{name}/web/app")
    assert refusal(web.create_repository, repositoryName=f"{name}/ops/app")[1] == "AccessDeniedException"
    assert refusal(assume, sts=sts, role_arn=role, Tags=[{"Key": "team", "Value": "hr"}]) == denied(ADMINISTRATOR, role)


@pytest.mark.parametrize(
    ("tags", "transitive"),
    [
        ([{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}], []),
        ([{"Key": "aws:x", "Value": "1"}], []),
        ([{"Key": "a", "Value": "1"}], ["b"]),
        ([{"Key": str(number), "Value": ""} for number in range(51)], []),
    ],
)
def test_tags_that_no_session_has_are_refused(
    server: Server, sts: Any, name: str, tags: TagList, transitive: list[str]
) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR, "sts:AssumeRole", "sts:TagSession"))

    assert refusal(assume, sts=sts, role_arn=role, Tags=tags, TransitiveTagKeys=transitive)[:2] == (
        400,
        "ValidationError",
    )


def test_tags_that_take_too_much_room_are_refused(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR, "sts:AssumeRole", "sts:TagSession"))
    packed = assume(sts, role, Tags=[{"Key": "team", "Value": "web"}])["PackedPolicySize"]
    assert 1 <= packed < 10
    tags = [
        {"Key": f"{number}", "Value": "".join(chr(0x4E00 + (number * 251 + at * at * 7) % 20_000) for at in range(250))}
        for number in range(50)
    ]

    status, code, message = refusal(assume, sts=sts, role_arn=role, Tags=tags)

    assert (status, code) == (400, "PackedPolicyTooLarge")
    assert message.startswith("Packed size of session tags consumes ")


# Session policies.


def test_session_policies_shrink_a_session_and_never_widen_it(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=PULL)
    narrowed = assume(
        sts, role, Policy=policy(statement("ecr:DescribeRepositories", "ecr:CreateRepository", Resource="*"))
    )
    ecr = client(server, "ecr", narrowed["Credentials"])

    assert narrowed["PackedPolicySize"] > 0
    assert ecr.describe_repositories()
    who = narrowed["AssumedRoleUser"]["Arn"]
    assert refusal(ecr.get_authorization_token) == (
        400,
        "AccessDeniedException",
        (
            f"User: {who} is not authorized to perform: ecr:GetAuthorizationToken on resource: * "
            "because no session policy allows the ecr:GetAuthorizationToken action"
        ),
    )
    assert "no identity-based policy" in refusal(ecr.create_repository, repositoryName=name)[2]


def test_managed_policies_narrow_a_session_too(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=EVERYTHING)
    read_only = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    ecr = client(server, "ecr", assume(sts, role, PolicyArns=[{"arn": read_only}])["Credentials"])

    assert ecr.describe_repositories()
    assert refusal(ecr.create_repository, repositoryName=name)[1] == "AccessDeniedException"
    absent = f"arn:aws:iam::{ACCOUNT}:policy/absent"
    assert refusal(assume, sts=sts, role_arn=role, PolicyArns=[{"arn": absent}]) == (
        400,
        "ValidationError",
        f"Policy {absent} does not exist or is not attachable.",
    )


@pytest.mark.parametrize("document", ["{", "[]", '{"Version": "2012-10-17"}', '{"Statement": [{"Effect": "Maybe"}]}'])
def test_what_is_no_policy_is_malformed(server: Server, sts: Any, name: str, document: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR))

    assert refusal(assume, sts=sts, role_arn=role, Policy=document)[:2] == (400, "MalformedPolicyDocument")


def test_a_session_policy_of_too_many_characters_is_refused(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR))

    assert refusal(assume, sts=sts, role_arn=role, Policy=policy(statement("ecr:*", Resource="x" * 2100))) == (
        400,
        "ValidationError",
        (
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: "
            "Member must have length less than or equal to 2048"
        ),
    )


# How long.


def test_durations_are_those_of_the_model_and_the_role(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), session_seconds=7200)

    for seconds in (900, 7200):
        left = assume(sts, role, DurationSeconds=seconds)["Credentials"]["Expiration"] - datetime.now(UTC)
        assert timedelta(seconds=seconds - 60) < left <= timedelta(seconds=seconds)
    assert refusal(assume, sts=sts, role_arn=role, DurationSeconds=7201) == (
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )


def test_credentials_that_expired_say_so_and_a_registry_token_of_them_lives_on(
    server: Server, sts: Any, name: str, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "image", "v1")
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=PULL)
    credentials = assume(sts, role)["Credentials"]
    puller = RegistryClient(server.port, registry_password(server, credentials))
    assert puller.request("GET", f"/v2/{repository}/manifests/v1").status == 200

    expire(server, credentials["AccessKeyId"])

    assert refusal(client(server, "ecr", credentials).describe_repositories) == (
        400,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )
    assert refusal(client(server, "sts", credentials).get_caller_identity) == (
        403,
        "ExpiredToken",
        "The security token included in the request is expired",
    )
    assert puller.request("GET", f"/v2/{repository}/manifests/v1").status == 200


def expire(server: Server, access_key_id: str) -> None:
    """Let a session's credentials have ended a second ago, on every server."""

    def end(db: Connection) -> None:
        now_us = time.time_ns() // 1000 - 1_000_000
        db.run("UPDATE session SET expires_us = :now WHERE access_key_id = :id", now=now_us, id=access_key_id)
        callers.forget(db)

    server.write(end)


# Credentials that do not hold.


def test_a_session_without_its_token_is_nobody(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=EVERYTHING)
    credentials = assume(sts, role)["Credentials"]
    other = assume(sts, role)["Credentials"]
    unrecognized = "The security token included in the request is invalid."

    for token in ("", "x", credentials["SessionToken"][:-1], credentials["SessionToken"] + "=", other["SessionToken"]):
        wrong = dict(credentials, SessionToken=token)
        assert refusal(client(server, "ecr", wrong).describe_repositories) == (
            400,
            "UnrecognizedClientException",
            unrecognized,
        )
        assert refusal(client(server, "sts", wrong).get_caller_identity) == (403, "InvalidClientTokenId", unrecognized)


def test_a_long_term_key_has_no_token(server: Server) -> None:
    variables = server.environment()
    wrong = {
        "AccessKeyId": variables["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": variables["AWS_SECRET_ACCESS_KEY"],
        "SessionToken": "x",
    }

    assert refusal(client(server, "sts", wrong).get_caller_identity)[1] == "InvalidClientTokenId"


def test_a_presigned_request_carries_its_token_in_the_query(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR))
    credentials = assume(sts, role)["Credentials"]

    url = client(server, "sts", credentials).generate_presigned_url("get_caller_identity", HttpMethod="GET")

    assert "X-Amz-Security-Token=" in url
    with urllib.request.urlopen(url) as answer:
        assert f"assumed-role/{name}/ci" in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace("X-Amz-Security-Token=", "X-Amz-Security-Token=A"))
    assert refused.value.code == 403
    refused.value.close()


# A user's own sessions.


def test_a_user_gets_a_session_of_its_own_whatever_its_policies_say(server: Server, name: str) -> None:
    user = make_user(server, name, allowed=policy(statement("sts:*", effect="Deny", Resource="*")))
    sts = client(server, "sts", user)

    credentials = sts.get_session_token()["Credentials"]

    left = credentials["Expiration"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    session = client(server, "sts", credentials)
    assert session.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert refusal(session.get_session_token) == (
        403,
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )
    assert refusal(client(server, "ecr", credentials).describe_repositories)[1] == "AccessDeniedException"


def test_a_users_session_is_not_for_iam(server: Server, sts: Any) -> None:
    credentials = sts.get_session_token()["Credentials"]

    assert refusal(client(server, "iam", credentials).list_users) == (
        403,
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    )
    assert client(server, "ecr", credentials).describe_repositories()


def test_a_roles_session_gets_no_other(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=EVERYTHING)

    assert refusal(client(server, "sts", assume(sts, role)["Credentials"]).get_session_token)[1] == "AccessDenied"


def test_there_are_no_mfa_devices(server: Server, sts: Any, name: str) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR))
    device = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/administrator", "TokenCode": "123456"}

    for call in (sts.get_session_token, lambda **more: assume(sts, role, **more)):
        status, code, message = refusal(call, **device)
        assert (status, code, message.partition(",")[0]) == (403, "AccessDenied", "MultiFactorAuthentication failed")


@pytest.mark.parametrize("seconds", [899, 129_601])
def test_a_session_of_another_length_is_refused(server: Server, sts: Any, seconds: int) -> None:
    unchecked = client(server, "sts", sts.get_session_token()["Credentials"], parameter_validation=False)

    assert refusal(unchecked.get_session_token, DurationSeconds=seconds)[:2] == (400, "ValidationError")


def test_a_session_token_is_as_long_as_a_client_wants_to_try(sts: Any) -> None:
    answer = sts.get_session_token(MinimumSessionTokenSize=4096)

    assert answer["SessionTokenSize"] == len(answer["Credentials"]["SessionToken"]) >= 4096


def test_the_account_of_a_key_is_told(server: Server, sts: Any) -> None:
    credentials = sts.get_session_token()["Credentials"]

    assert sts.get_access_key_info(AccessKeyId=credentials["AccessKeyId"])["Account"] == ACCOUNT
    other = server.environment(OTHER_ACCOUNT)["AWS_ACCESS_KEY_ID"]
    assert sts.get_access_key_info(AccessKeyId=other)["Account"] == OTHER_ACCOUNT
    assert refusal(sts.get_access_key_info, AccessKeyId="AKIAAAAAAAAAAAAAAAAA")[:2] == (400, "ValidationError")


# Ending.


def test_revoked_sessions_and_their_registry_tokens_end(
    server: Server, sts: Any, name: str, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "image", "v1")
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=PULL)
    one, two, three = (assume(sts, role)["Credentials"] for _ in range(3))
    password = registry_password(server, one)
    path = f"/v2/{repository}/manifests/v1"
    assert RegistryClient(server.port, password).request("GET", path).status == 200
    listed = json.loads(server.command("sessions", "list", "--role", name, "--json").stdout)
    assert [item["accessKeyId"] for item in listed] == [made["AccessKeyId"] for made in (one, two, three)]

    said = server.command("sessions", "revoke", "--session", two["AccessKeyId"]).stdout

    assert said == f"session {two['AccessKeyId']} is ended\n"
    assert refusal(client(server, "ecr", two).describe_repositories)[1] == "UnrecognizedClientException"
    assert client(server, "ecr", three).describe_repositories()
    assert server.command("sessions", "revoke", "--role", name).stdout == f"2 sessions of role {name} are ended\n"
    for ended in (one, three):
        assert refusal(client(server, "ecr", ended).describe_repositories)[1] == "UnrecognizedClientException"
    answer = RegistryClient(server.port, password).request("GET", path)
    assert answer.status == 403
    assert assume(sts, role)["Credentials"]


def test_revoking_says_what_is_not_there(server: Server) -> None:
    for arguments, status in (
        (("--session", "ASIAAAAAAAAAAAAAAAAA"), 1),
        (("--role", "a", "--user", "b"), 2),
    ):
        assert server.command("sessions", "revoke", *arguments, check=False).returncode == status


def test_no_secret_is_in_the_log(server: Server, sts: Any) -> None:
    credentials = sts.get_session_token()["Credentials"]
    client(server, "sts", credentials).get_caller_identity()

    log = server.log()
    assert credentials["SessionToken"] not in log
    assert credentials["SecretAccessKey"] not in log


def test_boto3_assumes_roles_by_itself(server: Server, name: str, tmp_path: Any, monkeypatch: Any) -> None:
    role = make_role(server, name, trust=trusts(ADMINISTRATOR), allowed=PULL)
    variables = server.environment()
    profiles = tmp_path / "config"
    profiles.write_text(
        f"[profile base]\naws_access_key_id = {variables['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {variables['AWS_SECRET_ACCESS_KEY']}\n"
        f"[profile ci]\nrole_arn = {role}\nsource_profile = base\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)

    told = boto3.Session(profile_name="ci").client("sts").get_caller_identity()

    assert f":assumed-role/{name}/botocore-session-" in told["Arn"]
