"""What is probably not meant in a policy. Pure; it warns and refuses nothing, for ECR takes all of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openecr.services.ecr.lifecycle.evaluation import Outcome, Verdict, covers
from openecr.services.ecr.lifecycle.policy import COUNT, STANDARD, TAGGED, Rule
from openecr.services.ecr.lifecycle.wording import rule_in_words

_LONGEST_TAG = 128
_TAG_BEGINS = re.compile(r"[a-zA-Z0-9_*]")
_TAG_PATTERN = re.compile(r"[a-zA-Z0-9._*-]*")


@dataclass(frozen=True, slots=True)
class Hint:
    """One warning."""

    code: str
    """``several-tags``, ``never-matches``, ``shadowed``, ``claims-nothing-now`` or ``empties-repository``."""
    text: str
    rule: int | None = None
    """The priority of the rule that it is about."""
    offer: tuple[dict[str, Any], ...] = ()
    """Rules to write instead."""


def lint(rules: Sequence[Rule], verdicts: Sequence[Verdict] = ()) -> list[Hint]:
    """Warnings, by rule.

    Args:
        rules: in order of priority.
        verdicts: what the policy says of the images that there are now.
    """
    claiming = {verdict.rule.priority for verdict in verdicts if verdict.rule is not None}
    found: list[Hint] = []
    for number, rule in enumerate(rules):
        hint = _never(rule) or _shadowed(rule, rules[:number])
        several = _several(rule, rules)
        found += [item for item in (hint, several) if item is not None]
        if hint is None and verdicts and rule.priority not in claiming:
            text = f"{rule_in_words(rule)}: it claims no image that is there now"
            found.append(Hint("claims-nothing-now", text, rule.priority))
    if verdicts and all(verdict.outcome == Outcome.EXPIRE for verdict in verdicts):
        found.append(Hint("empties-repository", f"all {len(verdicts)} images of the repository would expire now"))
    return found


def _never(rule: Rule) -> Hint | None:
    for pattern in rule.patterns:
        literal = pattern.replace("*", "")
        possible = _TAG_BEGINS.match(pattern) and _TAG_PATTERN.fullmatch(pattern) and len(literal) <= _LONGEST_TAG
        if not possible:
            text = f"rule {rule.priority} can never match: no tag can be like '{pattern}'"
            return Hint("never-matches", text, rule.priority)
    return None


def _shadowed(rule: Rule, before: Sequence[Rule]) -> Hint | None:
    """A tagged rule whose images an earlier rule claims, all of them."""
    if rule.tag_status != TAGGED:
        return None
    for earlier in before:
        if earlier.tag_status != TAGGED or earlier.storage_class != rule.storage_class:
            continue
        if all(any(covers(wide, narrow) for narrow in rule.patterns) for wide in earlier.patterns):
            text = (
                f"rule {rule.priority} never acts: rule {earlier.priority} claims every image that it selects; "
                "give it a smaller rulePriority"
            )
            return Hint("shadowed", text, rule.priority)
    return None


def _several(rule: Rule, rules: Sequence[Rule]) -> Hint | None:
    """A rule whose list was probably meant as a choice."""
    if len(rule.patterns) < 2:
        return None
    taken = {other.patterns for other in rules if other.storage_class == rule.storage_class}
    wanted = [entry for entry in (rule.prefixes or rule.patterns) if _entry(rule, entry) not in taken]
    named = ", ".join(f"'{pattern}'" for pattern in rule.patterns)
    text = (
        f"rule {rule.priority} selects only images that have a tag for each of {named} at once; "
        "where any of them is meant, write a rule for each"
    )
    used = {other.priority for other in rules if other is not rule}
    if any(rule.priority + number in used for number in range(len(wanted))):
        text += ", and give the rules after it higher numbers"
    offer = tuple(_rule(rule, entry, rule.priority + number) for number, entry in enumerate(wanted))
    return Hint("several-tags", text, rule.priority, offer)


def _entry(rule: Rule, entry: str) -> tuple[str, ...]:
    return (f"{entry}*" if rule.prefixes else entry,)


def _rule(rule: Rule, entry: str, priority: int) -> dict[str, Any]:
    selection: dict[str, Any] = {
        "tagStatus": TAGGED,
        "tagPrefixList" if rule.prefixes else "tagPatternList": [entry],
        "countType": rule.count_type,
        "countNumber": rule.count_number,
    }
    if rule.count_type != COUNT:
        selection["countUnit"] = "days"
    if rule.storage_class != STANDARD:
        selection["storageClass"] = rule.storage_class
    action = {"type": rule.action}
    if rule.target_storage_class is not None:
        action["targetStorageClass"] = rule.target_storage_class
    told: dict[str, Any] = {"rulePriority": priority}
    if rule.description is not None:
        told["description"] = rule.description
    return told | {"selection": selection, "action": action}
