"""KMS on the api plane, as its clients call it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.support import ACCOUNT, error_of
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

ABSENT = "0f000000-0000-4000-8000-000000000000"


def arn(resource: str, region: str = "us-east-1", account: str = ACCOUNT) -> str:
    return f"arn:aws:kms:{region}:{account}:{resource}"


@pytest.fixture
def key(kms: Any) -> dict[str, Any]:
    made: dict[str, Any] = kms.create_key(Description="a test's")["KeyMetadata"]
    return made


def state_of(kms: Any, key: dict[str, Any]) -> str:
    return str(kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"])


def test_a_new_key_is_symmetric_and_enabled(kms: Any) -> None:
    made = kms.create_key(Description="for layers")["KeyMetadata"]

    assert datetime.now(UTC) - made.pop("CreationDate") < timedelta(seconds=60)
    key_id = made["KeyId"]
    assert made == {
        "AWSAccountId": ACCOUNT,
        "KeyId": key_id,
        "Arn": arn(f"key/{key_id}"),
        "Enabled": True,
        "Description": "for layers",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
    }


@pytest.mark.parametrize(
    "members",
    [
        {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"Origin": "EXTERNAL"},
        {"MultiRegion": True},
        {"Policy": "{}"},
        {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
    ],
)
def test_a_key_of_another_kind_is_refused_rather_than_made_as_something_else(kms: Any, members: dict[str, Any]) -> None:
    assert error_of(kms.create_key, **members)[0] == "UnsupportedOperationException"


def test_a_key_is_described_by_whatever_names_it(kms: Any, key: dict[str, Any]) -> None:
    alias = f"alias/{uuid4()}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["Arn"])

    for name in (key["KeyId"], key["Arn"], alias, arn(alias)):
        assert kms.describe_key(KeyId=name)["KeyMetadata"] == key


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (ABSENT, f"Key '{arn(f'key/{ABSENT}')}' does not exist"),
        (arn(f"key/{ABSENT}"), f"Key '{arn(f'key/{ABSENT}')}' does not exist"),
        ("alias/absent", f"Alias {arn('alias/absent')} is not found."),
        (arn("alias/absent"), f"Alias {arn('alias/absent')} is not found."),
        ("nonsense", "Invalid keyId 'nonsense'"),
        (arn(f"key/{ABSENT}", "eu-west-1"), "Invalid arn eu-west-1"),
    ],
)
def test_what_is_not_there_is_told_in_kms_words(kms: Any, name: str, message: str) -> None:
    assert error_of(kms.describe_key, KeyId=name) == ("NotFoundException", message)


@pytest.mark.parametrize("call", ["enable_key", "disable_key", "schedule_key_deletion", "cancel_key_deletion"])
def test_a_change_takes_no_alias(kms: Any, key: dict[str, Any], call: str) -> None:
    alias = f"alias/{uuid4()}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])

    assert error_of(getattr(kms, call), KeyId=alias) == ("NotFoundException", f"Invalid keyId '{alias}'")


def test_another_accounts_key_is_neither_seen_nor_changed(server: Server, key: dict[str, Any]) -> None:
    stranger = server.client("kms", OTHER_ACCOUNT)

    for call in (stranger.describe_key, stranger.disable_key, stranger.schedule_key_deletion):
        code, message = error_of(call, KeyId=key["Arn"])
        assert code == "AccessDeniedException"
        assert message.startswith(f"User: arn:aws:iam::{OTHER_ACCOUNT}:user/administrator is not authorized to perform")
    assert error_of(stranger.describe_key, KeyId=key["KeyId"])[0] == "NotFoundException"
    assert key["KeyId"] not in [item["KeyId"] for item in stranger.list_keys(Limit=1000)["Keys"]]


def test_a_key_is_disabled_and_enabled(kms: Any, key: dict[str, Any]) -> None:
    kms.disable_key(KeyId=key["KeyId"])
    kms.disable_key(KeyId=key["KeyId"])
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Enabled"] is False
    assert state_of(kms, key) == "Disabled"

    kms.enable_key(KeyId=key["Arn"])
    assert state_of(kms, key) == "Enabled"


def test_deletion_waits_and_can_be_cancelled(kms: Any, key: dict[str, Any]) -> None:
    scheduled = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)

    assert scheduled["KeyId"] == key["Arn"]
    assert scheduled["KeyState"] == "PendingDeletion"
    assert scheduled["PendingWindowInDays"] == 7
    wait = scheduled["DeletionDate"] - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < wait < timedelta(days=7, minutes=1)
    pending = ("KMSInvalidStateException", f"{key['Arn']} is pending deletion.")
    for call in (kms.enable_key, kms.disable_key, kms.schedule_key_deletion):
        assert error_of(call, KeyId=key["KeyId"]) == pending
    assert error_of(kms.create_alias, AliasName=f"alias/{uuid4()}", TargetKeyId=key["KeyId"]) == pending

    assert kms.cancel_key_deletion(KeyId=key["KeyId"])["KeyId"] == key["Arn"]
    assert state_of(kms, key) == "Disabled"
    assert error_of(kms.cancel_key_deletion, KeyId=key["KeyId"]) == (
        "KMSInvalidStateException",
        f"{key['Arn']} is not pending deletion.",
    )


def test_the_waiting_period_is_thirty_days_unless_told(kms: Any, key: dict[str, Any]) -> None:
    assert kms.schedule_key_deletion(KeyId=key["KeyId"])["PendingWindowInDays"] == 30


@pytest.mark.parametrize(("days", "bound"), [(6, "greater than or equal to 7"), (31, "less than or equal to 30")])
def test_the_waiting_period_has_bounds(kms: Any, key: dict[str, Any], days: int, bound: str) -> None:
    assert error_of(kms.schedule_key_deletion, KeyId=key["KeyId"], PendingWindowInDays=days) == (
        "ValidationException",
        (
            f"1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: "
            f"Member must have value {bound}"
        ),
    )


def test_a_key_that_aws_manages_is_left_alone(ecr: Any, kms: Any, repository_name: str) -> None:
    ecr.create_repository(repositoryName=repository_name, encryptionConfiguration={"encryptionType": "KMS"})
    managed = kms.describe_key(KeyId="alias/aws/ecr")["KeyMetadata"]
    assert managed["KeyManager"] == "AWS"

    for call, action in ((kms.disable_key, "DisableKey"), (kms.schedule_key_deletion, "ScheduleKeyDeletion")):
        assert error_of(call, KeyId=managed["KeyId"]) == (
            "AccessDeniedException",
            (
                f"User: arn:aws:iam::{ACCOUNT}:user/administrator is not authorized to perform: kms:{action} "
                f"on resource: {managed['Arn']} because no resource-based policy allows the kms:{action} action"
            ),
        )
    assert state_of(kms, managed) == "Enabled"


def test_an_alias_is_given_once(kms: Any, key: dict[str, Any]) -> None:
    alias = f"alias/{uuid4()}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])

    assert error_of(kms.create_alias, AliasName=alias, TargetKeyId=key["KeyId"]) == (
        "AlreadyExistsException",
        f"An alias with the name {arn(alias)} already exists",
    )
    listed = kms.list_aliases(KeyId=key["KeyId"])["Aliases"]
    assert [(item["AliasName"], item["AliasArn"], item["TargetKeyId"]) for item in listed] == [
        (alias, arn(alias), key["KeyId"])
    ]


@pytest.mark.parametrize("alias", ["mine", "alias/", "alias/aws/mine", "alias/a:b"])
def test_an_alias_of_another_form_is_refused(kms: Any, key: dict[str, Any], alias: str) -> None:
    assert error_of(kms.create_alias, AliasName=alias, TargetKeyId=key["KeyId"])[0] == "InvalidAliasNameException"


def test_keys_and_aliases_are_listed_in_pages(server: Server) -> None:
    kms = server.client("kms", region="eu-north-1")
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)]
    for number, key_id in enumerate(keys):
        kms.create_alias(AliasName=f"alias/page-{number}", TargetKeyId=key_id)

    assert pages(kms.list_keys, "Keys", "KeyId") == [keys[:2], keys[2:4], keys[4:]]
    assert [name for page in pages(kms.list_aliases, "Aliases", "AliasName") for name in page] == [
        f"alias/page-{number}" for number in range(5)
    ]
    marker = kms.list_keys(Limit=1)["NextMarker"]
    assert error_of(kms.list_aliases, Marker=marker)[0] == "InvalidMarkerException"
    assert error_of(kms.list_keys, Marker="made up") == ("InvalidMarkerException", "Could not deserialize marker")
    assert kms.list_keys(ResourceOwners=["OTHER_ACCOUNTS_VIA_RAM"])["Keys"] == []


def pages(call: Any, member: str, name: str) -> list[list[str]]:
    found = []
    marker: dict[str, str] = {}
    while True:
        answer = call(Limit=2, **marker)
        found.append([item[name] for item in answer[member]])
        if not answer["Truncated"]:
            return found
        marker = {"Marker": answer["NextMarker"]}
