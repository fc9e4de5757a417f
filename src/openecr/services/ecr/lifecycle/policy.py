"""The text of a lifecycle policy: read, and refused in ECR's words. Pure.

Source: ECR user guide, "Lifecycle policy parameters"; texts from the behaviour reference, part B §1.3. ECR checks with
a JSON schema, whose validator's sentences come through; several lack the closing quote there, so they lack it here.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openecr.bounded_json import JsonRefused, loads

MOST_RULES = 50
MOST_WILDCARDS = 4
LEAST_ARCHIVED_DAYS = 90
STANDARD, ARCHIVE = "standard", "archive"
EXPIRE, TRANSITION = "expire", "transition"
TAGGED, UNTAGGED, ANY = "tagged", "untagged", "any"
COUNT, PUSHED, PULLED, TRANSITIONED = (
    "imageCountMoreThan",
    "sinceImagePushed",
    "sinceImagePulled",
    "sinceImageTransitioned",
)
_NO_SCHEMA = "instance failed to match exactly one schema (matched 0 out of 2)"


class PolicyInvalid(Exception):
    """The text is no lifecycle policy; ``why`` is what ECR says after its prefix, with the quote that closes it."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    priority: int
    description: str | None
    tag_status: str
    patterns: tuple[str, ...]
    """All must match, each any of an image's tags; a prefix is a pattern that ends in a wildcard."""
    prefixes: tuple[str, ...]
    """The prefixes as they were written; empty where the rule has patterns."""
    storage_class: str
    count_type: str
    count_number: int
    action: str
    target_storage_class: str | None


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a policy, in order of priority.

    Raises:
        PolicyInvalid: checked in this order: JSON, rules, each rule (type, members, action, selection), rules together.
    """
    try:
        document = loads(text.encode())
    except (JsonRefused, UnicodeEncodeError):
        raise PolicyInvalid("Could not map policyString into LifecyclePolicy.'") from None
    if not isinstance(document, dict):
        raise PolicyInvalid("Could not map policyString into LifecyclePolicy.'")
    if not isinstance(document.get("rules"), list):
        raise PolicyInvalid(_missing(["rules"]))
    _require_known(document, ("rules",))
    if len(document["rules"]) > MOST_RULES:
        raise PolicyInvalid(f"A policy has at most {MOST_RULES} rules.'")
    rules = sorted((_rule(item) for item in document["rules"]), key=lambda rule: rule.priority)
    _check_together(rules)
    return tuple(rules)


def _rule(item: Any) -> Rule:
    _require_type(item, "object")
    _require_members(item, ("action", "rulePriority", "selection"))
    _require_known(item, ("action", "description", "rulePriority", "selection"))
    _require_type(item["rulePriority"], "integer")
    _require_least(item["rulePriority"], 1)
    if "description" in item:
        _require_type(item["description"], "string")
    action, target = _action(item["action"])
    selection = item["selection"]
    _require_selection(selection)
    prefixes, patterns = _tag_lists(selection)
    rule = Rule(
        priority=item["rulePriority"],
        description=item.get("description"),
        tag_status=selection["tagStatus"],
        patterns=patterns or tuple(f"{prefix}*" for prefix in prefixes),
        prefixes=prefixes,
        storage_class=selection.get("storageClass", STANDARD),
        count_type=selection["countType"],
        count_number=selection["countNumber"],
        action=action,
        target_storage_class=target,
    )
    _check_count(rule, selection.get("countUnit"))
    return rule


def _action(action: Any) -> tuple[str, str | None]:
    _require_type(action, "object")
    _require_members(action, ("type",))
    _require_known(action, ("targetStorageClass", "type"))
    _require_one_of(action["type"], (EXPIRE, TRANSITION))
    if (action["type"] == TRANSITION) != ("targetStorageClass" in action):
        raise PolicyInvalid(_NO_SCHEMA)
    if "targetStorageClass" not in action:
        return EXPIRE, None
    if action["targetStorageClass"] is None:
        raise PolicyInvalid(_NO_SCHEMA)
    _require_one_of(action["targetStorageClass"], (ARCHIVE,))
    return TRANSITION, ARCHIVE


_SELECTION = ("countNumber", "countType", "countUnit", "storageClass", "tagPatternList", "tagPrefixList", "tagStatus")


def _require_selection(selection: Any) -> None:
    _require_type(selection, "object")
    _require_members(selection, ("countNumber", "countType", "tagStatus"))
    _require_known(selection, _SELECTION)
    _require_one_of(selection["tagStatus"], (ANY, TAGGED, UNTAGGED))
    if selection["countType"] not in (COUNT, PUSHED, PULLED, TRANSITIONED):
        raise PolicyInvalid(_NO_SCHEMA)
    if "countUnit" in selection:
        _require_one_of(selection["countUnit"], ("days",))
    if "storageClass" in selection:
        _require_one_of(selection["storageClass"], (ARCHIVE, STANDARD))
    _require_type(selection["countNumber"], "integer")
    _require_least(selection["countNumber"], 1)


def _tag_lists(selection: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(prefixes, patterns): one of them where the rule selects tagged images, else neither."""
    nulls = [name for name in ("tagPatternList", "tagPrefixList") if name in selection and selection[name] is None]
    if nulls:
        raise PolicyInvalid("\n".join(_wrong_type(None, "array") for _ in nulls))
    lists = {name: selection.get(name, []) for name in ("tagPrefixList", "tagPatternList")}
    for entries in lists.values():
        _require_type(entries, "array")
        for entry in entries:
            _require_type(entry, "string")
    prefixes, patterns = tuple(lists["tagPrefixList"]), tuple(lists["tagPatternList"])
    if selection["tagStatus"] != TAGGED and (prefixes or patterns):
        raise PolicyInvalid("tagPrefixList and tagPatternList are allowed only when tagStatus is tagged.'")
    if prefixes and patterns:
        raise PolicyInvalid("Only one of tagPrefixList and tagPatternList is allowed in a rule.'")
    if selection["tagStatus"] == TAGGED and not prefixes and not patterns:
        raise PolicyInvalid("tagPrefixList or tagPatternList is required when tagStatus is tagged.'")
    if "" in prefixes or "" in patterns:
        raise PolicyInvalid("An entry of tagPrefixList or tagPatternList must not be empty.'")
    if any(pattern.count("*") > MOST_WILDCARDS for pattern in patterns):
        raise PolicyInvalid(f"A pattern of tagPatternList has at most {MOST_WILDCARDS} wildcards.'")
    return prefixes, patterns


def _check_count(rule: Rule, unit: str | None) -> None:
    """What each count type goes with (user guide, "countType")."""
    if (rule.count_type == COUNT) == (unit is not None):
        raise PolicyInvalid(_NO_SCHEMA)
    if (rule.count_type == TRANSITIONED) != (rule.storage_class == ARCHIVE):
        raise PolicyInvalid("countType sinceImageTransitioned and storageClass archive belong together.'")
    if rule.count_type == TRANSITIONED and rule.action != EXPIRE:
        raise PolicyInvalid("A rule with countType sinceImageTransitioned can only expire images.'")
    if rule.count_type == TRANSITIONED and rule.count_number < LEAST_ARCHIVED_DAYS:
        raise PolicyInvalid(_too_low(rule.count_number, LEAST_ARCHIVED_DAYS))
    if rule.count_type == PULLED and rule.action != TRANSITION:
        raise PolicyInvalid("A rule with countType sinceImagePulled can only transition images.'")


def _check_together(rules: Sequence[Rule]) -> None:
    if _twice(rule.priority for rule in rules):
        raise PolicyInvalid("Rules must have unique priorities.'")
    for storage_class in (STANDARD, ARCHIVE):
        of_class = [rule for rule in rules if rule.storage_class == storage_class]
        if sum(rule.tag_status == UNTAGGED for rule in of_class) > 1:
            raise PolicyInvalid("Only one rule is allowed to select untagged images for a storage class.'")
        if _twice(frozenset(rule.patterns) for rule in of_class if rule.tag_status == TAGGED):
            raise PolicyInvalid("Rules selecting the same storage class must have unique tag lists.'")
        if any(rule.tag_status == ANY for rule in of_class[:-1]):
            raise PolicyInvalid("A rule with tagStatus any must have the lowest priority.'")


def _twice(items: Any) -> bool:
    return any(count > 1 for count in Counter(items).values())


_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "integer": int}


def _require_type(value: Any, wanted: str) -> None:
    if not isinstance(value, _TYPES[wanted]) or isinstance(value, bool):
        raise PolicyInvalid(_wrong_type(value, wanted))


def _wrong_type(value: Any, wanted: str) -> str:
    return f'instance type ({_type_of(value)}) does not match any allowed primitive type (allowed: ["{wanted}"])\''


def _type_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return next((name for name, kind in _TYPES.items() if isinstance(value, kind)), "number")


def _require_members(value: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in value]
    if missing:
        raise PolicyInvalid(_missing(missing))


def _missing(names: Sequence[str]) -> str:
    return f"object has missing required properties ({json.dumps(sorted(names), separators=(',', ','))})'"


def _require_known(value: Mapping[str, Any], names: Sequence[str]) -> None:
    unknown = sorted(set(value) - set(names))
    if unknown:
        listed = json.dumps(unknown, separators=(",", ","))
        raise PolicyInvalid(f"object instance has properties which are not allowed by the schema: ({listed})'")


def _require_one_of(value: Any, allowed: Sequence[str]) -> None:
    _require_type(value, "string")
    if value not in allowed:
        listed = json.dumps(sorted(allowed))
        raise PolicyInvalid(f"instance value ({value}) not found in enum :(possible values: {listed})'")


def _require_least(value: int, least: int) -> None:
    if value < least:
        raise PolicyInvalid(_too_low(value, least))


def _too_low(value: int, least: int) -> str:
    return f"numeric instance is lower than the required minimum (minimum: {least}, found: {value})"
