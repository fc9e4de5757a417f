"""When a repository is scanned, by the registry's rules and its own flag: pure.

User guide, "Using filters to choose which repositories are scanned", "Basic scanning", "Enhanced scanning": a filter
without a wildcard matches any name that contains it, one with wildcards the whole name; continuous scanning wins.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson

from openecr.db.repositories import Repository
from openecr.db.scans import Configuration


class Frequency(StrEnum):
    """When images of a repository are scanned."""

    ON_PUSH = "SCAN_ON_PUSH"
    CONTINUOUS = "CONTINUOUS_SCAN"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True)
class Applied:
    """How one repository is scanned."""

    frequency: Frequency
    filters: tuple[dict[str, str], ...] = ()
    """The filter that decided."""

    @property
    def on_push(self) -> bool:
        """Whether a push owes a scan."""
        return self.frequency != Frequency.MANUAL


def applied(scan_type: str, rules: Sequence[dict[str, Any]], repository_name: str, *, scan_on_push: bool) -> Applied:
    """How a repository is scanned.

    Args:
        rules: of the registry, in the model's shape.
        scan_on_push: the repository's own flag, which counts under BASIC alone.
    """
    found: dict[str, dict[str, str]] = {}
    for rule in rules:
        for item in rule["repositoryFilters"]:
            if _pattern(item["filter"]).fullmatch(repository_name):
                found[rule["scanFrequency"]] = item
    for frequency in (Frequency.CONTINUOUS, Frequency.ON_PUSH):
        if frequency in found:
            return Applied(frequency, (found[frequency],))
    if scan_type == "BASIC" and scan_on_push:
        return Applied(Frequency.ON_PUSH)
    return Applied(Frequency.MANUAL)


def by_configuration(configuration: Configuration, repository: Repository) -> Applied:
    """How a repository is scanned under its registry's configuration."""
    return applied(
        configuration.scan_type,
        orjson.loads(configuration.rules),
        repository.name,
        scan_on_push=repository.scan_on_push,
    )


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    if "*" not in text:
        return re.compile(f".*{re.escape(text)}.*", re.DOTALL)
    # Runs of wildcards mean one: several in a row would match in exponential time.
    parts = [re.escape(part) for part in re.split(r"\*+", text)]
    return re.compile(".*".join(parts), re.DOTALL)
