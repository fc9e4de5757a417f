"""Many administrators at once, on a server with two worker processes: quotas, names and deletions hold."""

import threading
import time
from collections import Counter
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.api.support import OWN_ACCOUNT, policy, refusal_of, trust
from tests.api.test_races import at_once, outcome_of
from tests.places import ON_DATABASES
from tests.running import Server
from tests.waiting import wait_until

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

ROUNDS = 3
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_the_third_key_is_made_for_nobody(iam: Any, name: str) -> None:
    for number in range(ROUNDS):
        user = f"{name}-{number}"
        iam.create_user(UserName=user)
        iam.create_access_key(UserName=user)

        outcomes = at_once([partial(outcome_of, iam.create_access_key, UserName=user)] * 4)

        assert Counter(outcomes) == {"done": 1, "LimitExceeded": 3}
        assert len(iam.list_access_keys(UserName=user)["AccessKeyMetadata"]) == 2


def test_a_name_is_given_once_in_whatever_case(iam: Any, name: str) -> None:
    for number in range(ROUNDS):
        base = f"{name}-n{number}"
        spellings = [base, base.upper(), base.title(), base.swapcase()]

        outcomes = at_once(partial(outcome_of, iam.create_user, UserName=spelling) for spelling in spellings)

        assert Counter(outcomes) == {"done": 1, "EntityAlreadyExists": 3}


def test_renaming_to_one_name_lets_one_have_it(iam: Any, name: str) -> None:
    users = [iam.create_user(UserName=f"{name}-{number}")["User"]["UserName"] for number in range(3)]

    outcomes = at_once(partial(outcome_of, iam.update_user, UserName=user, NewUserName=f"{name}-x") for user in users)

    assert Counter(outcomes) == {"done": 1, "EntityAlreadyExists": 2}


def test_a_policy_is_not_deleted_under_whom_it_weighs_on(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    for number in range(ROUNDS):
        arn = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=policy("ecr:*"))["Policy"]["Arn"]

        deleted, attached, bounded = at_once(
            [
                partial(outcome_of, iam.delete_policy, PolicyArn=arn),
                partial(outcome_of, iam.attach_user_policy, UserName=name, PolicyArn=arn),
                partial(outcome_of, iam.put_user_permissions_boundary, UserName=name, PermissionsBoundary=arn),
            ]
        )

        if deleted == "done":
            assert (attached, bounded) == ("NoSuchEntity", "NoSuchEntity")
        else:
            assert deleted == "DeleteConflict"
            assert "done" in (attached, bounded)
            assert iam.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


def test_a_user_is_not_deleted_under_what_it_is_given(server: Server, iam: Any, name: str) -> None:
    for number in range(ROUNDS):
        user = f"{name}-{number}"
        iam.create_user(UserName=user)

        deleted, key, own = at_once(
            [
                partial(outcome_of, iam.delete_user, UserName=user),
                partial(outcome_of, iam.create_access_key, UserName=user),
                partial(outcome_of, iam.put_user_policy, UserName=user, PolicyName="p", PolicyDocument=policy("*")),
            ]
        )

        if deleted == "done":
            assert (key, own) == ("NoSuchEntity", "NoSuchEntity")
            assert refusal_of(iam.get_user, UserName=user)[1] == "NoSuchEntity"
        else:
            assert deleted == "DeleteConflict"
            assert "done" in (key, own)
            assert iam.get_user(UserName=user)["User"]["UserName"] == user


def test_versions_that_are_made_at_once_are_five(iam: Any, name: str) -> None:
    arn = iam.create_policy(PolicyName=name, PolicyDocument=policy("ecr:*"))["Policy"]["Arn"]

    make = partial(outcome_of, iam.create_policy_version, PolicyArn=arn, PolicyDocument=policy("ecr:*"))
    outcomes = at_once([make] * 6)

    assert Counter(outcomes) == {"done": 4, "LimitExceeded": 2}
    versions = {one["VersionId"] for one in iam.list_policy_versions(PolicyArn=arn)["Versions"]}
    assert versions == {f"v{number}" for number in range(1, 6)}


def test_a_role_gets_into_one_profile_or_is_deleted(iam: Any, name: str) -> None:
    iam.create_instance_profile(InstanceProfileName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(OWN_ACCOUNT))

    deleted, added = at_once(
        [
            partial(outcome_of, iam.delete_role, RoleName=name),
            partial(outcome_of, iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name),
        ]
    )

    assert (deleted, added) in [("done", "NoSuchEntity"), ("DeleteConflict", "done")]


def test_nothing_that_is_signed_after_its_key_was_deleted_is_done(server: Server, iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own = boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    began_and_done: list[float] = []
    refused: list[str] = []

    def call() -> None:
        while len(refused) < 20:
            began = time.monotonic()
            try:
                own.get_user()
                began_and_done.append(began)
            except ClientError as error:
                refused.append(error.response["Error"]["Code"])

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(began_and_done) > 20, "the callers get on")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    deleted = time.monotonic()
    for caller in callers:
        caller.join()

    assert set(refused) == {"InvalidClientTokenId"}
    assert [began for began in began_and_done if began > deleted] == []
