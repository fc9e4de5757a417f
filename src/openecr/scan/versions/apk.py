"""Alpine's versions: https://wiki.alpinelinux.org/wiki/Package_policies, and apk-tools' own order of what breaks them.

``number{.number}{letter}{_suffix{number}}{~hash}{-r number}``. Where two versions go on with different kinds of token,
the kind that may stand earlier is the greater, save that a suffix of a version to come (``_rc``) is below everything.
"""

import re
from collections.abc import Iterator
from typing import Any

from openecr.scan.versions.numbers import number

_COMING, _INVALID, _END, _REVISION, _HASH, _SUFFIX_NUMBER, _SUFFIX, _LETTER, _DIGITS, _FIRST = range(10)

_SUFFIXES = ("alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p")
_OF_VERSIONS_TO_COME = 4

_HEAD = re.compile(r"([0-9]+)((?:\.[0-9]*)*)(?:([a-z])([0-9]*))?")
_TAIL = re.compile(r"_(alpha|beta|pre|rc|cvs|svn|git|hg|p)(?![a-z])([0-9]*)|(~)([0-9a-f]*)|(-r)([0-9]+)")


def apk(version: str) -> tuple[Any, ...]:
    """Its tokens; whatever is no version from some place on is less than all that is one up to there and goes on."""
    version = version.strip()
    return (*_tokens(version),)


def _tokens(version: str) -> Iterator[tuple[Any, ...]]:
    head = _HEAD.match(version)
    if not head:
        yield (_INVALID,)
        return
    yield _FIRST, number(head[1])
    numbers = head[2].split(".")[1:]
    dangling = (
        bool(numbers) and not numbers[-1]
    )  # "1.2.r1" and "1..2" are no versions either, and old recipes have them
    for digits in numbers[:-1] if dangling else numbers:
        # Compared as text with a leading zero, which puts it before all that have none.
        yield (_DIGITS, 1, number(digits)) if digits[:1] > "0" else (_DIGITS, 0, digits)
    if dangling:
        yield (_INVALID,)
    if head[3]:
        yield _LETTER, head[3]
    if head[4]:  # "9.9p1": no version to apk-tools, yet old recipes have it
        yield _SUFFIX_NUMBER, number(head[4])
    yield from _suffixes(version, head.end())


def _suffixes(version: str, position: int) -> Iterator[tuple[Any, ...]]:
    reached = _SUFFIX
    while position < len(version):
        found = _TAIL.match(version, position)
        kind = _SUFFIX if found and found[1] else _HASH if found and found[3] else _REVISION
        if not found or kind > reached or (kind == reached != _SUFFIX):
            yield (_INVALID,)
            return
        reached, position = kind, found.end()
        if kind == _SUFFIX:
            order = _SUFFIXES.index(found[1])
            yield (_COMING if order < _OF_VERSIONS_TO_COME else _SUFFIX), order
            if found[2]:
                yield _SUFFIX_NUMBER, number(found[2])
        else:
            yield (kind, found[4]) if kind == _HASH else (kind, number(found[6]))
    yield (_END,)
