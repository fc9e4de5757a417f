"""Debian's versions: https://www.debian.org/doc/debian-policy/ch-controlfields.html#version."""

import re
from typing import Any

from openecr.scan.versions.numbers import number

_EPOCH = re.compile(r"([0-9]*):")
_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def dpkg(version: str) -> tuple[Any, ...]:
    """``[epoch:]upstream[-revision]``; the revision stands after the last hyphen, missing is 0."""
    version = version.strip()
    epoch = _EPOCH.match(version)
    upstream, hyphen, revision = (version[epoch.end() :] if epoch else version).rpartition("-")
    if not hyphen:
        upstream, revision = revision, ""
    return (number(epoch[1]) if epoch else 0), _part(upstream), _part(revision)


def _part(text: str) -> tuple[Any, ...]:
    """Runs without and with digits in turn; the end counts as a run of nothing and is above ``~`` alone."""
    key: list[Any] = []
    for others, digits in _RUNS.findall(text or "0"):
        if others or digits:
            key += [(*map(_order, others), 0), number(digits)]
    key.append((0,))
    return tuple(key)


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
