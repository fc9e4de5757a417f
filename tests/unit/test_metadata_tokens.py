"""Tokens of the instance metadata: for one address, for a time, made by this deployment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.access import metadata_tokens
from openecr.keyring import Keyring

KEYRING = Keyring({metadata_tokens.USE: {7: b"a" * 32}})
NODE, NOW_US = "10.0.0.7", 1_000_000
TOKEN = metadata_tokens.issue(KEYRING, NODE, NOW_US + 1)


def test_a_token_is_good_for_its_address_until_it_expires() -> None:
    assert metadata_tokens.verifies(KEYRING, TOKEN, NODE, NOW_US)
    assert not metadata_tokens.verifies(KEYRING, TOKEN, NODE, NOW_US + 1)
    assert not metadata_tokens.verifies(KEYRING, TOKEN, "10.0.0.8", NOW_US)


def test_a_token_of_another_deployment_or_of_a_retired_key_is_none() -> None:
    assert not metadata_tokens.verifies(Keyring({metadata_tokens.USE: {7: b"b" * 32}}), TOKEN, NODE, NOW_US)
    assert not metadata_tokens.verifies(Keyring({metadata_tokens.USE: {8: b"a" * 32}}), TOKEN, NODE, NOW_US)


def test_a_later_expiry_is_not_signed() -> None:
    key_id, expires, signature = TOKEN.split(".")

    assert not metadata_tokens.verifies(KEYRING, f"{key_id}.{int(expires) + 1}.{signature}", NODE, NOW_US)


@pytest.mark.parametrize("token", ["", ".", "..", "7.1.x", "7.x.", "x.1.", "7.1", f"{TOKEN}.1", f"7.{'9' * 200}.x"])
def test_what_is_no_token_is_none(token: str) -> None:
    assert not metadata_tokens.verifies(KEYRING, token, NODE, 0)


@given(st.text(max_size=300))
def test_no_text_passes_or_breaks(token: str) -> None:
    assert not metadata_tokens.verifies(KEYRING, token, NODE, 0)
