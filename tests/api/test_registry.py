"""GetAuthorizationToken, DescribeRegistry, account settings, sts: the registry and who asks."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.api.support import ACCOUNT, bad_parameter, denied, error_of, members_of, push
from tests.places import ON_DATABASES
from tests.registry_client import RegistryClient
from tests.running import OTHER_ACCOUNT, Server, running

pytestmark = ON_DATABASES


def data_of(ecr: Any, **arguments: Any) -> list[dict[str, Any]]:
    answer = members_of(ecr.get_authorization_token(**arguments))
    assert set(answer) == {"authorizationData"}
    return list(answer["authorizationData"])


def test_a_token_is_basic_credentials_for_twelve_hours(ecr: Any, server: Server) -> None:
    before = datetime.now(UTC)

    data = data_of(ecr)

    assert [set(item) for item in data] == [{"authorizationToken", "expiresAt", "proxyEndpoint"}]
    assert data[0]["proxyEndpoint"] == server.url
    assert timedelta(0) <= data[0]["expiresAt"] - before - timedelta(hours=12) <= timedelta(seconds=60)
    user, password = base64.b64decode(data[0]["authorizationToken"]).decode().split(":")
    assert user == "AWS"
    document = json.loads(base64.urlsafe_b64decode(password + "=" * (-len(password) % 4)))
    assert {name: document[name] for name in ("datakey", "version", "type")} == {
        "datakey": "",
        "version": "2",
        "type": "DATA_KEY",
    }
    assert document["expiration"] == int(data[0]["expiresAt"].timestamp())


def test_the_token_works_verbatim_as_basic_credentials(ecr: Any, server: Server) -> None:
    token = data_of(ecr)[0]["authorizationToken"]

    assert RegistryClient(server.port, None).request("GET", "/v2/", Authorization=f"Basic {token}").status == 200


def test_a_token_for_each_registry_asked_for(ecr: Any, other_ecr: Any, server: Server) -> None:
    own = data_of(ecr, registryIds=[ACCOUNT])
    several = data_of(ecr, registryIds=[ACCOUNT, OTHER_ACCOUNT])

    assert len(own) == 1
    assert [item["proxyEndpoint"] for item in several] == [server.url, server.url]
    assert data_of(other_ecr)[0]["proxyEndpoint"] == server.url


def test_registry_ids_are_checked(unchecked: Any) -> None:
    assert error_of(unchecked.get_authorization_token, registryIds=["123"]) == bad_parameter(
        "registryIds",
        "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]",
    )
    assert error_of(unchecked.get_authorization_token, registryIds=[]) == bad_parameter(
        "registryIds", "Member must have length greater than or equal to 1"
    )
    assert error_of(unchecked.get_authorization_token, registryIds=[ACCOUNT] * 11) == bad_parameter(
        "registryIds", "Member must have length less than or equal to 10"
    )


def test_a_token_acts_as_the_account_that_asked_for_it(
    docker: RegistryClient, other_docker: RegistryClient, other_ecr: Any, repository: str, server: Server
) -> None:
    push(docker, repository, "one", "v1")
    foreign = RegistryClient(server.port, other_docker.password)
    other_ecr.create_repository(repositoryName=repository)
    push(other_docker, repository, "other", "v1")

    answer = foreign.request("GET", f"{foreign.path(repository)}/manifests/v1")

    code, text = denied(OTHER_ACCOUNT, "ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}")
    assert answer.error == (403, "DENIED", text)
    assert code == "AccessDeniedException"


def test_another_accounts_registry_on_a_plain_host_is_a_path(
    other_ecr: Any, other_docker: RegistryClient, repository_name: str
) -> None:
    uri = other_ecr.create_repository(repositoryName=repository_name)["repository"]["repositoryUri"]
    image = push(other_docker, repository_name, "one", "v1")

    assert uri.partition("/")[2] == f"{OTHER_ACCOUNT}.us-east-1/{repository_name}"
    assert other_ecr.list_images(repositoryName=repository_name)["imageIds"] == [
        {"imageDigest": image.digest, "imageTag": "v1"}
    ]


@pytest.mark.parametrize("altered", ["payload", "last"])
def test_an_altered_token_is_refused(server: Server, docker: RegistryClient, altered: str) -> None:
    assert docker.password is not None
    position = 60 if altered == "payload" else len(docker.password) // 3
    letter = "A" if docker.password[position] != "A" else "B"
    forged = docker.password[:position] + letter + docker.password[position + 1 :]

    answer = RegistryClient(server.port, forged).request("GET", "/v2/")

    assert answer.error == (403, "DENIED", "Your Authorization Token is invalid.")


def test_describe_registry(ecr: Any, other_ecr: Any) -> None:
    for client, account in ((ecr, ACCOUNT), (other_ecr, OTHER_ACCOUNT)):
        assert members_of(client.describe_registry()) == {
            "registryId": account,
            "replicationConfiguration": {"rules": []},
        }


# Account settings: each test in a region of its own, because a setting is the registry's.


@pytest.mark.parametrize(
    ("name", "default", "values"),
    [
        ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", ["CLAIR", "AWS_NATIVE"]),
        ("REGISTRY_POLICY_SCOPE", "V2", ["V1", "V2"]),
        ("BLOB_MOUNTING", "DISABLED", ["ENABLED", "DISABLED"]),
        ("IDENTICAL_IMMUTABLE_PUSH", "REFUSED", ["ACCEPTED", "REFUSED"]),
        ("SPARSE_MANIFESTS", "DISABLED", ["ENABLED", "DISABLED"]),
    ],
)
def test_an_account_setting_has_a_default_and_is_echoed(
    server: Server, name: str, default: str, values: list[str]
) -> None:
    ecr = server.client("ecr", region="us-west-1")

    assert members_of(ecr.get_account_setting(name=name)) == {"name": name, "value": default}
    for value in values:
        assert members_of(ecr.put_account_setting(name=name, value=value)) == {"name": name, "value": value}
        assert members_of(ecr.get_account_setting(name=name)) == {"name": name, "value": value}


def test_a_setting_is_the_registrys_own(server: Server) -> None:
    here, there = server.client("ecr", region="us-west-2"), server.client("ecr", region="ca-central-1")

    here.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")

    assert there.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"


def test_unknown_settings_and_values_are_told(ecr: Any) -> None:
    unknown = ("ValidationException", "Invalid account setting name 'NOTHING'")

    assert error_of(ecr.get_account_setting, name="NOTHING") == unknown
    assert error_of(ecr.put_account_setting, name="NOTHING", value="V1") == unknown
    assert error_of(ecr.put_account_setting, name="BLOB_MOUNTING", value="MAYBE") == (
        "ValidationException",
        "Invalid value 'MAYBE' for account setting 'BLOB_MOUNTING'",
    )


def test_newer_operations_tell_bad_parameters_in_the_common_form(unchecked: Any) -> None:
    assert error_of(unchecked.put_account_setting, name="BLOB_MOUNTING") == (
        "ValidationException",
        "1 validation error detected: Value null at 'value' failed to satisfy constraint: Member must not be null",
    )


# sts and keys


def test_the_caller_identity(server: Server) -> None:
    for account in (ACCOUNT, OTHER_ACCOUNT):
        answer = members_of(server.client("sts", account).get_caller_identity())

        assert set(answer) == {"UserId", "Account", "Arn"}
        assert answer["Account"] == account
        assert answer["Arn"] == f"arn:aws:iam::{account}:user/administrator"
        assert answer["UserId"].startswith("AIDA")


def client_of(server: Server, key: str, secret: str, service: str = "ecr") -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_wrong_secret_and_an_unknown_key_are_told_apart_as_by_aws(server: Server) -> None:
    variables = server.environment()
    wrong = client_of(server, variables["AWS_ACCESS_KEY_ID"], "wrong")
    unknown = client_of(server, "AKIAIOSFODNN7EXAMPLE", "wrong")

    code, message = error_of(wrong.describe_repositories)
    assert code == "InvalidSignatureException"
    assert message.startswith(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )
    assert error_of(unknown.describe_repositories) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


def test_an_access_key_that_was_switched_off_ends_its_tokens_too(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server:
        ecr = server.client("ecr")
        docker = RegistryClient(server.port, server.password())
        assert docker.request("GET", "/v2/").status == 200

        server.execute("UPDATE access_key SET active = 0")

        assert docker.request("GET", "/v2/").error == (403, "DENIED", "Your Authorization Token is invalid.")
        assert error_of(ecr.describe_repositories) == (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )


def test_a_token_expires_and_survives_restarts_until_then(tmp_path: Path) -> None:
    with running(tmp_path, "--clock", "+0s") as server:
        docker = RegistryClient(server.port, server.password())
        first = docker.request("GET", "/v2/").status
    with running(tmp_path, "--clock", "+11h59m") as server:
        docker.port = server.port
        late = docker.request("GET", "/v2/").status
    with running(tmp_path, "--clock", "+12h") as server:
        docker.port = server.port
        expired = docker.request("GET", "/v2/")

    assert (first, late) == (200, 200)
    assert expired.error == (
        403,
        "DENIED",
        "Your authorization token has expired. Reauthenticate and try again.",
    )


def test_an_account_that_is_not_served_is_not_resolved(docker: RegistryClient) -> None:
    answer = docker.request("GET", "/v2/111122223333.us-east-1/app/manifests/v1")

    assert answer.status == 404
    assert answer.error[1] == "NAME_UNKNOWN"
    assert answer.error[2].startswith("Could not resolve registry id from host ")
