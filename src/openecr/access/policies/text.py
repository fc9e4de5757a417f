"""The JSON of a policy: strict, bounded, with the places of its statements."""

import json
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from openecr import bounded_json
from openecr.access.policies.kinds import SYNTAX, PolicyInvalid

_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the document's text, both counted from 1, as ``Simulate*`` answers it."""

    line: int
    column: int


Span = tuple[Position, Position]


def read(text: str) -> dict[str, Any]:
    """The document's members; numbers stay texts, and no object may hold a member twice.

    Raises:
        PolicyInvalid
    """
    try:
        bounded_json.loads(text.encode())
        document = json.loads(text, object_pairs_hook=_members, parse_int=Number, parse_float=Number)
    except bounded_json.JsonRefused as refused:
        raise PolicyInvalid(SYNTAX, f"the text {refused}") from None
    except ValueError:
        raise PolicyInvalid(SYNTAX, "the text is not valid JSON") from None
    if not isinstance(document, dict):
        raise PolicyInvalid(SYNTAX, "the text is not a JSON object")
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise PolicyInvalid(SYNTAX, f"the member {quoted(twice)} is there twice")
    return members


def quoted(text: str) -> str:
    """What a document said, for a sentence: short, on one line."""
    shown = text if len(text) <= 100 else text[:99] + "…"
    return json.dumps(shown, ensure_ascii=False)


def statement_spans(text: str) -> list[Span]:
    """Where each statement of a document that was read begins and ends: its two braces."""
    newlines = [found.start() for found in re.finditer("\n", text)]

    def position(offset: int) -> Position:
        line = bisect_left(newlines, offset)
        return Position(line + 1, offset - (newlines[line - 1] if line else -1))

    return [(position(start), position(end)) for start, end in _offsets(text)]


def _offsets(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    depth, level, start = 0, 0, 0
    last, inside = "", False
    for found in _MARK.finditer(text):
        mark = found[0]
        if mark in "{[":
            if inside and not level:
                level = depth if mark == "{" else depth + 1
            if inside and mark == "{" and depth == level:
                start = found.start()
            depth += 1
        elif mark in "}]":
            depth -= 1
            if inside and mark == "}" and depth == level:
                spans.append((start, found.start()))
        elif mark == ":" and depth == 1:
            inside, level = json.loads(last) == "Statement", 0
        elif mark == "," and depth == 1:
            inside = False
        elif depth == 1:
            last = mark
    return spans
