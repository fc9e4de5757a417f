"""How bad: a record's own words and vectors → one of ECR's words, and the scores behind it.

The order: the distribution's own word on its package; the record's CVSS, the newest version first; the ecosystem's
word; nothing. The CVSS of the CVE that a record is about comes after these: where a record rates nothing, matching asks
the index for the CVE's own (``openecr.scan.matching``).
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from openecr.scan.advisories import Rating, Severity
from openecr.scan.names import family
from openecr.scan.record_ids import is_malicious, source

_VECTOR_CHARACTERS = 512

_WORDS = {
    "negligible": Severity.INFORMATIONAL,
    "unimportant": Severity.INFORMATIONAL,
    "informational": Severity.INFORMATIONAL,
    "none": Severity.INFORMATIONAL,
    "low": Severity.LOW,
    "minor": Severity.LOW,
    "medium": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "critical": Severity.CRITICAL,
}

DISTRIBUTIONS = frozenset(
    {
        "Debian",
        "Ubuntu",
        "Alpine",
        "Alpaquita",
        "AlmaLinux",
        "Azure Linux",
        "BellSoft Hardened Containers",
        "Chainguard",
        "Echo",
        "Mageia",
        "MinimOS",
        "Photon OS",
        "Red Hat",
        "Rocky Linux",
        "SUSE",
        "Wolfi",
        "openEuler",
        "openSUSE",
    }
)
"""Ecosystems of OSV whose packages are a distribution's (https://ossf.github.io/osv-schema/#defined-ecosystems)."""


def rate(record: Mapping[str, Any], affected: Mapping[str, Any]) -> tuple[Severity, tuple[Rating, ...]]:
    """The severity of a record for one of its ``affected``, and the scores that the record carries, the best first.

    Reads only: ``severity`` of both (the entry's own goes before the record's), ``ecosystem_specific``,
    ``database_specific``, and the word before a colon in the summaries of those distributions that put it there.
    What is malformed is passed over: a record is never refused for its rating.
    """
    ratings = tuple(sorted(_ratings(record, affected), key=lambda rating: rating.version, reverse=True))
    if is_malicious(_text(record.get("id"))):
        return Severity.CRITICAL, ratings
    name = family(_text(_mapping(affected.get("package")).get("ecosystem")))
    if name in DISTRIBUTIONS:
        own = _first_word(_distribution_words(name, record, affected))
        if own is not None:
            return own, ratings
    if ratings:
        return severity_of(ratings[0]), ratings
    word = _first_word(_ecosystem_words(record, affected))
    return Severity.UNDEFINED if word is None else word, ratings


def severity_of(rating: Rating) -> Severity:
    """CVSS's qualitative scale; version 2 knows no "critical" (https://nvd.nist.gov/vuln-metrics/cvss)."""
    if rating.score >= 9 and rating.version != "2.0":
        return Severity.CRITICAL
    if rating.score >= 7:
        return Severity.HIGH
    if rating.score >= 4:
        return Severity.MEDIUM
    return Severity.LOW if rating.score > 0 else Severity.INFORMATIONAL


@lru_cache(maxsize=4096)
def score_of(vector: str) -> tuple[str, float] | None:
    """Version and base score of a vector; None where it is none. Version 2's have no prefix of their own."""
    if len(vector) > _VECTOR_CHARACTERS:
        return None
    vector = vector.strip().rstrip("/")
    try:
        if vector.startswith("CVSS:4.0/"):
            return "4.0", float(CVSS4(vector).base_score)
        if vector.startswith(("CVSS:3.0/", "CVSS:3.1/")):
            return vector[5:8], float(CVSS3(vector).base_score)
        if vector.startswith("CVSS:"):
            return None
        return "2.0", float(CVSS2(vector.strip("()")).base_score)
    except (CVSSError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def word(text: str) -> Severity | None:
    """A distribution's or ecosystem's word; None where it says nothing (``unknown``, ``not yet assigned``)."""
    return _WORDS.get(text.strip().lower())


def _ratings(record: Mapping[str, Any], affected: Mapping[str, Any]) -> Iterator[Rating]:
    """Of the affected package where it has ratings of its own, else of the record: OSV has them in one place only."""
    author = source(_text(record.get("id")))
    seen: set[str] = set()
    for entries in (_items(affected.get("severity")), _items(record.get("severity"))):
        for entry in entries:
            vector = _text(entry.get("score"))
            scored = score_of(vector) if _text(entry.get("type")).startswith("CVSS_") else None
            if scored is not None and vector not in seen:
                seen.add(vector)
                yield Rating(vector, scored[0], scored[1], _rater(entry, author))
        if seen:
            return


def _rater(entry: Mapping[str, Any], author: str) -> str:
    """Who scored: the entry's word for it, if it is short enough to be one (a field of Julia's records)."""
    rater = _text(entry.get("source"))
    return rater if 0 < len(rater) <= 32 else author


def _distribution_words(name: str, record: Mapping[str, Any], affected: Mapping[str, Any]) -> Iterator[str]:
    """Debian's urgency, Ubuntu's priority, the words of the rest, of the entry before those of the record.

    Debian: ``affected[].ecosystem_specific.urgency`` (tracker's: unimportant, low, medium, high, not yet assigned,
    end-of-life). Ubuntu: ``severity`` of type ``Ubuntu``. Red Hat and those that rebuild it: the summary's first word,
    "Important: openssl security update".
    """
    specific = _mapping(affected.get("ecosystem_specific"))
    yield _text(specific.get("urgency")).rstrip("*")
    for entry in (*_items(affected.get("severity")), *_items(record.get("severity"))):
        if _text(entry.get("type")) == name:
            yield _text(entry.get("score"))
    yield from _ecosystem_words(record, affected)
    if name in {"AlmaLinux", "Rocky Linux", "Red Hat"}:
        yield _text(record.get("summary")).partition(":")[0]


def _ecosystem_words(record: Mapping[str, Any], affected: Mapping[str, Any]) -> Iterator[str]:
    """GHSA's word and those in the same place: ``database_specific.severity``."""
    yield _text(_mapping(affected.get("ecosystem_specific")).get("severity"))
    yield _text(_mapping(affected.get("database_specific")).get("severity"))
    yield _text(_mapping(record.get("database_specific")).get("severity"))


def _first_word(texts: Iterable[str]) -> Severity | None:
    return next((severity for severity in map(word, texts) if severity is not None), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
