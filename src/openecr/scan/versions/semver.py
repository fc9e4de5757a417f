"""Semantic versions, read as leniently as data is written; Go's, NuGet's and Pub's, which are nearly the same.

https://semver.org/#spec-item-11; https://go.dev/ref/mod#versions;
https://learn.microsoft.com/nuget/concepts/package-versioning; https://dart.dev/tools/pub/versioning.
"""

import re
from typing import Any

from openecr.scan.versions.numbers import number

_SHAPE = re.compile(r"[vV=\s]*([0-9]*(?:\.[0-9]+)*)[.]?([^+]*)(?:\+(.*))?", re.DOTALL)
_NUMERIC = re.compile(r"[0-9]+")


def semver(version: str) -> tuple[Any, ...]:
    """Any number of numbers, missing ones are 0; what follows them is a pre-release, with or without ``-``."""
    core, before, _ = _parts(version)
    return core, before


def go(version: str) -> tuple[Any, ...]:
    """Modules' and the toolchain's: ``v1.2.3``, ``go1.22.5``, ``1.20rc1``; what follows a blank is no part of it."""
    return semver(version.strip().partition(" ")[0].removeprefix("go"))


def nuget(version: str) -> tuple[Any, ...]:
    """Up to four numbers; pre-releases without regard to case."""
    return semver(version.lower())


def pub(version: str) -> tuple[Any, ...]:
    """Builds order too: none is less than any."""
    return _parts(version)


def _parts(version: str) -> tuple[Any, Any, Any]:
    found = _SHAPE.match(version.strip())
    core, before, build = found.groups() if found else ("", version, None)
    numbers = [number(digits) for digits in core.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), (_identifiers(before.removeprefix("-"), 0) if before else (1,)), _identifiers(build or "")


def _identifiers(text: str, *first: int) -> tuple[Any, ...]:
    """Numbers before words, each in its own order; fewer before more."""
    if not text:
        return first
    return (*first, *((0, number(part)) if _NUMERIC.fullmatch(part) else (1, part) for part in text.split(".")))
