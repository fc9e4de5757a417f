"""Policy variables and wildcards in the texts of a policy.

Source: IAM User Guide, "IAM policy elements: Variables and tags" (reference_policies_variables). Only a document of
version 2012-10-17 has variables; a value that is filled in is literal, wildcards in it match themselves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from openecr.access.policies.context import Reading


class Wildcard(Enum):
    """What stands for other characters."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A condition key whose value is filled in when the request is known."""

    key: str
    default: str | None


Literal = tuple[str | Wildcard, ...]
Template = tuple[str | Wildcard | Variable, ...]

# The bound keeps a text of nothing but openings linear; tag keys and values are far shorter.
_SPECIAL = re.compile(r"\$\{([^}]{1,600})\}|[*?]")
_ESCAPES = frozenset("*?$")


def template(text: str, *, wildcards: bool, variables: bool) -> Template:
    """The text's literal parts, wildcards and variables, in their order; neighbouring literals are one."""
    pieces: list[str | Wildcard | Variable] = []
    end = 0
    for found in _SPECIAL.finditer(text):
        inner = found[1]
        if (inner is None and not wildcards) or (inner is not None and not variables):
            continue
        _append(pieces, text[end : found.start()])
        _append(pieces, Wildcard(found[0]) if inner is None else _variable(inner, found[0]))
        end = found.end()
    _append(pieces, text[end:])
    return tuple(pieces)


def variables_of(pieces: Template) -> tuple[Variable, ...]:
    """The text's variables, in their order."""
    return tuple(piece for piece in pieces if isinstance(piece, Variable))


def values_of(variables: Sequence[Variable], reading: Reading) -> tuple[str, ...] | None:
    """What the variables stand for in this request; None where one has no value, for nothing equals or is like that."""
    found: list[str] = []
    for variable in variables:
        values = reading.values(variable.key)
        # A key with several values cannot be used as a variable ("Single-valued vs. multivalued context keys").
        value = values[0] if len(values) == 1 else variable.default
        if value is None:
            return None
        found.append(value)
    return tuple(found)


def filled(pieces: Template, values: Sequence[str]) -> Literal:
    """The text with its variables replaced, in their order."""
    left = iter(values)
    whole: list[str | Wildcard | Variable] = []
    for piece in pieces:
        _append(whole, next(left) if isinstance(piece, Variable) else piece)
    return tuple(piece for piece in whole if not isinstance(piece, Variable))


def _append(pieces: list[str | Wildcard | Variable], piece: str | Wildcard | Variable) -> None:
    if piece == "" or (piece is Wildcard.MANY and pieces and pieces[-1] is Wildcard.MANY):
        return
    if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
        pieces[-1] += piece
    else:
        pieces.append(piece)


def _variable(inner: str, text: str) -> str | Variable:
    """``${*}`` and the like are the character itself; what is no key stays the text that it is."""
    if inner in _ESCAPES:
        return inner
    name, comma, rest = inner.partition(",")
    rest = rest.strip()
    default = rest[1:-1] if comma and len(rest) > 1 and rest[0] == rest[-1] == "'" else None
    if comma and default is None:
        return text
    key = name.strip().lower()
    return Variable(key, default) if key else text
