"""Temporary credentials on the api plane, with the clock in the test's hands."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pytest
from tests.identities import policy
from tests.unit.aws.conftest import ACCOUNT, Api

from openecr.db import identities, sessions
from openecr.db.connection import Connection
from openecr.errors import UnrecognizedClient
from openecr.names import RegistryName
from openecr.origin import API, Origin
from openecr.services.sts.upkeep import delete_due_sessions
from openecr.waist import identify

T = TypeVar("T")
NOW_US = 1_705_072_146_000_000
HOUR_US = 3600 * 1_000_000
TRUST = policy({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
PULL = policy({"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"})


def write(api: Api, change: Callable[[Connection], T]) -> T:
    async def once() -> T:
        return await api.deployment.database.write(change)

    return asyncio.run(once())


def at(api: Api, now_us: int, **settings: Any) -> Api:
    """The same server at another time, with other settings."""
    changed = replace(api.deployment.settings, **settings)
    return Api(replace(api.deployment, settings=changed, now_us=lambda: now_us), api.services)


@pytest.fixture
def session(api: Api) -> dict[str, Any]:
    """Credentials of a role, for an hour from NOW_US."""

    def make(db: Connection) -> None:
        account = db.row("SELECT id FROM account")
        assert account is not None
        role = identities.insert(
            db, account[0], kind="role", name="puller", unique_id="AROAEXAMPLE", version="1", now_us=0
        )
        db.run("UPDATE principal SET trust_policy = :trust WHERE id = :role", trust=TRUST, role=role)
        db.run("INSERT INTO inline_policy VALUES (:role, 'pull', :policy)", role=role, policy=PULL)

    write(api, make)
    form = f"Action=AssumeRole&Version=2011-06-15&RoleSessionName=ci&RoleArn=arn:aws:iam::{ACCOUNT}:role/puller"
    reply = api.query(form)
    assert reply.status == 200, reply.body
    names = {"AccessKeyId": "key", "SecretAccessKey": "secret", "SessionToken": "token"}
    return {names[name]: value for name, value in re.findall(r"<(\w+)>([^<]+)<", reply.body.decode()) if name in names}


def test_credentials_are_good_to_the_microsecond_before_their_end(api: Api, session: dict[str, Any]) -> None:
    last = at(api, NOW_US + HOUR_US - 1).call("GetAuthorizationToken", **session)
    ended = at(api, NOW_US + HOUR_US).call("GetAuthorizationToken", **session)

    assert last.status == 200
    assert ended.error == (400, "ExpiredTokenException", "The security token included in the request is expired")
    assert ended.chunks_taken == 0


def test_a_registry_token_lasts_half_a_day_unless_it_follows_its_session(api: Api, session: dict[str, Any]) -> None:
    late_us = NOW_US + HOUR_US - 60_000_000

    def expires_us(server: Api, **signing: Any) -> int:
        (data,) = server.call("GetAuthorizationToken", **signing).document["authorizationData"]
        told: float = data["expiresAt"]
        return round(told * 1_000_000)

    assert expires_us(at(api, late_us), **session) == late_us + 12 * HOUR_US
    following = at(api, late_us, token_follows_session=True)
    assert expires_us(following, **session) == NOW_US + HOUR_US
    assert expires_us(following) == late_us + 12 * HOUR_US


def test_only_the_digest_of_a_session_token_is_kept(api: Api, session: dict[str, Any]) -> None:
    (row,) = write(api, lambda db: db.rows("SELECT * FROM session"))

    assert hashlib.sha256(session["token"].encode()).digest() in row
    assert not any(session["token"] in str(value) or session["secret"] in str(value) for value in row)
    raw = b"".join(value for value in row if isinstance(value, bytes))
    assert session["secret"].encode() not in raw


def test_a_session_stays_for_its_registry_tokens_and_then_goes(api: Api, session: dict[str, Any]) -> None:
    settings = api.deployment.settings
    last_us = NOW_US + HOUR_US + (settings.token_seconds + settings.upload_expiry_seconds) * 1_000_000

    def deleted_at(now_us: int) -> int:
        return asyncio.run(delete_due_sessions(api.deployment.database, now_us))

    assert deleted_at(last_us - 1) == 0
    assert deleted_at(last_us) == 1
    assert at(api, NOW_US).call("GetAuthorizationToken", **session).error[1] == "UnrecognizedClientException"


def test_a_revoked_session_is_unknown_and_another_is_not(api: Api, session: dict[str, Any]) -> None:
    assert api.call("GetAuthorizationToken", **session).status == 200

    assert write(api, lambda db: sessions.revoke(db, session["key"])) is True

    assert api.call("GetAuthorizationToken", **session).error[1] == "UnrecognizedClientException"
    assert api.call("GetAuthorizationToken").status == 200
    assert write(api, lambda db: sessions.revoke(db, session["key"])) is False


def test_a_session_token_must_be_signed(api: Api, session: dict[str, Any]) -> None:
    def add(scope: dict[str, Any]) -> None:
        scope["headers"].append((b"x-amz-security-token", session["token"].encode()))

    unsigned = {name: session[name] for name in ("key", "secret")}

    assert api.call("GetAuthorizationToken", **unsigned, altered=add).error[1:] == (
        "InvalidSignatureException",
        "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.",
    )
    assert api.call("GetAuthorizationToken", **unsigned).error[1] == "UnrecognizedClientException"


def test_sessions_of_users_are_not_for_iam(api: Api) -> None:
    reply = api.query("Action=GetSessionToken&Version=2011-06-15")
    (key,) = re.findall(r"<AccessKeyId>([^<]+)<", reply.body.decode())
    origin = Origin("id", key, RegistryName(ACCOUNT, "us-east-1"), "", NOW_US, API)

    assert write(api, lambda db: identify(db, origin, "ecr:PutImage")).account_id == ACCOUNT
    for action in ("iam:ListUsers", "sts:GetAccessKeyInfo"):
        with pytest.raises(UnrecognizedClient):
            write(api, partial(identify, origin=origin, action=action))
