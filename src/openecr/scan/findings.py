"""Findings: a vulnerability in a package of an image."""

from dataclasses import dataclass

from openecr.scan.advisories import Details, Rating, Severity


@dataclass(frozen=True, slots=True)
class MatchKey:
    """What a verdict depends on, and nothing else: packages of many images that share it are matched once."""

    ecosystem: str
    """With the release: ``Debian:12``, ``PyPI``."""
    name: str
    """Normalised; the source package where the ecosystem's advisories speak of sources."""
    version: str
    """That is compared; the source package's where the name is."""
    module: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability that affects a package, all records that say so joined."""

    name: str
    """The CVE where one is known, else the record's id."""
    severity: Severity
    score: float | None
    fixed_version: str | None
    """The least version of this branch that is not affected; None where none is known."""
    advisory: str
    """The record that decided."""
    related: tuple[str, ...]
    """Other ids of the same vulnerability."""
    details: Details
    rating: Rating | None = None
    """The vector that the score is of."""
