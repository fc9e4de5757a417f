"""Composer packages' versions, by PHP's order: https://www.php.net/manual/en/function.version-compare.php."""

import re
from typing import Any

from openecr.scan.versions.numbers import number

# PHP takes "#" for any number whatever, which no order can: here it is as if it were not there.
_TOKENS = re.compile(r"[0-9]+|[^0-9._+#-]+")
_OTHER, _DEV, _ALPHA, _BETA, _RC, _END, _NUMBER, _PATCH = range(8)
_FORMS = (("dev", _DEV), ("a", _ALPHA), ("b", _BETA), ("RC", _RC), ("rc", _RC), ("pl", _PATCH), ("p", _PATCH))


def packagist(version: str) -> tuple[Any, ...]:
    """Numbers and words; a version that ends is below one that goes on with a number: ``1.0 < 1.0.0``."""
    version = version.strip()
    if version[:1] in {"v", "V"} and "0" <= version[1:2] <= "9":
        version = version[1:]
    return (*map(_token, _TOKENS.findall(version)), (_END,))


def _token(text: str) -> tuple[int, ...]:
    if "0" <= text[0] <= "9":
        return _NUMBER, number(text)
    return (next((order for form, order in _FORMS if text.startswith(form)), _OTHER),)
