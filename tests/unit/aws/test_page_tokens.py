"""Page tokens: good for what they were issued for, and for nothing else."""

import base64

import pytest

from openecr.access import page_tokens
from openecr.errors import InvalidParameter
from openecr.keyring import Keyring

KEYS = Keyring({"page-token": {1: b"k" * 32}})
ROTATED = Keyring({"page-token": {1: b"k" * 32, 2: b"n" * 32}})
OTHERS = Keyring({"page-token": {1: b"x" * 32}})
FILTERS: dict[str, object] = {"registry": "123456789012.us-east-1", "status": None}
EXPIRES_US = 1_000


def issued() -> str:
    return page_tokens.issue(KEYS, "ListImages", FILTERS, ["a", 7], EXPIRES_US)


def refusal(keyring: Keyring, operation: str, filters: dict[str, object], token: str, now_us: int = 0) -> str:
    with pytest.raises(InvalidParameter) as refused:
        page_tokens.read(keyring, operation, filters, token, now_us)
    return refused.value.message


def test_a_token_gives_its_position_back() -> None:
    assert page_tokens.read(KEYS, "ListImages", FILTERS, issued(), EXPIRES_US - 1) == ["a", 7]


def test_a_token_outlives_a_rotation_of_keys() -> None:
    assert page_tokens.read(ROTATED, "ListImages", FILTERS, issued(), 0) == ["a", 7]


def test_a_token_is_refused_from_its_end_on() -> None:
    assert refusal(KEYS, "ListImages", FILTERS, issued(), EXPIRES_US) == (
        "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
    )


def test_a_token_of_another_operation_is_refused() -> None:
    assert "Invalid token" in refusal(KEYS, "DescribeImages", FILTERS, issued())


def test_a_token_for_other_parameters_is_refused() -> None:
    assert "Invalid token" in refusal(KEYS, "ListImages", {"registry": "123456789012.eu-west-1"}, issued())


def test_a_token_of_another_deployment_is_refused() -> None:
    assert "Invalid token" in refusal(OTHERS, "ListImages", FILTERS, issued())


@pytest.mark.parametrize("position", range(0, len(issued()), 7))
def test_an_altered_token_is_refused(position: int) -> None:
    token = issued()
    other = "A" if token[position] != "A" else "B"

    assert "Invalid token" in refusal(KEYS, "ListImages", FILTERS, token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize("token", ["", "a", "é", "====", "A" * 9000, base64.b64encode(b"[1]").decode()])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert "Invalid token" in refusal(KEYS, "ListImages", FILTERS, token)
