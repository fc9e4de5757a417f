"""When a tag may move, against the definition of the modes and an oracle for the wildcards."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.services.ecr.mutability_rules import MODES, matches, may_move

_wildcards = st.text(alphabet="ab.*", max_size=8)
_tags = st.text(alphabet="ab.", max_size=10)


@given(_wildcards, _tags)
def test_a_wildcard_matches_what_its_regular_expression_does(wildcard: str, tag: str) -> None:
    oracle = re.compile(".*".join(map(re.escape, wildcard.split("*"))), re.DOTALL)
    assert matches(wildcard, tag) == (oracle.fullmatch(tag) is not None)


@given(st.text(alphabet="ab", max_size=300))
def test_a_wildcard_made_to_backtrack_costs_nothing(tag: str) -> None:
    assert matches("*a" * 64, tag) == (tag.count("a") >= 64 and tag.endswith("a"))


@pytest.mark.parametrize(
    ("wildcard", "tag", "expected"),
    [
        ("latest", "latest", True),
        ("latest", "latest1", False),
        ("latest", "Latest", False),
        ("dev-*", "dev-", True),
        ("dev-*", "dev-1", True),
        ("*-dev", "x-dev", True),
        ("*-dev", "x-dev2", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "anything", True),
        ("v1.*", "v1x2", False),
    ],
)
def test_a_filter_matches_the_whole_tag(wildcard: str, tag: str, expected: bool) -> None:
    assert matches(wildcard, tag) is expected


@given(st.lists(_wildcards, max_size=3), _tags)
def test_the_modes_with_exclusion_are_each_others_reverse(filters: list[str], tag: str) -> None:
    excepted = any(matches(each, tag) for each in filters)
    assert may_move("IMMUTABLE_WITH_EXCLUSION", filters, tag) == excepted
    assert may_move("MUTABLE_WITH_EXCLUSION", filters, tag) == (not excepted)


@given(st.lists(_wildcards, max_size=3), _tags)
def test_the_plain_modes_know_no_exceptions(filters: list[str], tag: str) -> None:
    assert may_move("MUTABLE", filters, tag)
    assert not may_move("IMMUTABLE", filters, tag)


def test_there_are_four_modes() -> None:
    assert sorted(MODES) == ["IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE", "MUTABLE_WITH_EXCLUSION"]
