"""Maven's versions as the POM reference orders them, which is how OSV orders them.

https://maven.apache.org/pom.html#version-order-specification. Maven 3.9 itself takes ``1.0.RC2`` for ``1.0-RC2``; the
reference, OSV and OSV's lists of versions do not.
"""

import re
from typing import Any

from openecr.scan.versions.numbers import number

_TOKENS = re.compile(r"([.-]?)([0-9]+|[^0-9.-]+|(?=[.-]|$))")
_QUALIFIERS = {"alpha": 0, "beta": 1, "milestone": 2, "rc": 3, "cr": 3, "snapshot": 4, "": 5, "sp": 6}
_NOTHING = frozenset({"", "ga", "final", "release"})
_SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}

(
    _DOT_KNOWN,
    _HYPHEN_COMING,
    _ZEROS_AND_KNOWN,
    _END,
    _DOT_OTHER,
    _HYPHEN_WORD,
    _HYPHEN_NUMBER,
    _ZEROS_AND_OTHER,
    _DOT_NUMBER,
) = range(9)


def maven(version: str) -> tuple[Any, ...]:
    """Its tokens without what says nothing.

    The end is as good as any number of ``.0`` and as ``-`` with nothing after it: the kinds of token stand around it in
    the order above. OSV compares pairs, and goes in circles: ``1.0.rc1 < 1 < 1-1 < 1.0.rc1`` and ``1-rc < 1 < 1.x <
    1-rc``. An order cannot; the pairs that are read otherwise here are those which close the circles, the last of each.
    """
    tokens = _without_nothing(_split(version.strip().lower()))
    key: list[Any] = []
    zeros = 0
    for position, (separator, value) in enumerate(tokens):
        if position and (separator, value) == (".", 0):
            zeros += 1
            continue
        if isinstance(value, str):
            dotted = separator == "." or position == 0
            follower = tokens[position + 1][1] if position + 1 < len(tokens) else 0
            key.append(_dotted_word(value, zeros) if dotted else _hyphenated_word(value, follower))
        else:
            key += [(_DOT_NUMBER, 0)] * zeros
            key.append((_DOT_NUMBER if separator == "." or position == 0 else _HYPHEN_NUMBER, value))
        zeros = 0
    key.append((_END, 0))
    return tuple(key)


def _split(version: str) -> list[tuple[str, int | str]]:
    """Separator and value; a border between digits and letters is as good as a hyphen."""
    tokens: list[tuple[str, int | str]] = []
    found = [match for match in _TOKENS.finditer(version) if match[0] or not tokens]
    for position, match in enumerate(found):
        text = match[2]
        if "0" <= text[:1] <= "9":
            tokens.append((match[1] or "-", number(text)))
            continue
        follower = found[position + 1][0][:1] if position + 1 < len(found) else ""
        if text in _SHORT and "0" <= follower <= "9":
            text = _SHORT[text]
        elif text in _NOTHING:
            tokens.append((match[1] or "-", "" if text else 0))  # "1..2" has a zero in between
            continue
        tokens.append((match[1] or "-", text))
    return tokens


def _without_nothing(tokens: list[tuple[str, int | str]]) -> list[tuple[str, int | str]]:
    """Zeros and empty words are dropped at the end and before each hyphen, all but the first token."""
    kept: list[tuple[str, int | str]] = []
    for token in (*tokens, ("-", 1)):
        if token[0] == "-":
            while len(kept) > 1 and not kept[-1][1]:
                kept.pop()
        kept.append(token)
    return kept[:-1]


def _dotted_word(text: str, zeros: int) -> tuple[Any, ...]:
    """``.0`` that lead to a word say only how near it stands to the end, from below or above."""
    word = _word(text)
    if word[1]:
        return (_ZEROS_AND_OTHER, zeros, word) if zeros else (_DOT_OTHER, word)
    return (_ZEROS_AND_KNOWN, zeros, word) if zeros else (_DOT_KNOWN, word)


def _hyphenated_word(text: str, follower: int | str) -> tuple[Any, ...]:
    word = _word(text)
    if word == _word(""):  # only before a dot: "1-ga.1" is above 1, "1-ga.x" below
        return _END, (-1 if isinstance(follower, str) else 1)
    return (_HYPHEN_COMING if word < _word("") else _HYPHEN_WORD), word


def _word(text: str) -> tuple[int, str]:
    return (_QUALIFIERS[text], "") if text in _QUALIFIERS else (len(_QUALIFIERS), text)
