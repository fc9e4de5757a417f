"""A policy document, read and compiled once so that it is decided upon many times."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from openecr.access.policies.kinds import PolicyInvalid, PolicyKind

__all__ = ["Effect", "Policy", "PolicyInvalid", "PolicyKind", "Position", "Statement", "compiled", "parse"]


class Effect(StrEnum):
    """What a statement that matches does."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the document's text, both counted from 1, as ``Simulate*`` answers it."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement; the compiled parts of it follow in the next commit."""

    index: int
    sid: str
    effect: Effect
    start: Position
    end: Position


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A document of one kind that was found valid."""

    kind: PolicyKind
    version: str
    statements: tuple[Statement, ...]
    depends_on: frozenset[str]
    """The condition keys, lower case, that its conditions and variables read."""

    @property
    def reads_resource_tags(self) -> bool:
        """Whether a decision needs the tags of the resource."""
        return any("resourcetag/" in key for key in self.depends_on)

    def statements_for(self, action: str) -> Sequence[Statement]:
        """The statements whose Action or NotAction takes this action, in their order."""
        raise NotImplementedError


def parse(text: str, kind: PolicyKind) -> Policy:
    """The compiled document, checked as strictly as AWS checks one on entry.

    Raises:
        PolicyInvalid
    """
    raise NotImplementedError


def compiled(text: str, kind: PolicyKind) -> Policy:
    """The same for a text that was accepted before; recent answers are kept.

    Raises:
        PolicyInvalid
    """
    raise NotImplementedError
