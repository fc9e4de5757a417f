"""JSON from clients, bounded before and after it is parsed: how many values it holds, and how deep they nest."""

from typing import Any

import orjson

MOST_DEPTH = 64
_MOST_OPENERS = 200_000
_MOST_COMMAS = 1_000_000


class JsonRefused(Exception):
    """The text is not JSON, or more of it than a request may hold; the message goes on from "The body"."""


def loads(content: bytes) -> Any:
    """The document, at a cost that is linear in its bytes whatever they are.

    Each opener and each comma costs many times its byte once parsed; a manifest, alone or in a text, stays far below
    both bounds. The parser itself refuses to nest deeper than 1,024 before its stack could suffer.

    Raises:
        JsonRefused
    """
    if content.count(b"[") + content.count(b"{") > _MOST_OPENERS or content.count(b",") > _MOST_COMMAS:
        raise JsonRefused("holds too many values")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise JsonRefused("is not valid JSON") from None
    if _is_deeper_than(document, MOST_DEPTH):
        raise JsonRefused(f"is nested deeper than {MOST_DEPTH} levels")
    return document


def _is_deeper_than(document: Any, most: int) -> bool:
    level = [document]
    for _ in range(most):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
