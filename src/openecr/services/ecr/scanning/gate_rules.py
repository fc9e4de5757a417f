"""Whether what a scan says lets an image through: pure. What is not known never does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openecr.scan.advisories import Severity

_DAY_US = 86_400 * 1_000_000
PASSING = frozenset(("COMPLETE", "ACTIVE"))


@dataclass(frozen=True, slots=True)
class Limits:
    """How many findings of each severity an image may have; what is not named is not limited."""

    most: Mapping[str, int] = field(default_factory=dict)
    refuses_unscanned: bool = True
    accepts_gaps: bool = False
    """Whether what a scan could not judge, or judged by old data, is let through."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What is known of an image's scan."""

    status: str
    description: str
    counts: Mapping[str, int]
    """Severity → number of findings that are not suppressed."""
    gaps: Sequence[str]


def refusals(scanned: Scanned | None, limits: Limits) -> list[str]:
    """Why an image is not let through; empty where it is."""
    if scanned is None or scanned.status not in PASSING:
        if not limits.refuses_unscanned:
            return []
        if scanned is None:
            return ["it was never scanned"]
        return [f"its scan is {scanned.status}: {scanned.description}"]
    found = [
        f"{scanned.counts[severity]} {severity} findings, at most {most} are allowed"
        for severity, most in limits.most.items()
        if scanned.counts.get(severity, 0) > most
    ]
    if not limits.accepts_gaps:
        found += scanned.gaps
    return found


def staleness(data_us: int, now_us: int, too_old_us: int) -> list[str]:
    """A sentence where vulnerability data is too old to go by.

    Args:
        data_us: as of when it is.
        too_old_us: the age from which it is; 0 for never.
    """
    age_us = now_us - data_us
    if not too_old_us or age_us <= too_old_us:
        return []
    return [f"The vulnerability data is {age_us // _DAY_US} days old; run openecr vulndb update."]


def from_severity(worst: str) -> dict[str, int]:
    """No finding of a severity, nor of a worse one."""
    return {severity.name: 0 for severity in Severity if severity <= Severity[worst]}
