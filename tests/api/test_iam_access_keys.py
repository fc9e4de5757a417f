"""Access keys of users: two of them, on and off, and when they were last used."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.api.support import refusal_of
from tests.places import ON_DATABASES
from tests.running import Server
from tests.waiting import wait_until

pytestmark = ON_DATABASES

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def client_of(server: Server, key: dict[str, Any], service: str = "iam", region: str = "us-east-1") -> Any:
    """A client that signs with an access key."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=server.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def key(iam: Any, name: str) -> dict[str, Any]:
    """A key of an administrator that no other test uses."""
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR)
    made: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return made


def missing(key_id: str) -> tuple[int, str, str]:
    return 404, "NoSuchEntity", f"The Access Key with id {key_id} cannot be found."


def test_a_key_signs_from_when_it_is_made_until_it_is_switched_off(
    server: Server, iam: Any, key: dict[str, Any]
) -> None:
    own = client_of(server, key)
    assert key["AccessKeyId"].startswith("AKIA")
    assert key["Status"] == "Active"
    assert own.get_user()["User"]["UserName"] == key["UserName"]

    iam.update_access_key(UserName=key["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive")
    invalid = (403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    assert refusal_of(own.get_user) == invalid
    (listed,) = iam.list_access_keys(UserName=key["UserName"])["AccessKeyMetadata"]
    assert listed == {name: value for name, value in key.items() if name != "SecretAccessKey"} | {"Status": "Inactive"}

    iam.update_access_key(UserName=key["UserName"], AccessKeyId=key["AccessKeyId"], Status="Active")
    assert own.get_user()["User"]["UserName"] == key["UserName"]
    iam.delete_access_key(UserName=key["UserName"], AccessKeyId=key["AccessKeyId"])
    assert refusal_of(own.get_user) == invalid
    assert refusal_of(iam.delete_access_key, UserName=key["UserName"], AccessKeyId=key["AccessKeyId"]) == missing(
        key["AccessKeyId"]
    )


def test_a_user_has_two_keys_at_most(iam: Any, key: dict[str, Any]) -> None:
    user = key["UserName"]
    second = iam.create_access_key(UserName=user)["AccessKey"]

    assert refusal_of(iam.create_access_key, UserName=user) == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    first_page = iam.list_access_keys(UserName=user, MaxItems=1)
    last_page = iam.list_access_keys(UserName=user, MaxItems=1, Marker=first_page["Marker"])
    listed = first_page["AccessKeyMetadata"] + last_page["AccessKeyMetadata"]
    assert [one["AccessKeyId"] for one in listed] == [key["AccessKeyId"], second["AccessKeyId"]]


def test_a_user_turns_over_its_own_keys(server: Server, key: dict[str, Any]) -> None:
    own = client_of(server, key)
    fresh = own.create_access_key()["AccessKey"]
    assert fresh["UserName"] == key["UserName"]

    client_of(server, fresh).delete_access_key(AccessKeyId=key["AccessKeyId"])

    keys = client_of(server, fresh).list_access_keys()["AccessKeyMetadata"]
    assert [one["AccessKeyId"] for one in keys] == [fresh["AccessKeyId"]]


def test_a_key_of_another_user_is_not_there(iam: Any, key: dict[str, Any]) -> None:
    key_id = key["AccessKeyId"]

    for change in (iam.delete_access_key, lambda **named: iam.update_access_key(Status="Inactive", **named)):
        assert refusal_of(change, UserName="administrator", AccessKeyId=key_id) == missing(key_id)
    assert refusal_of(iam.update_access_key, UserName=key["UserName"], AccessKeyId=key_id, Status="Expired") == (
        400,
        "InvalidInput",
        "A key cannot be made Expired.",
    )


def last_used(iam: Any, key: dict[str, Any]) -> dict[str, Any]:
    answer = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert answer["UserName"] == key["UserName"]
    found: dict[str, Any] = answer["AccessKeyLastUsed"]
    return found


def test_the_last_use_of_a_key_is_told_on_either_plane(server: Server, iam: Any, key: dict[str, Any]) -> None:
    assert last_used(iam, key) == {"ServiceName": "N/A", "Region": "N/A"}

    client_of(server, key, "ecr", "eu-west-1").describe_repositories()

    used = wait_until(lambda: (use := last_used(iam, key)).get("LastUsedDate") and use, "the use is written down")
    assert (used["ServiceName"], used["Region"]) == ("ecr", "eu-west-1")
    assert datetime.now(UTC) - used["LastUsedDate"] < timedelta(seconds=60)


def test_the_last_use_of_a_key_that_is_not_there_is_not_told(iam: Any) -> None:
    absent = "AKIAABSENTABSENTABSE"

    assert refusal_of(iam.get_access_key_last_used, AccessKeyId=absent) == missing(absent)
