"""What a lifecycle policy decides: the worked examples of the ECR user guide, the course's, and what always holds."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openecr.services.ecr.lifecycle.evaluation import DAY_US, Image, Outcome, Verdict, Why, evaluate
from openecr.services.ecr.lifecycle.policy import Rule, parse

NOW_US = 1_800_000_000_000_000


def rule(priority: int, status: str, count: str, number: int, action: str = "expire", **more: Any) -> dict[str, Any]:
    selection = {"tagStatus": status, "countType": count, "countNumber": number, **more}
    if count != "imageCountMoreThan":
        selection["countUnit"] = "days"
    target = {"targetStorageClass": "archive"} if action == "transition" else {}
    return {"rulePriority": priority, "selection": selection, "action": {"type": action, **target}}


def keep(priority: int, number: int, *patterns: str, action: str = "expire") -> dict[str, Any]:
    return rule(priority, "tagged", "imageCountMoreThan", number, action, tagPatternList=list(patterns))


def young(priority: int, days: int, *patterns: str, action: str = "expire") -> dict[str, Any]:
    return rule(priority, "tagged", "sinceImagePushed", days, action, tagPatternList=list(patterns))


def rules_of(*rules: dict[str, Any]) -> tuple[Rule, ...]:
    return parse(json.dumps({"rules": rules}))


def image(name: str, age_days: float, *tags: str, **more: Any) -> Image:
    key = sum(ord(letter) * 257**place for place, letter in enumerate(name))
    return Image(key, name.encode(), tags, NOW_US - int(age_days * DAY_US), **more)


def acted_on(rules: tuple[Rule, ...], *images: Image) -> dict[str, str]:
    return {
        verdict.image.digest.decode(): str(verdict.outcome)
        for verdict in evaluate(rules, images, NOW_US)
        if verdict.outcome != Outcome.KEEP
    }


def expired(rules: tuple[Rule, ...], *images: Image) -> str:
    found = acted_on(rules, *images)
    assert set(found.values()) <= {"EXPIRE"}
    return "".join(sorted(found))


THREE = (image("A", 10, "beta-1", "prod-1"), image("B", 9, "beta-2", "prod-2"), image("C", 8, "beta-3"))
EXAMPLES: dict[str, tuple[tuple[dict[str, Any], ...], tuple[Image, ...], str]] = {
    "1 by age": (
        (young(1, 14, "prod*"),),
        (image("A", 15, "prod-1"), image("B", 13, "prod-2"), image("C", 30, "beta"), image("D", 30)),
        "A",
    ),
    "2 one untagged is kept": (
        (rule(1, "untagged", "imageCountMoreThan", 1),),
        (image("A", 3), image("B", 2), image("C", 1), image("D", 9, "v1")),
        "AB",
    ),
    "3 prod claims first": ((keep(1, 1, "prod*"), keep(2, 1, "beta*")), THREE, "A"),
    "4 beta claims first": ((keep(1, 1, "beta*"), keep(2, 1, "prod*")), THREE, "AB"),
    "5 all patterns of a rule": (
        (young(1, 5, "alpha*", "beta*"),),
        (
            image("A", 12, "alpha-1"),
            image("B", 11, "beta-1"),
            image("C", 10, "alpha-2", "beta-2"),
            image("D", 4, "alpha-3"),
            image("E", 3, "beta-3"),
            image("F", 2, "alpha-4", "beta-4"),
        ),
        "C",
    ),
    "6 more tags do not exclude": (
        (keep(1, 1, "alpha*", "beta*"),),
        (
            image("A", 10, "alpha-1", "beta-1", "gamma-1"),
            image("B", 9, "alpha-2", "beta-2"),
            image("C", 8, "alpha-3", "beta-3", "gamma-2"),
        ),
        "AB",
    ),
    "7 any": (
        (rule(1, "any", "imageCountMoreThan", 1),),
        (image("A", 4, "alpha-1"), image("B", 3, "beta-1"), image("C", 2), image("D", 1, "alpha-2")),
        "ABC",
    ),
    "8 three rules": (
        (
            keep(1, 1, "alpha*"),
            rule(2, "untagged", "sinceImagePushed", 1),
            rule(3, "any", "imageCountMoreThan", 1),
        ),
        (
            image("A", 4, "alpha-1", "beta-1"),
            image("B", 3),
            image("C", 2, "alpha-2"),
            image("D", 1.1, "git hash"),
            image("E", 1),
        ),
        "ABD",
    ),
    "12 an image goes with all its tags": (
        (rule(1, "tagged", "sinceImagePushed", 180, tagPrefixList=["v"]),),
        (image("R", 200, "v1.5.0", "latest"), image("S", 1, "v1.6.0")),
        "R",
    ),
    "13 the course's question": (
        (
            rule(1, "tagged", "imageCountMoreThan", 5, tagPrefixList=["prod-"]),
            rule(2, "untagged", "sinceImagePushed", 7),
        ),
        (image("X", 10),),
        "X",
    ),
    "14 a rule that keeps": (
        (keep(1, 9999, "release-*"), rule(2, "any", "sinceImagePushed", 30)),
        (
            image("A", 90, "release-1"),
            image("B", 80, "release-2"),
            image("C", 70, "release-3"),
            image("D", 60, "old"),
            image("E", 50),
        ),
        "DE",
    ),
    "15 three prefixes in one rule": (
        (rule(1, "tagged", "imageCountMoreThan", 1, tagPrefixList=["feature-", "fix-", "dev-"]),),
        (
            image("F", 9, "feature-x"),
            image("G", 8, "fix-y"),
            image("H", 7, "dev-z"),
            image("I", 6, "feature-1", "fix-1", "dev-1"),
            image("J", 5, "feature-2", "fix-2", "dev-2"),
        ),
        "I",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_worked_example(name: str) -> None:
    rules, images, outcome = EXAMPLES[name]

    assert expired(rules_of(*rules), *images) == outcome


def test_the_eleventh_version_goes_and_latest_with_it() -> None:
    versions = [image(chr(ord("a") + n), 20 - n, f"v1.{n}.0", *(["latest"] if n == 0 else [])) for n in range(11)]

    found = acted_on(rules_of(rule(1, "tagged", "imageCountMoreThan", 10, tagPrefixList=["v"])), *versions)

    assert found == {"a": "EXPIRE"}


def test_archiving_by_age_of_push_and_of_pull() -> None:
    pushed = rules_of(young(1, 30, "prod*", action="transition"))
    pulled = rules_of(rule(1, "any", "sinceImagePulled", 90, "transition"))

    assert acted_on(pushed, image("A", 31, "prod-1"), image("B", 29, "prod-2")) == {"A": "TRANSITION"}
    assert acted_on(
        pulled,
        image("A", 100),
        image("B", 200, pulled_us=NOW_US - 80 * DAY_US),
        image("C", 300, pulled_us=NOW_US - 91 * DAY_US),
        image("D", 300, activated_us=NOW_US - 5 * DAY_US),
    ) == {"A": "TRANSITION", "C": "TRANSITION"}


def test_rules_of_two_storage_classes_do_not_claim_each_others_images() -> None:
    rules = rules_of(
        rule(1, "any", "sinceImagePushed", 30, "transition"),
        rule(2, "any", "sinceImageTransitioned", 365, storageClass="archive"),
    )
    archived = {"storage_class": "archive"}

    assert acted_on(
        rules,
        image("A", 31),
        image("B", 1),
        image("C", 900, archived_us=NOW_US - 366 * DAY_US, **archived),
        image("D", 900, archived_us=NOW_US - 364 * DAY_US, **archived),
    ) == {"A": "TRANSITION", "C": "EXPIRE"}


def test_an_image_that_came_back_from_the_archive_counts_from_then() -> None:
    rules = rules_of(rule(1, "any", "imageCountMoreThan", 1))

    assert expired(rules, image("A", 90, activated_us=NOW_US - DAY_US), image("B", 2)) == "B"


def test_an_age_is_exceeded_not_reached() -> None:
    rules = rules_of(rule(1, "untagged", "sinceImagePushed", 1))

    assert expired(rules, image("A", 1)) == ""
    assert expired(rules, replace(image("A", 1), pushed_us=NOW_US - DAY_US - 1)) == "A"


def test_members_of_an_index_go_with_the_last_index_that_names_them() -> None:
    one, two = image("I", 9, "v1"), image("J", 1, "v2")
    member = image("m", 9, parents=(one.key, two.key), was_tagged=False)
    alone = image("n", 9, parents=(one.key,), was_tagged=False)
    rules = rules_of(
        rule(1, "tagged", "imageCountMoreThan", 1, tagPrefixList=["v"]),
        rule(2, "untagged", "imageCountMoreThan", 1),
    )

    assert expired(rules, one, two, member, alone) == "In"
    assert expired(rules, one, replace(two, pushed_us=one.pushed_us - 1), member, replace(alone, parents=())) == "J"


def test_a_tagged_member_is_protected_while_an_index_names_it() -> None:
    index = image("I", 9, "latest")
    member = image("m", 9, "v1", parents=(index.key,))
    rules = rules_of(young(1, 5, "v*"))

    (verdict,) = (found for found in evaluate(rules, (index, member), NOW_US) if found.image is member)

    assert (verdict.outcome, verdict.why, verdict.rule) == (Outcome.KEEP, Why.PROTECTED, rules[0])
    assert expired(rules_of(young(1, 5, "*")), index, member) == "Im"


def test_what_refers_to_an_image_goes_with_it_and_is_not_judged_itself() -> None:
    subject, other = image("S", 9, "v1"), image("T", 1, "v2")
    signature = image("s", 9, "sha256-x.sig", subject=subject.key, is_referrer=True)
    attested = image("t", 9, subject=signature.key, is_referrer=True)
    orphan = image("u", 99, subject=None, is_referrer=True)
    rules = rules_of(rule(1, "any", "sinceImagePushed", 5))

    assert expired(rules, subject, other, signature, attested, orphan) == "Sst"
    assert expired(rules, replace(subject, pushed_us=NOW_US), other, signature, attested, orphan) == ""


def test_what_refers_to_an_image_stays_while_an_index_names_it() -> None:
    rules = rules_of(rule(1, "untagged", "sinceImagePushed", 3))
    old, young = image("A", 9), image("B", 1)
    signature = image("C", 9, subject=old.key, is_referrer=True, parents=(young.key,), was_tagged=False)

    assert expired(rules, old, young, signature) == "A"
    assert expired(rules, old, replace(young, pushed_us=old.pushed_us), signature) == "ABC"


def test_a_verdict_says_who_claims_the_image_where_it_stands_and_when_it_goes() -> None:
    rules = rules_of(keep(1, 10, "v*"), rule(10, "any", "sinceImagePushed", 30))

    verdicts = {
        verdict.image.digest.decode(): verdict
        for verdict in evaluate(rules, (image("A", 9, "v1"), image("B", 8, "v2"), image("C", 26)), NOW_US)
    }

    assert (verdicts["A"].rule, verdicts["A"].position, verdicts["A"].due_us) == (rules[0], 2, None)
    assert (verdicts["C"].rule, verdicts["C"].due_us) == (rules[1], NOW_US + 4 * DAY_US)
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.KEEP}


@pytest.mark.parametrize(
    ("pattern", "tag", "matches"),
    [
        ("v1", "v1", True),
        ("v1", "v10", False),
        ("v*", "v", True),
        ("*", "anything", True),
        ("*-dev", "a-dev", True),
        ("*-dev", "a-dev-1", False),
        ("v*.*.0", "v1.2.0", True),
        ("v*.*.0", "v1.0", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("*a*a*a*b", "a" * 299 + "b", True),
        ("*a*a*a*b", "a" * 300, False),
        ("V*", "v1", False),
        ("v.*", "v1", False),
    ],
)
def test_a_pattern_matches_a_whole_tag(pattern: str, tag: str, matches: bool) -> None:
    assert (expired(rules_of(young(1, 1, pattern)), image("A", 9, tag)) == "A") is matches


# What holds whatever the policy and the images.

TAGS = st.lists(st.sampled_from(["v1", "v2", "beta-1", "prod-1", "x"]), max_size=3, unique=True).map(tuple)


@st.composite
def repositories(draw: st.DrawFn) -> list[Image]:
    images: list[Image] = []
    for key in range(draw(st.integers(0, 9))):
        before = [other.key for other in images]
        parents = tuple(draw(st.lists(st.sampled_from(before), max_size=2, unique=True))) if before else ()
        subject = draw(st.sampled_from([None, *before])) if before else None
        tags = draw(TAGS)
        images.append(
            Image(
                key,
                bytes([key]),
                tags,
                NOW_US - draw(st.integers(0, 100)) * DAY_US,
                storage_class=draw(st.sampled_from(["standard", "standard", "archive"])),
                archived_us=NOW_US - draw(st.integers(0, 200)) * DAY_US,
                parents=parents,
                was_tagged=bool(tags) or draw(st.booleans()),
                subject=subject,
                is_referrer=subject is not None,
            )
        )
    return images


@st.composite
def policies(draw: st.DrawFn) -> tuple[Rule, ...]:
    patterns = draw(st.lists(st.sampled_from(["v*", "beta*", "prod*", "*1", "x"]), max_size=4, unique=True))
    made = [
        draw(st.sampled_from([keep, young]))(number, draw(st.integers(1, 20)), pattern)
        for number, pattern in enumerate(patterns, start=1)
    ]
    if draw(st.booleans()):
        made.append(rule(50, "untagged", "sinceImagePushed", draw(st.integers(1, 50))))
    if draw(st.booleans()) or not made:
        made.append(rule(60, "any", "imageCountMoreThan", draw(st.integers(1, 9))))
    return rules_of(*made)


def by_key(verdicts: list[Verdict]) -> dict[int, Verdict]:
    return {verdict.image.key: verdict for verdict in verdicts}


@given(policies(), repositories(), st.randoms())
@settings(max_examples=300)
def test_every_image_has_one_verdict_whatever_the_order_of_the_images(
    rules: tuple[Rule, ...], images: list[Image], order: Any
) -> None:
    shuffled = list(images)
    order.shuffle(shuffled)

    verdicts = evaluate(rules, images, NOW_US)

    assert sorted(verdict.image.key for verdict in verdicts) == [image.key for image in images]
    assert by_key(evaluate(rules, shuffled, NOW_US)) == by_key(verdicts)


@given(policies(), repositories())
@settings(max_examples=300)
def test_nothing_that_a_kept_index_names_goes_and_no_referrer_goes_before_its_subject(
    rules: tuple[Rule, ...], images: list[Image]
) -> None:
    verdicts = by_key(evaluate(rules, images, NOW_US))

    for verdict in verdicts.values():
        if verdict.outcome == Outcome.KEEP:
            continue
        assert all(verdicts[parent].outcome != Outcome.KEEP for parent in verdict.image.parents)
        if verdict.image.is_referrer:
            assert verdict.image.subject is not None
            assert verdicts[verdict.image.subject].outcome != Outcome.KEEP


@given(policies(), repositories(), st.integers(1, 50))
@settings(max_examples=300)
def test_a_rule_changes_nothing_for_those_before_it(rules: tuple[Rule, ...], images: list[Image], number: int) -> None:
    last = rules[-1]
    if last.tag_status == "any":
        return
    changed = (*rules[:-1], replace(last, count_number=last.count_number + number))

    before, after = (by_key(evaluate(these, images, NOW_US)) for these in (rules, changed))

    for key, verdict in before.items():
        if verdict.why == Why.RULE and verdict.rule is not None and verdict.rule.priority < last.priority:
            assert (after[key].rule, after[key].position) == (verdict.rule, verdict.position)
