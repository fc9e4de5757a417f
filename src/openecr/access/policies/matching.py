"""Do a policy's patterns match a text? In time that is linear in the text, whatever the pattern is.

Sources: IAM User Guide, "IAM JSON policy elements: Action" and "…: Resource" (reference_policies_elements_action,
reference_policies_elements_resource). In a resource, ``*`` at the end of an ARN's segment also matches beyond the next
colon, ``*`` and ``?`` elsewhere stay in their segment; slashes are characters as any other.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from openecr.access.policies.context import Reading
from openecr.access.policies.variables import Literal, Template, Wildcard, filled, template, values_of, variables_of

Matcher = Callable[[str], bool]
Maker = Callable[[Literal], Matcher]
_MOST_KEPT = 256
_MOST_FILLINGS = 8


@lru_cache(_MOST_KEPT)
def glob(pieces: Literal) -> Matcher:
    """Matches a whole text; wildcards stand for any characters."""
    return _matcher(pieces, bounded=())


@lru_cache(_MOST_KEPT)
def arn_glob(pieces: Literal) -> Matcher:
    """Matches a whole ARN; a wildcard that does not end its segment stays in it."""
    bounded = tuple(
        index
        for index, piece in enumerate(pieces)
        if piece is Wildcard.ONE or (piece is Wildcard.MANY and not _ends_segment(pieces, index))
    )
    return _matcher(pieces, bounded)


def _ends_segment(pieces: Literal, index: int) -> bool:
    if index + 1 == len(pieces):
        return True
    following = pieces[index + 1]
    return isinstance(following, str) and following.startswith(":")


def _matcher(pieces: Literal, bounded: Sequence[int]) -> Matcher:
    if not any(isinstance(piece, Wildcard) for piece in pieces):
        whole = "".join(piece for piece in pieces if isinstance(piece, str))
        return whole.__eq__
    if pieces == (Wildcard.MANY,):
        return lambda _text: True
    if not bounded and Wildcard.ONE not in pieces:
        return _fragments(pieces)
    return _automaton(pieces, frozenset(bounded))


def _fragments(pieces: Literal) -> Matcher:
    """For ``*`` alone: the literals between them, each found as early as possible, the last one at the end."""
    literals = [piece for piece in pieces if isinstance(piece, str)]
    first = literals.pop(0) if isinstance(pieces[0], str) else ""
    last = literals.pop() if literals and isinstance(pieces[-1], str) else ""
    least = len(first) + len(last) + sum(map(len, literals))

    def matches(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for literal in literals:
            at = text.find(literal, at, end)
            if at < 0:
                return False
            at += len(literal)
        return True

    return matches


def _automaton(pieces: Literal, bounded: frozenset[int]) -> Matcher:
    """For everything else: all states of the pattern at once, one bit each, so that no choice is ever taken back."""
    prefix = pieces[0] if isinstance(pieces[0], str) else ""
    taking: dict[str, int] = {}
    any_character = any_but_colon = staying = staying_but_colon = 0
    state = 1
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            if index:
                for character in piece:
                    taking[character] = taking.get(character, 0) | state
                    state <<= 1
        elif piece is Wildcard.ONE:
            any_but_colon |= state
            any_character |= 0 if index in bounded else state
            state <<= 1
        else:
            staying_but_colon |= state
            staying |= 0 if index in bounded else state

    def matches(text: str) -> bool:
        if not text.startswith(prefix):
            return False
        states = 1
        for character in text[len(prefix) :]:
            if character == ":":
                states = (states & (taking.get(":", 0) | any_character)) << 1 | (states & staying)
            else:
                states = (states & (taking.get(character, 0) | any_but_colon)) << 1 | (states & staying_but_colon)
            if not states:
                return False
        return bool(states & state)

    return matches


class _Open:
    """A pattern with variables; the matchers for what they last stood for are kept, as most requests are alike."""

    __slots__ = ("_make", "_matchers", "_pieces", "_variables")

    def __init__(self, pieces: Template, make: Maker) -> None:
        self._pieces = pieces
        self._variables = variables_of(pieces)
        self._make = make
        self._matchers: dict[tuple[str, ...], Matcher] = {}

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(variable.key for variable in self._variables)

    def match(self, text: str, reading: Reading) -> bool:
        values = values_of(self._variables, reading)
        if values is None:
            return False
        matcher = self._matchers.get(values)
        if matcher is None:
            if len(self._matchers) >= _MOST_FILLINGS:
                self._matchers.clear()
            matcher = self._matchers[values] = self._make(filled(self._pieces, values))
        return matcher(text)


class Patterns:
    """The alternatives of one element, or of one condition: which of them are fixed, and which wait for variables."""

    __slots__ = ("_everything", "_exact", "_fixed", "_open", "reads")

    def __init__(self, texts: Iterable[str], *, wildcards: bool, variables: bool, make: Maker = glob) -> None:
        self._everything = False
        exact: set[str] = set()
        fixed: list[Matcher] = []
        waiting: list[_Open] = []
        for pieces in (template(text, wildcards=wildcards, variables=variables) for text in texts):
            if variables_of(pieces):
                waiting.append(_Open(pieces, make))
            elif pieces == (Wildcard.MANY,):
                self._everything = True
            elif Wildcard.MANY in pieces or Wildcard.ONE in pieces:
                fixed.append(make(filled(pieces, ())))
            else:
                whole = "".join(piece for piece in pieces if isinstance(piece, str))
                exact.add(whole.lower() if make is _caseless else whole)
        self._exact, self._fixed, self._open = frozenset(exact), tuple(fixed), tuple(waiting)
        self.reads: frozenset[str] = frozenset().union(*(each.reads for each in waiting))

    def match(self, text: str, reading: Reading) -> bool:
        """Whether one of them matches; one whose variable has no value matches nothing."""
        if self._everything or text in self._exact:
            return True
        for matcher in self._fixed:
            if matcher(text):
                return True
        return bool(self._open) and any(pattern.match(text, reading) for pattern in self._open)


def caseless_patterns(texts: Iterable[str], *, variables: bool) -> Patterns:
    """Exact texts in any case; what is matched is given in lower case."""
    return Patterns(texts, wildcards=False, variables=variables, make=_caseless)


def _caseless(pieces: Literal) -> Matcher:
    return "".join(piece for piece in pieces if isinstance(piece, str)).lower().__eq__


def resource_patterns(texts: Iterable[str], *, variables: bool) -> Patterns:
    """The ARNs of a Resource or NotResource element."""
    return Patterns(texts, wildcards=True, variables=variables, make=arn_glob)


def arn_patterns(texts: Iterable[str], *, variables: bool) -> Patterns:
    """The values of an ``Arn…`` condition: each of the six segments is compared for itself."""
    return Patterns(texts, wildcards=True, variables=variables, make=_segments)


@lru_cache(_MOST_KEPT)
def _segments(pieces: Literal) -> Matcher:
    parts: list[list[str | Wildcard]] = [[]]
    for piece in pieces:
        if not isinstance(piece, str):
            parts[-1].append(piece)
            continue
        for number, text in enumerate(piece.split(":", 6 - len(parts))):
            if number:
                parts.append([])
            if text:
                parts[-1].append(text)
    matchers = [glob(tuple(part)) for part in parts]

    def matches(text: str) -> bool:
        segments = text.split(":", 5)
        return len(segments) == len(matchers) == 6 and all(
            matcher(segment) for matcher, segment in zip(matchers, segments, strict=True)
        )

    return matches
