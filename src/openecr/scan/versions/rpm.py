"""rpm's versions: https://rpm-software-management.github.io/rpm/man/rpm-version.7."""

import re
from typing import Any

from openecr.scan.versions.numbers import number

_EPOCH = re.compile(r"([0-9]*):")
_TOKENS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")

_TILDE, _END, _CARET, _LETTERS, _DIGITS = range(5)
_SIGNS = {"~": _TILDE, "^": _CARET}


def rpm(version: str) -> tuple[Any, ...]:
    """``[epoch:]version[-release]``; a missing epoch is 0, as rpm has it, on whichever side it is missing."""
    version = version.strip()
    epoch = _EPOCH.match(version)
    name, hyphen, release = (version[epoch.end() :] if epoch else version).rpartition("-")
    if not hyphen:
        name, release = release, ""
    return (number(epoch[1]) if epoch else 0), _part(name), _part(release)


def _part(text: str) -> tuple[Any, ...]:
    return (*map(_token, _TOKENS.findall(text)), (_END,))


def _token(text: str) -> tuple[Any, ...]:
    if text in _SIGNS:
        return (_SIGNS[text],)
    return (_DIGITS, number(text)) if text[0] <= "9" else (_LETTERS, text)
