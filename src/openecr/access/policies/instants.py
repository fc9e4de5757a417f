"""Dates as policies write them: the W3C's profile of ISO 8601, or seconds since 1970.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators", Date condition operators.
"""

import re
from datetime import UTC, datetime, timedelta

_W3C = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d))?)?)?", re.ASCII
)
_EPOCH = re.compile(r"(\d{5,12})(?:\.(\d{1,9}))?", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(text: str) -> int | None:
    """µs since 1970; None for what is no date. Four digits are a year."""
    epoch = _EPOCH.fullmatch(text)
    if epoch is not None:
        return int(epoch[1]) * 1_000_000 + _fraction_us(epoch[2])
    found = _W3C.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[number] or (number in (2, 3))) for number in range(1, 7))
    try:
        whole = (datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _START) // _MICROSECOND
    except ValueError:
        return None
    return whole + _fraction_us(found[7]) - _offset_us(found[8])


def _fraction_us(digits: str | None) -> int:
    return int((digits or "0").ljust(6, "0")[:6])


def _offset_us(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return (minutes if zone[0] == "+" else -minutes) * 60_000_000
