"""Sizes and scopes as operators write them."""

import pytest

from openecr.services.ecr.quotas import QuotaRefused, parse_scope, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("500000", 500_000),
        ("10GB", 10_000_000_000),
        ("10 gib", 10 * 2**30),
        ("1.5TB", 1_500_000_000_000),
        ("0.1KiB", 102),
        ("7B", 7),
        ("3K", 3000),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "10XB", "1.GB", "٣"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(QuotaRefused, match="is no size"):
        parse_size(text)


def test_a_repository_without_a_region_is_in_the_default_one() -> None:
    assert parse_scope("123456789012", "eu-west-1") == ("123456789012", "", "")
    assert parse_scope("123456789012.us-east-1", "eu-west-1") == ("123456789012", "us-east-1", "")
    assert parse_scope("123456789012/team/app", "eu-west-1") == ("123456789012", "eu-west-1", "team/app")
    assert parse_scope("123456789012.us-east-1/team/app", "eu-west-1") == ("123456789012", "us-east-1", "team/app")


@pytest.mark.parametrize("text", ["", "1234", "123456789012.", "123456789012.here", "123456789012/", "x/app"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(QuotaRefused, match="is not ACCOUNT"):
        parse_scope(text, "eu-west-1")
