"""A policy document, read and compiled once so that it is decided upon many times."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from openecr.access.policies.conditions import Condition
from openecr.access.policies.context import Reading
from openecr.access.policies.kinds import PolicyInvalid, PolicyKind
from openecr.access.policies.matching import Patterns, resource_patterns
from openecr.access.policies.principals import Grant, Principal, Principals
from openecr.access.policies.text import Position, Span, read, statement_spans
from openecr.access.policies.validation import VERSIONS, as_list, checked_conditions, checked_statements

__all__ = ["Effect", "Policy", "PolicyInvalid", "PolicyKind", "Position", "Statement", "compiled", "parse"]

_MOST_ACTIONS = 128
_NO_CONTEXT = Reading({})


class Effect(StrEnum):
    """What a statement that matches does."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement, compiled."""

    index: int
    sid: str
    effect: Effect
    start: Position
    end: Position
    actions: Patterns = field(repr=False)
    """In lower case, as actions are compared."""
    not_actions: bool
    """Whether the statement takes all other actions: NotAction."""
    resources: Patterns | None = field(repr=False)
    """None where the policy is attached to the resource that it speaks of."""
    not_resources: bool
    principals: Principals | None = field(repr=False)
    """None where the policy is attached to the principal that it speaks of."""
    conditions: tuple[Condition, ...] = field(repr=False)
    source: str = field(default="", repr=False)
    """The statement as JSON, for explanations and audit records."""

    @property
    def reads(self) -> frozenset[str]:
        """The condition keys that decide whether it applies."""
        found = frozenset() if self.resources is None else self.resources.reads
        return found.union(*(condition.reads for condition in self.conditions))

    def takes(self, action: str) -> bool:
        """Whether its Action or NotAction takes an action, given in lower case."""
        return self.actions.match(action, _NO_CONTEXT) != self.not_actions

    def applies(self, principal: Principal, resource: str, reading: Reading) -> Grant:
        """Whether all but the action matches, and how it means the principal. The context is read last."""
        grant = Grant.DIRECT if self.principals is None else self.principals.grant(principal)
        if grant is Grant.NONE:
            return grant
        if self.resources is not None and self.resources.match(resource, reading) == self.not_resources:
            return Grant.NONE
        for condition in self.conditions:
            if not condition.holds(reading):
                return Grant.NONE
        return grant


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A document of one kind that was found valid."""

    kind: PolicyKind
    version: str
    statements: tuple[Statement, ...] = field(repr=False)
    depends_on: frozenset[str]
    """The condition keys, lower case, that its conditions and variables read."""
    _by_action: dict[str, tuple[Statement, ...]] = field(default_factory=dict, repr=False)

    @property
    def reads_resource_tags(self) -> bool:
        """Whether a decision needs the tags of the resource."""
        return any(key.partition(":")[2].startswith("resourcetag/") for key in self.depends_on)

    def statements_for(self, action: str) -> Sequence[Statement]:
        """The statements whose Action or NotAction takes an action, given in lower case; in their order."""
        found = self._by_action.get(action)
        if found is None:
            found = tuple(statement for statement in self.statements if statement.takes(action))
            if len(self._by_action) < _MOST_ACTIONS:
                self._by_action[action] = found
        return found


def parse(text: str, kind: PolicyKind) -> Policy:
    """The compiled document, checked as strictly as AWS checks one on entry.

    Raises:
        PolicyInvalid
    """
    document = read(text)
    statements = checked_statements(document, kind)
    version = document.get("Version", VERSIONS[0])
    spans = statement_spans(text)
    compiled_ones = tuple(
        _statement(statement, index, span, variables=version != VERSIONS[0])
        for index, (statement, span) in enumerate(zip(statements, spans, strict=True))
    )
    depends_on: frozenset[str] = frozenset().union(*(statement.reads for statement in compiled_ones))
    return Policy(kind, version, compiled_ones, depends_on)


@lru_cache(512)
def compiled(text: str, kind: PolicyKind) -> Policy:
    """The same for a text that was accepted before; recent answers are kept.

    Raises:
        PolicyInvalid
    """
    return parse(text, kind)


def _statement(members: Mapping[str, Any], index: int, span: Span, *, variables: bool) -> Statement:
    actions = as_list(members.get("Action", members.get("NotAction")))
    resources = as_list(members.get("Resource", members.get("NotResource", [])))
    return Statement(
        index=index,
        sid=members.get("Sid", ""),
        effect=Effect(members["Effect"]),
        start=span[0],
        end=span[1],
        actions=Patterns([action.lower() for action in actions], wildcards=True, variables=False),
        not_actions="NotAction" in members,
        resources=resource_patterns(resources, variables=variables) if resources else None,
        not_resources="NotResource" in members,
        principals=_principals(members),
        conditions=checked_conditions(members, index, variables=variables),
        source=json.dumps(members, ensure_ascii=False, separators=(",", ":")),
    )


def _principals(members: Mapping[str, Any]) -> Principals | None:
    negated = "NotPrincipal" in members
    given = members.get("NotPrincipal" if negated else "Principal")
    if given is None:
        return None
    if given == "*":
        return Principals(aws=("*",), negated=negated)
    return Principals(
        aws=as_list(given.get("AWS", [])),
        services=as_list(given.get("Service", [])),
        providers=as_list(given.get("Federated", [])),
        negated=negated,
    )
