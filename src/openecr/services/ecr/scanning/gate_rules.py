"""Whether what a scan says lets an image through: pure. What is not known never does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openecr.scan.advisories import Severity

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


def from_severity(worst: str) -> dict[str, int]:
    """No finding of a severity, nor of a worse one."""
    return {severity.name: 0 for severity in Severity if severity <= Severity[worst]}
