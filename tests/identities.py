"""Users, roles and providers of a server, made as its administrators make them, and clients with their credentials."""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from openecr.access.credentials import AccessKey
from tests.running import DEFAULT_ACCOUNT, Server


def statement(*actions: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {"Effect": effect, "Action": list(actions), **more}


def policy(*statements: Mapping[str, Any]) -> str:
    """A policy's text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trusts(principal: Any, *actions: str, **more: Any) -> str:
    """A trust policy for one principal: its ARN, or the element as it stands."""
    element = principal if isinstance(principal, dict) else {"AWS": principal}
    return policy(statement(*(actions or ("sts:AssumeRole",)), Principal=element, **more))


@cache
def _iam_at(data_dir: Path, url: str, account_id: str, variables: tuple[tuple[str, str], ...]) -> Any:
    """IAM as the account's administrator calls it; kept, for it takes a command to know the key."""
    there = Server(data_dir, 0, variables=dict(variables)).environment(account_id)
    return boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
    )


def _iam(server: Server, account_id: str) -> Any:
    return _iam_at(server.data_dir, server.url, account_id, tuple(server.variables.items()))


def make_role(
    server: Server,
    name: str,
    *,
    trust: str,
    allowed: str | None = None,
    account_id: str = DEFAULT_ACCOUNT,
    session_seconds: int = 3600,
    path: str = "/",
) -> str:
    """A role; its ARN."""
    iam = _iam(server, account_id)
    made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, MaxSessionDuration=session_seconds)
    if allowed is not None:
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=allowed)
    return str(made["Role"]["Arn"])


def make_user(server: Server, name: str, *, allowed: str | None = None, account_id: str = DEFAULT_ACCOUNT) -> AccessKey:
    """A user with an access key; its rights in a managed policy where they are too long for one of its own."""
    iam = _iam(server, account_id)
    iam.create_user(UserName=name)
    if allowed is not None and len(allowed) > 2048:
        managed = iam.create_policy(PolicyName=name, PolicyDocument=allowed)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=managed)
    elif allowed is not None:
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=allowed)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])


def set_trust(server: Server, name: str, trust: str, account_id: str = DEFAULT_ACCOUNT) -> None:
    """Change whom a role trusts."""
    _iam(server, account_id).update_assume_role_policy(RoleName=name, PolicyDocument=trust)


def trust_issuer(
    server: Server,
    url: str,
    *,
    client_ids: Sequence[str],
    given_keys: str | None = None,
    account_id: str = DEFAULT_ACCOUNT,
) -> str:
    """Register an issuer, by its address without a scheme; the provider's ARN."""
    made = _iam(server, account_id).create_open_id_connect_provider(Url=f"https://{url}", ClientIDList=list(client_ids))
    if given_keys is not None:
        server.execute("UPDATE oidc_provider SET given_keys = :keys WHERE url = :url", keys=given_keys, url=url)
    return str(made["OpenIDConnectProviderArn"])


def client(
    server: Server,
    service: str,
    credentials: AccessKey | Mapping[str, Any] | None,
    *,
    parameter_validation: bool = True,
) -> Any:
    """A boto3 client with a user's key, with STS's credentials, or that signs nothing."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=120, parameter_validation=parameter_validation)
    keys: dict[str, Any] = {}
    if credentials is None:
        config = config.merge(Config(signature_version=UNSIGNED))
    elif isinstance(credentials, AccessKey):
        keys = {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key,
        }
    else:
        keys = {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }
    return boto3.client(service, region_name="us-east-1", endpoint_url=server.url, config=config, **keys)


def registry_password(server: Server, credentials: AccessKey | Mapping[str, Any]) -> str:
    """A registry password that these credentials ask for."""
    data = client(server, "ecr", credentials).get_authorization_token()["authorizationData"][0]
    return base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")
