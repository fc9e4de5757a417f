"""Users, roles and providers that tests put into a server's database, and clients with their credentials."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from openecr.access.credentials import ROLE_ID, USER_ID, AccessKey, fresh_version, new_access_key, unique_id
from openecr.db import callers, identities
from openecr.db.connection import Connection
from openecr.keyring import load_root_keys, open_keyring
from tests.running import DEFAULT_ACCOUNT, Server

_NOW_US = 1_700_000_000_000_000


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


def _insert(db: Connection, account_id: str, kind: str, name: str, path: str = "/") -> int:
    account = db.row("SELECT id FROM account WHERE account_id = :account_id", account_id=account_id)
    assert account is not None
    prefix = ROLE_ID if kind == identities.ROLE else USER_ID
    key = identities.insert(
        db,
        account[0],
        kind=kind,
        name=name,
        path=path,
        unique_id=unique_id(prefix),
        version=fresh_version(),
        now_us=_NOW_US,
    )
    assert key is not None, f"there is a {kind} {name} already"
    return key


def _put_policy(db: Connection, key: int, document: str | None) -> None:
    if document is not None:
        db.run("INSERT INTO inline_policy VALUES (:key, 'test', :document)", key=key, document=document)


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

    def make(db: Connection) -> None:
        key = _insert(db, account_id, identities.ROLE, name, path)
        db.run(
            "UPDATE principal SET trust_policy = :trust, session_seconds = :seconds WHERE id = :key",
            trust=trust,
            seconds=session_seconds,
            key=key,
        )
        _put_policy(db, key, allowed)

    server.write(make)
    return f"arn:aws:iam::{account_id}:role{path}{name}"


def make_user(server: Server, name: str, *, allowed: str | None = None, account_id: str = DEFAULT_ACCOUNT) -> AccessKey:
    """A user with an access key."""
    made = new_access_key()

    def make(db: Connection) -> None:
        key = _insert(db, account_id, identities.USER, name)
        _put_policy(db, key, allowed)
        keyring = open_keyring(db, *load_root_keys(server.data_dir, os.environ, create=False))
        sealed = keyring.seal(made.secret_access_key.encode(), context=made.access_key_id)
        identities.insert_access_key(db, key, access_key_id=made.access_key_id, sealed_secret=sealed, now_us=_NOW_US)

    server.write(make)
    return made


def set_trust(server: Server, name: str, trust: str, account_id: str = DEFAULT_ACCOUNT) -> None:
    """Change whom a role trusts."""

    def change(db: Connection) -> None:
        found = identities.find_by_name(db, account_id, identities.ROLE, name)
        assert found is not None
        db.run("UPDATE principal SET trust_policy = :trust WHERE id = :key", trust=trust, key=found.key)
        callers.changed(db, version=fresh_version(), principal_key=found.key)

    server.write(change)


def trust_issuer(
    server: Server,
    url: str,
    *,
    client_ids: Sequence[str],
    given_keys: str | None = None,
    account_id: str = DEFAULT_ACCOUNT,
) -> str:
    """Register an issuer, by its address without a scheme; the provider's ARN."""
    server.execute(
        "INSERT INTO oidc_provider (account_key, url, client_ids, thumbprints, given_keys, created_us)"
        " SELECT id, :url, :client_ids, '[]', :given_keys, 1 FROM account WHERE account_id = :account_id",
        url=url,
        client_ids=json.dumps(list(client_ids)),
        given_keys=given_keys,
        account_id=account_id,
    )
    return f"arn:aws:iam::{account_id}:oidc-provider/{url}"


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
