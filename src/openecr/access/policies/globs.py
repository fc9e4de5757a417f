"""Patterns of the policy language: ``*``, ``?`` and variables like ``${aws:username}`` (IAM User Guide, "IAM policy
elements: Variables and tags"). Matching costs no more than pattern times text, whoever wrote the pattern.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]*?)\s*,\s*'([^']*)'\s*")
_ESCAPES = {"*": "*", "?": "?", "$": "$"}


class Wildcard(Enum):
    """What stands for other characters."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A place for a condition key's value."""

    key: str
    """In lower case."""
    default: str | None


Token = str | Wildcard | Variable
Values = Callable[[str], Sequence[str] | None]
"""A condition key's values, None where the request has none."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as it was written, cut into what it is made of."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The condition keys that it reads."""
        return tuple(token.key for token in self.tokens if isinstance(token, Variable))

    def matches(self, text: str, values: Values, *, any_case: bool = False) -> bool:
        """Whether the whole text is such; a variable without one value matches nothing."""
        tokens = self.tokens if not self.variables else _filled(self.tokens, values)
        return tokens is not None and _matcher(tokens, any_case)(text)


def pattern(text: str, *, variables: bool) -> Pattern:
    """Read a pattern.

    Args:
        variables: whether the policy's version knows variables; an older one takes them as they are written.
    """
    tokens: list[Token] = []
    position = 0
    for found in _VARIABLE.finditer(text) if variables else ():
        tokens.extend(_wild(text[position : found.start()]))
        tokens.append(_variable(found[1]))
        position = found.end()
    tokens.extend(_wild(text[position:]))
    return Pattern(text, tuple(tokens))


def exact(text: str, *, variables: bool) -> Pattern:
    """A text in which only variables stand for something else."""
    read = pattern(text, variables=variables)
    return Pattern(text, tuple(token.value if isinstance(token, Wildcard) else token for token in read.tokens))


def _variable(inner: str) -> Token:
    if inner in _ESCAPES:
        return _ESCAPES[inner]
    told = _DEFAULT.fullmatch(inner)
    return Variable(told[1].lower(), told[2]) if told else Variable(inner.strip().lower(), None)


def _wild(text: str) -> list[Token]:
    return [Wildcard(part) if part in ("*", "?") else part for part in re.split(r"([*?])", text) if part]


def _filled(tokens: Sequence[Token], values: Values) -> tuple[Token, ...] | None:
    filled: list[Token] = []
    for token in tokens:
        if not isinstance(token, Variable):
            filled.append(token)
            continue
        found = values(token.key)
        if found is not None and len(found) == 1:
            filled.append(found[0])
        elif token.default is not None:
            filled.append(token.default)
        else:
            return None
    return tuple(filled)


@lru_cache(maxsize=8192)
def _matcher(tokens: tuple[Token, ...], any_case: bool) -> Callable[[str], bool]:
    """A test for the whole text. The commonest forms need no regular expression."""
    literal = "".join(token for token in tokens if isinstance(token, str))
    kinds = [token for token in tokens if isinstance(token, Wildcard)]
    if not kinds:
        wanted = literal.lower() if any_case else literal
        return (lambda text: text.lower() == wanted) if any_case else wanted.__eq__
    if not literal and kinds == [Wildcard.ANY]:
        return lambda _text: True
    return _regular(tokens, any_case)


def _regular(tokens: Sequence[Token], any_case: bool) -> Callable[[str], bool]:
    """Each part after a ``*`` is looked for once, leftmost, in an atomic group: nothing is tried twice."""
    parts: list[str] = [""]
    for token in tokens:
        if token is Wildcard.ANY:
            if parts[-1] or len(parts) == 1:
                parts.append("")
        else:
            parts[-1] += "." if token is Wildcard.ONE else re.escape(str(token))
    first, *others = parts
    text = first + "".join(f"(?>.*?{part})" for part in others[:-1])
    if others:
        text += f".*{others[-1]}" if others[-1] else ".*"
    compiled = re.compile(text, re.DOTALL | (re.IGNORECASE if any_case else 0))
    return lambda said: compiled.fullmatch(said) is not None
