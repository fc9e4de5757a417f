"""Gems' versions: https://docs.ruby-lang.org/en/master/Gem/Version.html."""

import re
from typing import Any

from openecr.scan.versions.numbers import number
from openecr.scan.versions.padding import padded

_SEGMENTS = re.compile(r"[0-9]+|[A-Za-z]+")

_WORD, _NUMBER = range(2)


def rubygems(version: str) -> tuple[Any, ...]:
    """Numbers and words; a word is below any number, a missing segment is 0, and zeros before the first word go."""
    numbers: list[tuple[int, Any]] = []
    rest: list[tuple[int, Any]] = []
    for text in _SEGMENTS.findall(version.strip().replace("-", ".pre.")):
        segment = (_NUMBER, number(text)) if text[0] <= "9" else (_WORD, text)
        (rest if rest or segment[0] == _WORD else numbers).append(segment)
    while numbers and not numbers[-1][1]:
        numbers.pop()
    return padded((*numbers, *rest), (_NUMBER, 0))
