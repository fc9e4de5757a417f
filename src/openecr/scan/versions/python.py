"""Python's versions: PEP 440 (https://packaging.python.org/specifications/version-specifiers/), and those before it."""

import re
from typing import Any

from packaging.version import Version

_CHARACTERS = 256
_PARTS = re.compile(r"[0-9]+|[a-z]+|-")
_WORDS = {"pre": "c", "preview": "c", "rc": "c", "-": "final-", "dev": "@"}


def pep440(version: str) -> tuple[Any, ...]:
    """What PEP 440 cannot read is less than all that it can."""
    if len(version) <= _CHARACTERS:
        try:
            return 1, Version(version)
        except ValueError:
            pass
    return 0, _legacy(version)


def _legacy(version: str) -> tuple[str, ...]:
    """As setuptools ordered before PEP 440: numbers filled with zeros, pre-releases below the end, the rest above."""
    key: list[str] = []
    for part in (*_PARTS.findall(version.lower()), "final"):
        part = _WORDS.get(part, part)
        if part[0].isdecimal():
            key.append(f"{len(part.lstrip('0')):08}{part.lstrip('0')}")
            continue
        if part < "final":
            while key and key[-1] == "*final-":
                key.pop()
        while key and key[-1] == f"{0:08}":
            key.pop()
        key.append(f"*{part}")
    return tuple(key)
