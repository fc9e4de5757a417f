"""What the linter warns of, and what it leaves alone."""

import json
from typing import Any

import pytest

from openecr.services.ecr.lifecycle.evaluation import DAY_US, Image, covers, evaluate
from openecr.services.ecr.lifecycle.lint import Hint, lint
from openecr.services.ecr.lifecycle.policy import Rule, parse
from openecr.services.ecr.lifecycle.wording import duration, verdict_in_words

NOW_US = 1_800_000_000_000_000


def tagged(priority: int, *entries: str, member: str = "tagPatternList", count: int = 5) -> dict[str, Any]:
    selection = {"tagStatus": "tagged", member: list(entries), "countType": "imageCountMoreThan", "countNumber": count}
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}


def untagged(priority: int, days: int) -> dict[str, Any]:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}


def rules_of(*rules: dict[str, Any]) -> tuple[Rule, ...]:
    return parse(json.dumps({"rules": rules}))


def image(key: int, age_days: float, *tags: str, **more: Any) -> Image:
    return Image(key, bytes([key]), tags, NOW_US - int(age_days * DAY_US), **more)


def codes(hints: list[Hint]) -> list[tuple[str, int | None]]:
    return [(hint.code, hint.rule) for hint in hints]


def test_a_sound_policy_has_no_warning() -> None:
    rules = rules_of(tagged(1, "v*"), untagged(2, 3))
    images = [image(1, 1, "v1"), image(2, 1)]

    assert lint(rules) == []
    assert lint(rules, evaluate(rules, images, NOW_US)) == []


def test_the_courses_list_of_prefixes_is_told_and_the_rules_that_were_meant_are_a_policy() -> None:
    rules = rules_of(tagged(2, "feature-", "fix-", "dev-", member="tagPrefixList"), untagged(10, 1))

    (hint,) = lint(rules)

    assert (hint.code, hint.rule) == ("several-tags", 2)
    assert hint.text == (
        "rule 2 selects only images that have a tag for each of 'feature-*', 'fix-*', 'dev-*' at once; "
        "where any of them is meant, write a rule for each"
    )
    assert list(hint.offer) == [
        tagged(2, "feature-", member="tagPrefixList"),
        tagged(3, "fix-", member="tagPrefixList"),
        tagged(4, "dev-", member="tagPrefixList"),
    ]
    assert [rule.priority for rule in rules_of(*hint.offer, untagged(10, 1))] == [2, 3, 4, 10]


def test_where_the_numbers_are_taken_the_offer_says_so() -> None:
    rules = rules_of(tagged(2, "a*", "b*"), untagged(3, 1))

    assert lint(rules)[0].text.endswith("write a rule for each, and give the rules after it higher numbers")


@pytest.mark.parametrize("pattern", ["-v*", ".x", "a/b*", "v 1", "x" * 129])
def test_a_pattern_that_no_tag_can_match(pattern: str) -> None:
    assert codes(lint(rules_of(tagged(1, pattern)))) == [("never-matches", 1)]


@pytest.mark.parametrize("pattern", ["*-v", "v*", "*", "_x", "v1.0-rc*", "x" * 128])
def test_a_pattern_that_some_tag_matches(pattern: str) -> None:
    assert lint(rules_of(tagged(1, pattern))) == []


def test_a_rule_behind_one_that_claims_all_of_its_images() -> None:
    rules = rules_of(tagged(1, "v*"), tagged(2, "v1.*"), tagged(3, "x*"), tagged(4, "*v*"))

    assert codes(lint(rules)) == [("shadowed", 2)]


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("v*", "v1*", True),
        ("v*", "v", True),
        ("*", "v*", True),
        ("v*", "*v", False),
        ("v*1", "v*", False),
        ("v*", "v*1", True),
        ("a*b*c", "a*c", False),
        ("a*c", "a*b*c", True),
        ("v1", "v1", True),
        ("v1", "v1*", False),
    ],
)
def test_one_pattern_covers_another(wide: str, narrow: str, is_covered: bool) -> None:
    assert covers(wide, narrow) is is_covered


def test_what_the_images_of_now_show() -> None:
    rules = rules_of(tagged(1, "v*", count=1), untagged(2, 3))
    doomed = [image(1, 9), image(2, 8)]

    assert codes(lint(rules, evaluate(rules, doomed, NOW_US))) == [
        ("claims-nothing-now", 1),
        ("empties-repository", None),
    ]


def test_verdicts_in_words() -> None:
    rules = rules_of(tagged(1, "v*", count=1), untagged(10, 5))
    index = image(6, 7)
    images = [
        image(1, 2, "v2"),
        image(2, 3, "v1"),
        image(3, 1.5),
        image(4, 6),
        image(5, 1, "other"),
        index,
        image(7, 7, parents=(6,), was_tagged=False),
        image(8, 7, subject=6, is_referrer=True),
        image(9, 7, is_referrer=True),
    ]

    told = {item.image.key: verdict_in_words(item, NOW_US) for item in evaluate(rules, images, NOW_US)}

    assert told == {
        1: "kept: claimed by rule 1, newest 1 of 'v*', position 1",
        2: "expires now by rule 1: position 2 of 'v*', the newest 1 stays",
        3: "expires in 4 days by rule 10",
        4: "expires now by rule 10: of untagged images, pushed more than 5 days ago",
        5: "kept: no rule selects it",
        6: "expires now by rule 10: of untagged images, pushed more than 5 days ago",
        7: "expires now, with the last index that names it, by rule 10",
        8: "expires now, with the image that it refers to, by rule 10",
        9: "kept: what it refers to is not in this repository",
    }
    assert [duration(hours * DAY_US // 24) for hours in (0, 1, 24, 25)] == ["1 hour", "1 hour", "24 hours", "2 days"]
