"""Lists of numbers: CRAN's and Hackage's versions; Conan's, which have words, pre-releases and builds beside them.

R manual "Writing R Extensions", The DESCRIPTION file; https://pvp.haskell.org;
https://docs.conan.io/2/tutorial/versioning/version_ranges.html.
"""

import re
from typing import Any

from openecr.scan.versions.numbers import number

_ITEMS = re.compile(r"[0-9]+|[A-Za-z]+")

_WORD, _NUMBER = range(2)


def dotted(version: str) -> tuple[Any, ...]:
    """Items between whatever stands between them; where one version ends, the longer is the greater."""
    return tuple(map(_item, _ITEMS.findall(version)))


def conan(version: str) -> tuple[Any, ...]:
    """Dotted items, without zeros at the end; those with ``-pre`` are below, those with ``+build`` above."""
    main, _, build = version.strip().lower().partition("+")
    main, hyphen, before = main.partition("-")
    return _conan_items(main), ((0, _conan_items(before)) if hyphen else (1,)), _conan_items(build)


def _conan_items(text: str) -> tuple[Any, ...]:
    items = [_conan_item(item) for item in text.split(".")] if text else []
    while items and items[-1] == (0, 0, ""):
        items.pop()
    return tuple(items)


def _conan_item(text: str) -> tuple[int, int, str]:
    """A number, or text by its leading number: ``1a`` is between 1 and 2."""
    digits = re.match("[0-9]*", text)
    leading = digits[0] if digits else ""
    return (0, number(leading), text[len(leading) :]) if leading else (1, 0, text)


def _item(text: str) -> tuple[Any, ...]:
    return (_NUMBER, number(text)) if text[0] <= "9" else (_WORD, text)
