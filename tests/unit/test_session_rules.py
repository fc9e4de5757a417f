"""How long sessions last, which tags they have, and how much policy they carry."""

import re
from hashlib import sha512

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from openecr.errors import PackedPolicyTooLarge, ValidationFailed
from openecr.services.sts.session_rules import (
    packed_percent,
    require_policy_size,
    role_seconds,
    session_tags,
    user_seconds,
)


@pytest.mark.parametrize(
    ("asked", "most", "chained", "seconds"),
    [
        (None, 3600, False, 3600),
        (None, 43_200, False, 3600),
        (None, 43_200, True, 3600),
        (900, 3600, False, 900),
        (43_200, 43_200, False, 43_200),
        (3600, 43_200, True, 3600),
    ],
)
def test_a_role_session_lasts_as_long_as_asked_and_an_hour_by_default(
    asked: int | None, most: int, chained: bool, seconds: int
) -> None:
    assert role_seconds(asked, most, chained=chained) == seconds


def test_longer_than_the_role_lets_it_or_a_chain_is_refused() -> None:
    with pytest.raises(ValidationFailed, match="exceeds the MaxSessionDuration set for this role"):
        role_seconds(3601, 3600, chained=False)
    with pytest.raises(ValidationFailed, match="exceeds the 1 hour session limit for roles assumed by role chaining"):
        role_seconds(3601, 43_200, chained=True)


def test_a_users_own_session_lasts_half_a_day_and_the_root_users_an_hour() -> None:
    assert (user_seconds(None, is_root=False), user_seconds(129_600, is_root=False)) == (43_200, 129_600)
    assert (user_seconds(None, is_root=True), user_seconds(129_600, is_root=True)) == (3600, 3600)
    assert user_seconds(900, is_root=True) == 900


def test_tags_are_those_given_and_those_inherited_which_stay_transitive() -> None:
    tagged = session_tags([("team", "web"), ("Cost", "7")], ["cost"], {"env": "prod"})

    assert tagged.tags == {"env": "prod", "team": "web", "Cost": "7"}
    assert tagged.transitive == ("env", "Cost")


@pytest.mark.parametrize(
    ("tags", "transitive", "inherited"),
    [
        ([("team", "a"), ("TEAM", "b")], [], {}),
        ([("aws:team", "a")], [], {}),
        ([("AWS:team", "a")], [], {}),
        ([("Env", "dev")], [], {"env": "prod"}),
        ([("team", "a")], ["cost"], {}),
        ([(str(number), "") for number in range(50)], [], {"env": "prod"}),
    ],
)
def test_tags_that_a_session_cannot_have_are_refused(
    tags: list[tuple[str, str]], transitive: list[str], inherited: dict[str, str]
) -> None:
    with pytest.raises(ValidationFailed):
        session_tags(tags, transitive, inherited)


def test_session_policies_are_bounded_as_text() -> None:
    require_policy_size("x" * 2048, [])
    require_policy_size("x" * 2000, ["y" * 48])
    for policy, arns in (("x" * 2049, []), ("x" * 2000, ["y" * 49]), (None, ["arn"] * 11)):
        with pytest.raises(ValidationFailed):
            require_policy_size(policy, arns)


def test_nothing_to_pack_has_no_size() -> None:
    assert packed_percent(None, [], {}) is None


@given(
    st.none() | st.text(max_size=2048),
    st.dictionaries(st.text(max_size=128), st.text(max_size=256), max_size=50),
)
def test_what_is_packed_has_a_share_of_at_most_all_or_is_refused(policy: str | None, tags: dict[str, str]) -> None:
    try:
        percent = packed_percent(policy, [], tags) or 0
    except PackedPolicyTooLarge as refused:
        percent = int(str(refused).partition(" consumes ")[2].partition("%")[0])
        event("refused")
        told = percent > 100
    else:
        told = percent == 0 if not policy and not tags else 1 <= percent <= 100

    assert told, percent


def test_tags_that_do_not_shrink_are_refused_with_their_share() -> None:
    tags = {str(number): sha512(str(number).encode()).hexdigest() * 2 for number in range(50)}

    with pytest.raises(PackedPolicyTooLarge) as refused:
        packed_percent(None, [], tags)

    assert re.fullmatch(r"Packed size of session tags consumes [12]\d\d% of allotted space\.", refused.value.message)
