"""Secrets that clients send and get, sought in everything that the audit trail leaves behind."""

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, Server, running
from tests.waiting import wait_until

REPOSITORY = "canary/app"
ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/canary"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "--workers", "1") as started:
        yield started


def test_no_secret_is_in_the_trail(server: Server, tmp_path: Path) -> None:
    secrets = _use_every_secret(server)
    last = RegistryClient(server.port, server.password()).request("GET", "/v2/").headers["x-amzn-requestid"]
    wait_until(lambda: any(last in path.read_text() for path in (tmp_path / "audit").glob("*.jsonl")), "all is there")

    kept = b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("*.jsonl"))
    rows = b"".join(bytes(row[0]) for row in server.rows("SELECT record FROM audit_write"))
    told = "".join(
        server.command(*command, check=False).stdout
        for command in (
            ("audit", "--cloudtrail", "--limit", "1000"),
            ("audit", "--json"),
            ("explain", "--request-id", last),
        )
    )

    assert b"CreateAccessKey" in rows + kept
    assert b"AssumeRoleWithWebIdentity" in kept
    for name, secret in secrets.items():
        assert len(secret) > 15, name
        for where, text in {"a segment": kept, "a row": rows, "an answer": told.encode()}.items():
            assert secret.encode() not in text, f"{name} is in {where}"
        assert secret not in server.log(), f"{name} is in the log"


def _use_every_secret(server: Server) -> dict[str, str]:
    """Make and send every kind of secret that there is, rightly and wrongly; by what each is."""
    own = server.environment()
    iam, ecr, sts = server.client("iam"), server.client("ecr"), server.client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": DEFAULT_ACCOUNT}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="canary", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    iam.create_user(UserName="canary")
    key = iam.create_access_key(UserName="canary")["AccessKey"]
    session = sts.assume_role(RoleArn=ROLE, RoleSessionName="canary")["Credentials"]
    token = sts.get_session_token()["Credentials"]
    ecr.create_repository(repositoryName=REPOSITORY)
    authorization = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(authorization).decode().removeprefix("AWS:")
    client = RegistryClient(server.port, password)
    client.push_image(REPOSITORY, "v1")
    layer = client.request("GET", f"/v2/{REPOSITORY}/manifests/v1").json["layers"][0]["digest"]
    redirect = client.request("GET", f"/v2/{REPOSITORY}/blobs/{layer}")
    client.follow(redirect)
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(redirect.headers["location"]).query)["signature"][0]
    url = ecr.get_download_url_for_layer(repositoryName=REPOSITORY, layerDigest=layer)["downloadUrl"]
    RegistryClient(server.port, "a-wrong-password-of-a-canary").request("GET", f"/v2/{REPOSITORY}/manifests/v1")
    RegistryClient(server.port, None).request("GET", "/v2/", Authorization="Bearer a-bearer-token-of-a-canary")
    web = {"RoleArn": ROLE, "RoleSessionName": "canary", "WebIdentityToken": "oidc." * 20}
    _fails(lambda: sts.assume_role_with_web_identity(**web))
    _fails(
        lambda: _signed_with(server, session["AccessKeyId"], session["SecretAccessKey"], "a-session-token-of-a-canary")
    )
    _fails(lambda: _signed_with(server, session["SecretAccessKey"], "x" * 40, None))
    _signed_with(server, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"], fails=True)
    return {
        "the administrator's secret key": own["AWS_SECRET_ACCESS_KEY"],
        "a user's secret key": key["SecretAccessKey"],
        "a session's secret key": session["SecretAccessKey"],
        "a session token": session["SessionToken"],
        "a user's session token": token["SessionToken"],
        "a registry password": password,
        "an authorization token": authorization,
        "a layer URL's signature": signature,
        "a download URL's query": urllib.parse.urlsplit(url).query,
        "a wrong password": "a-wrong-password-of-a-canary",
        "a bearer token": "a-bearer-token-of-a-canary",
        "a wrong session token": "a-session-token-of-a-canary",
        "a web identity token": "oidc." * 20,
    }


def _signed_with(server: Server, key_id: str, secret: str, token: str | None, *, fails: bool = False) -> Any:
    client = boto3.client(
        "ecr",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )
    return _fails(client.describe_repositories) if fails else client.describe_repositories()


def _fails(call: Any) -> None:
    with pytest.raises(ClientError):
        call()
