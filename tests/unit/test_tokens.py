"""Registry tokens: what is issued is read back, and nothing else is."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.access import tokens
from openecr.access.tokens import NotCredentials, RegistryToken
from openecr.errors import TokenExpired, TokenInvalid
from openecr.keyring import Keyring

KEYRING = Keyring({tokens.USE: {1: b"a" * 32, 2: b"b" * 32}, "layer-url": {3: b"c" * 32}})


def header(password: str) -> str:
    return "Basic " + tokens.authorization_token(password)


@given(st.text(), st.integers(0, 2**62))
def test_a_token_says_what_it_was_issued_for(access_key_id: str, expires_us: int) -> None:
    try:
        access_key_id.encode()
    except UnicodeEncodeError:
        return
    password = tokens.issue(KEYRING, access_key_id, expires_us)
    assert tokens.read_basic(KEYRING, header(password)) == RegistryToken(access_key_id, expires_us)
    assert ":" not in password
    assert password.isascii()


def test_a_password_has_the_shape_of_ecrs() -> None:
    password = tokens.issue(KEYRING, "AKIA", 1_700_000_000_123_456)
    assert password.startswith("eyJwYXlsb2FkIjoi")
    document = json.loads(base64.urlsafe_b64decode(password + "=" * (-len(password) % 4)))
    assert sorted(document) == ["datakey", "expiration", "payload", "type", "version"]
    assert (document["version"], document["type"], document["expiration"]) == ("2", "DATA_KEY", 1_700_000_000)


def test_the_newest_key_signs_and_an_older_one_still_reads() -> None:
    older = Keyring({tokens.USE: {1: b"a" * 32}})
    password = tokens.issue(older, "AKIA", 5)
    assert tokens.read_basic(KEYRING, header(password)).access_key_id == "AKIA"
    with pytest.raises(TokenInvalid):
        tokens.read_basic(older, header(tokens.issue(KEYRING, "AKIA", 5)))


def test_a_key_of_another_use_or_deployment_reads_nothing() -> None:
    password = tokens.issue(KEYRING, "AKIA", 5)
    for other in (Keyring({tokens.USE: {2: b"x" * 32}}), Keyring({tokens.USE: {}, "layer-url": {2: b"b" * 32}})):
        with pytest.raises(TokenInvalid):
            tokens.read_basic(other, header(password))


@given(st.text(max_size=60))
def test_any_header_is_no_credentials_or_an_invalid_token(text: str) -> None:
    for spelled in (text, f"Basic {text}", header("x") + text):
        with pytest.raises((NotCredentials, TokenInvalid)):
            tokens.read_basic(KEYRING, spelled)


@given(st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_password_is_an_invalid_token(text: str) -> None:
    encoded = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).rstrip(b"=").decode()
    wrapped = base64.urlsafe_b64encode(json.dumps({"payload": text}).encode()).rstrip(b"=").decode()
    for password in (encoded, wrapped):
        with pytest.raises((NotCredentials, TokenInvalid)):
            tokens.read_basic(KEYRING, header(password))


@given(st.data())
def test_a_byte_changed_in_what_is_signed_makes_it_invalid(data: st.DataObject) -> None:
    password = tokens.issue(KEYRING, "AKIAIOSFODNN7EXAMPLE", 5)
    document = json.loads(base64.urlsafe_b64decode(password + "=" * (-len(password) % 4)))
    key_id, claims, signature = document["payload"].split(".")
    content = bytearray(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(bytes(content)).rstrip(b"=").decode()
    document["payload"] = f"{key_id}.{changed}.{signature}"
    altered = base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenInvalid):
        tokens.read_basic(KEYRING, header(altered))


def test_a_token_is_good_until_its_end() -> None:
    token = RegistryToken("AKIA", 1000)
    tokens.require_unexpired(token, 999)
    with pytest.raises(TokenExpired):
        tokens.require_unexpired(token, 1000)


def test_a_token_is_for_the_region_that_it_was_asked_for_in() -> None:
    token = tokens.read_basic(KEYRING, header(tokens.issue(KEYRING, "AKIA", 5, "us-east-1")))
    tokens.require_region(token, "us-east-1")
    for region in ("eu-west-1", "us-east-2", "", "US-EAST-1"):
        with pytest.raises(TokenExpired):
            tokens.require_region(token, region)
    tokens.require_region(RegistryToken("AKIA", 5), "us-east-1")  # of a release that did not say
