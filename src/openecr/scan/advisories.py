"""Advisories as the index keeps them: which versions of a package are affected, and what is to be said of it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Severity(IntEnum):
    """ECR's words, the worst first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3
    INFORMATIONAL = 4
    UNDEFINED = 5
    """No source rates it; enhanced scanning calls it UNTRIAGED."""


@dataclass(frozen=True, slots=True)
class Range:
    """Versions between events, as OSV has them."""

    kind: str
    """``ECOSYSTEM`` or ``SEMVER``."""
    events: tuple[tuple[str, str], ...]
    """(``introduced`` | ``fixed`` | ``last_affected`` | ``limit``, version), in the record's order."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One record's word on one package of one ecosystem."""

    id: str
    """The record's: ``GHSA-…``, ``DEBIAN-CVE-…``."""
    ecosystem: str
    """With its release: ``Debian:12``, ``PyPI``."""
    package: str
    """As the ecosystem normalises it."""
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    """CVEs that this advisory of a distribution speaks of; each is a finding of its own."""
    severity: Severity = Severity.UNDEFINED
    """By the best source that the record carries."""
    modules: tuple[str, ...] = ()
    """rpm's modules (``name:stream``) that it is limited to."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A CVSS vector and its score."""

    vector: str
    version: str
    """``2.0``, ``3.0``, ``3.1``, ``4.0``."""
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Details:
    """What is told of a record; read only for what matched."""

    id: str
    summary: str = ""
    details: str = ""
    source: str = ""
    """``DEBIAN_CVE``, ``UBUNTU_CVE``, ``GITHUB``, ``NVD`` …, as Inspector names sources."""
    source_url: str = ""
    references: tuple[str, ...] = ()
    ratings: tuple[Rating, ...] = ()
    vendor_severity: str = ""
    published_us: int | None = None
    modified_us: int | None = None
    exploited: bool = False
    """Listed as known to be exploited."""
    epss: float | None = None


class AdvisoryIndex(Protocol):
    """What matching asks of the vulnerability database; one immutable build of it."""

    @property
    def built_us(self) -> int:
        """When it was built."""
        ...

    @property
    def ecosystems(self) -> frozenset[str]:
        """Every ecosystem that it has records of, with releases: an unknown is never clean."""
        ...

    def advisories(self, ecosystem: str, package: str) -> tuple[Advisory, ...]:
        """Every record on a package by its normalised name, withdrawn ones left out."""
        ...

    def details(self, ids: tuple[str, ...]) -> dict[str, Details]:
        """What is told of these records; of CVEs too, where the index has them."""
        ...
