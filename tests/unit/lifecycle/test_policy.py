"""The text of a lifecycle policy: what is accepted, and how ECR refuses the rest."""

import json
from typing import Any

import pytest

from openecr.services.ecr.lifecycle.policy import PolicyInvalid, parse

GOOD: dict[str, Any] = {
    "rulePriority": 1,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3},
    "action": {"type": "expire"},
}
TAGGED = {"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 1}
NO_SCHEMA = "instance failed to match exactly one schema (matched 0 out of 2)"


def wrong_type(found: str, allowed: str) -> str:
    return f'instance type ({found}) does not match any allowed primitive type (allowed: ["{allowed}"])\''


def not_one_of(value: str, *allowed: str) -> str:
    return f"instance value ({value}) not found in enum :(possible values: {json.dumps(allowed)})'"


def changed(**more: Any) -> dict[str, Any]:
    return {**GOOD, **more}


def selecting(*without: str, **more: Any) -> dict[str, Any]:
    selection = {**GOOD["selection"], **more}
    return changed(selection={name: value for name, value in selection.items() if name not in without})


def refused(document: Any) -> str:
    with pytest.raises(PolicyInvalid) as why:
        parse(document if isinstance(document, str) else json.dumps(document))
    return why.value.why


def test_rules_come_in_order_of_priority_and_a_prefix_is_a_pattern() -> None:
    first, second = parse(json.dumps({"rules": [changed(rulePriority=7), changed(selection=TAGGED)]}))

    assert (first.priority, first.patterns, first.prefixes, first.storage_class) == (1, ("v*",), ("v",), "standard")
    assert (second.priority, second.count_type, second.count_number) == (7, "sinceImagePushed", 3)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("no json", "Could not map policyString into LifecyclePolicy.'"),
        ([], "Could not map policyString into LifecyclePolicy.'"),
        ("[" * 100 + "]" * 100, "Could not map policyString into LifecyclePolicy.'"),
        ({}, """object has missing required properties (["rules"])'"""),
        ({"rules": {}}, """object has missing required properties (["rules"])'"""),
        ({"rules": [], "x": 1}, """object instance has properties which are not allowed by the schema: (["x"])'"""),
    ],
)
def test_what_is_no_policy_at_all(document: Any, why: str) -> None:
    assert refused(document) == why


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("a", wrong_type("string", "object")),
        ({}, """object has missing required properties (["action","rulePriority","selection"])'"""),
        (changed(unknown=1), """object instance has properties which are not allowed by the schema: (["unknown"])'"""),
        (
            changed(rulePriority="1"),
            wrong_type("string", "integer"),
        ),
        (
            changed(rulePriority=True),
            wrong_type("boolean", "integer"),
        ),
        (changed(rulePriority=0), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (
            changed(action={"type": "keep"}),
            not_one_of("keep", "expire", "transition"),
        ),
        (changed(action={"type": "expire", "targetStorageClass": "archive"}), NO_SCHEMA),
        (changed(action={"type": "transition"}), NO_SCHEMA),
        (changed(action={"type": "transition", "targetStorageClass": None}), NO_SCHEMA),
        (selecting("countNumber"), """object has missing required properties (["countNumber"])'"""),
        (
            selecting(tagStatus="unknown"),
            not_one_of("unknown", "any", "tagged", "untagged"),
        ),
        (selecting(countType="unknown"), NO_SCHEMA),
        (selecting("countUnit"), NO_SCHEMA),
        (selecting(countType="imageCountMoreThan"), NO_SCHEMA),
        (selecting(countUnit="weeks"), not_one_of("weeks", "days")),
        (selecting(countNumber=0), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (
            selecting(tagPatternList=None),
            wrong_type("null", "array"),
        ),
        (selecting(tagStatus="tagged"), "tagPrefixList or tagPatternList is required when tagStatus is tagged.'"),
        (
            selecting(tagPrefixList=["v"]),
            "tagPrefixList and tagPatternList are allowed only when tagStatus is tagged.'",
        ),
        (
            selecting(tagStatus="tagged", tagPrefixList=["v"], tagPatternList=["v*"]),
            "Only one of tagPrefixList and tagPatternList is allowed in a rule.'",
        ),
        (
            selecting(tagStatus="tagged", tagPatternList=["*a*b*c*d*"]),
            "A pattern of tagPatternList has at most 4 wildcards.'",
        ),
        (
            selecting(countType="sinceImagePulled"),
            "A rule with countType sinceImagePulled can only transition images.'",
        ),
        (
            selecting(countType="sinceImageTransitioned", countNumber=100),
            "countType sinceImageTransitioned and storageClass archive belong together.'",
        ),
        (
            selecting(countType="sinceImageTransitioned", storageClass="archive", countNumber=89),
            "numeric instance is lower than the required minimum (minimum: 90, found: 89)",
        ),
    ],
)
def test_what_is_no_rule(rule: Any, why: str) -> None:
    assert refused({"rules": [rule]}) == why


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([GOOD, changed(selection=TAGGED)], "Rules must have unique priorities.'"),
        ([GOOD, changed(rulePriority=2)], "Only one rule is allowed to select untagged images for a storage class.'"),
        (
            [changed(selection=TAGGED), changed(rulePriority=2, selection={**TAGGED, "countNumber": 2})],
            "Rules selecting the same storage class must have unique tag lists.'",
        ),
        (
            [selecting(tagStatus="any"), changed(rulePriority=2, selection=TAGGED)],
            "A rule with tagStatus any must have the lowest priority.'",
        ),
        ([changed(rulePriority=number) for number in range(1, 52)], "A policy has at most 50 rules.'"),
    ],
)
def test_what_no_policy_may_have_together(rules: list[Any], why: str) -> None:
    assert refused({"rules": rules}) == why


def test_any_may_close_the_rules_of_each_storage_class() -> None:
    archive = {
        "tagStatus": "any",
        "countType": "sinceImageTransitioned",
        "countUnit": "days",
        "countNumber": 90,
        "storageClass": "archive",
    }

    assert (
        len(parse(json.dumps({"rules": [selecting(tagStatus="any"), changed(rulePriority=2, selection=archive)]}))) == 2
    )
