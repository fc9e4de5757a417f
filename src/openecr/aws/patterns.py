"""The models' regular expressions are Java's; these are the same in Python's.

The differences that matter: ``\\p{..}`` classes, which ``re`` lacks; ``\\w`` and ``\\d``, which mean ASCII in Java;
code points above U+FFFF, which the models write with five digits. A value must match as a whole.
"""

import re
import sys
import unicodedata
from functools import cache

_PROPERTY = re.compile(r"\\p\{(?:Is)?([A-Za-z]+)\}")
_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "ASCII": r"\x00-\x7F",
    "Digit": "0-9",
    "Graph": r"\x21-\x7E",
    "Print": r"\x20-\x7E",
    "Punct": r"!-/:-@\[-`{-~",
    "Lower": "a-z",
    "Upper": "A-Z",
}
_BEYOND_BMP = (r"\u10000-\u10FFFF", r"\U00010000-\U0010FFFF")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A model's pattern, ready for ``fullmatch``."""
    return re.compile(translate(pattern), re.ASCII)


def translate(pattern: str) -> str:
    """A Java pattern in Python's words."""
    widened = pattern.replace(*_BEYOND_BMP)
    pieces: list[str] = []
    done = 0
    for found in _PROPERTY.finditer(widened):
        pieces.append(widened[done : found.start()])
        ranges = _POSIX.get(found[1]) or _category(found[1])
        pieces.append(ranges if _inside_class(widened, found.start()) else f"[{ranges}]")
        done = found.end()
    return "".join((*pieces, widened[done:]))


def _inside_class(pattern: str, position: int) -> bool:
    """Whether a position lies between the brackets of a character class."""
    inside = escaped = False
    for character in pattern[:position]:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "[]":
            inside = character == "["
    return inside


@cache
def _category(name: str) -> str:
    """The characters of a Unicode general category (``L``, ``Lu``, ``Z``) as ranges of a character class."""
    ranges: list[str] = []
    start: int | None = None
    for code in range(sys.maxunicode + 2):
        member = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(name)
        if member and start is None:
            start = code
        elif not member and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    if not ranges:
        raise ValueError(f"no character has the property {name}")
    return "".join(ranges)
