"""Packages and advisories → findings: one for each vulnerability, all records that speak of it joined.

``match_key`` says what to look up, ``match`` gives the verdict. A verdict depends on its key and on the index alone.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from openecr.scan.advisories import Advisory, AdvisoryIndex, Details, Rating, Severity
from openecr.scan.aliases import vulnerabilities
from openecr.scan.ecosystems import covers, distribution_ecosystem, has_advisories, read_for
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.match_keys import match_key
from openecr.scan.names import family
from openecr.scan.ranges import Verdict, verdict
from openecr.scan.record_ids import cve_of, is_cve, is_malicious
from openecr.scan.records import MODULAR_RELEASE
from openecr.scan.severity import DISTRIBUTIONS, severity_of

__all__ = ["covers", "distribution_ecosystem", "has_advisories", "is_concerned", "match", "match_all", "match_key"]

_MALICIOUS = "malicious package"


@dataclass(frozen=True, slots=True)
class _Affected:
    advisory: Advisory
    verdict: Verdict
    ids: tuple[str, ...]
    """Of the same vulnerability: its own, its aliases, and what is upstream and no CVE. The CVEs that an advisory on
    many lists beside each other are other vulnerabilities."""


def match(key: MatchKey, index: AdvisoryIndex) -> tuple[Finding, ...]:
    """The vulnerabilities of a package, by name.

    Reads the rows of its name in every ecosystem that ``covers`` the key's, and details of what matched.
    """
    rows = _rows(key, index)
    affected = [
        _Affected(advisory, found, _ids(advisory))
        for advisory in rows
        if _is_of_module(advisory, key) and (found := verdict(advisory, key.version))
    ]
    if not affected:
        return ()
    groups = _groups(key, rows, affected)
    told_of = {one.advisory.id for _, group in groups for one in group}
    details = index.details(tuple(sorted(told_of.union(name for name, _ in groups))))
    return tuple(_finding(name, group, details) for name, group in groups)


def match_all(keys: Iterable[MatchKey], index: AdvisoryIndex) -> tuple[Finding, ...]:
    """The vulnerabilities of a package that has several keys: of those found by more than one, one with a fix."""
    found: dict[str, Finding] = {}
    for key in keys:
        for finding in match(key, index):
            known = found.get(finding.name)
            if known is None or (known.fixed_version is None and finding.fixed_version is not None):
                found[finding.name] = finding
    return tuple(found[name] for name in sorted(found))


def is_concerned(key: MatchKey, changed: Container[tuple[str, str]], ecosystems: frozenset[str]) -> bool:
    """Whether a verdict may be another once these rows, (ecosystem, name), are: any that ``match`` reads for the key.

    Args:
        ecosystems: those of the data before and after: a row may be new, or gone.
    """
    return any((ecosystem, key.name) in changed for ecosystem in read_for(key.ecosystem, ecosystems))


def _rows(key: MatchKey, index: AdvisoryIndex) -> list[Advisory]:
    """Each record once: of its own ecosystem before others', of Ubuntu's Pro where the package is of it."""
    ecosystems = read_for(key.ecosystem, index.ecosystems)
    if "esm" in key.version:
        ecosystems = tuple(sorted(ecosystems, key=lambda ecosystem: ":Pro:" not in ecosystem))
    if len(ecosystems) == 1:
        return list(index.advisories(ecosystems[0], key.name))
    rows: dict[str, list[Advisory]] = {}
    for ecosystem in ecosystems:
        found: dict[str, list[Advisory]] = defaultdict(list)
        for advisory in index.advisories(ecosystem, key.name):
            if advisory.id not in rows:
                found[advisory.id].append(advisory)
        rows |= found
    return [advisory for same in rows.values() for advisory in same]


def _is_of_module(advisory: Advisory, key: MatchKey) -> bool:
    """Modular packages and plain ones never meet, nor do streams of a module, where both are known."""
    if family(key.ecosystem) not in {"AlmaLinux", "Rocky Linux", "Red Hat"}:
        return True
    modular = bool(advisory.modules) or any(
        MODULAR_RELEASE in version for span in advisory.ranges for _, version in span.events
    )
    if modular != (bool(key.module) or MODULAR_RELEASE in key.version):
        return False
    stream = ":".join(key.module.split(":")[:2])
    return not stream or not advisory.modules or stream in advisory.modules


def _groups(
    key: MatchKey, rows: Sequence[Advisory], affected: Sequence[_Affected]
) -> list[tuple[str, tuple[_Affected, ...]]]:
    """Vulnerabilities and the records that say so, by name; the record that decides comes first.

    Of a distribution, its record of a CVE (``DEBIAN-CVE-…``) decides on that CVE, whatever an advisory on many (DSA,
    USN) says: it knows the CVEs that the release never had.
    """
    decided: frozenset[str] = frozenset()
    if family(key.ecosystem) in DISTRIBUTIONS:
        decided = frozenset(cve for cve in (cve_of(advisory.id) for advisory in rows) if cve)
    by_id: dict[str, list[_Affected]] = defaultdict(list)
    for one in affected:
        by_id[one.advisory.id].append(one)
    named: dict[str, list[_Affected]] = defaultdict(list)
    for name, ids in vulnerabilities([one.advisory for one in affected]).items():
        for record_id in ids:
            if name not in decided or cve_of(record_id) == name:
                named[name] += by_id[record_id]
    return [(name, tuple(sorted(group, key=_rank))) for name, group in sorted(named.items())]


def _ids(advisory: Advisory) -> tuple[str, ...]:
    return advisory.id, *advisory.aliases, *(known for known in advisory.upstream if not is_cve(known))


def _rank(one: _Affected) -> tuple[bool, bool, bool, str]:
    """Those that know a fix, those of the one CVE, those of the ecosystem's own database before GitHub's."""
    record_id = one.advisory.id
    return one.verdict.fixed_version is None, cve_of(record_id) is None, record_id.startswith("GHSA-"), record_id


def _finding(name: str, group: tuple[_Affected, ...], details: dict[str, Details]) -> Finding:
    decider = group[0]
    related = {known for one in group for known in one.ids}
    told = [details[known] for known in dict.fromkeys((*(one.advisory.id for one in group), name)) if known in details]
    rating = next((known.ratings[0] for known in told if known.ratings), None)
    related.discard(name)
    return Finding(
        name=name,
        severity=_severity(group, rating),
        score=rating.score if rating else None,
        fixed_version=decider.verdict.fixed_version,
        advisory=decider.advisory.id,
        related=tuple(sorted(related)),
        details=_joined(decider.advisory.id, told, details.get(name)),
        rating=rating,
    )


def _severity(group: Iterable[_Affected], rating: Rating | None) -> Severity:
    """The first record's that rates, else by the score of the CVE that they speak of."""
    records = [one.advisory for one in group]
    if any(is_malicious(record.id) for record in records):
        return Severity.CRITICAL
    rated = next((record.severity for record in records if record.severity != Severity.UNDEFINED), None)
    if rated is not None:
        return rated
    return severity_of(rating) if rating else Severity.UNDEFINED


def _joined(decider_id: str, told: Sequence[Details], own: Details | None) -> Details:
    """What the deciding record says; where it is silent, the next ones' words, and the CVE's last.

    That it is exploited is said of the CVE, where something is told of it: an advisory on many speaks of them all.
    """
    first = told[0] if told and told[0].id == decider_id else Details(id=decider_id)
    summary, details, ratings, references = first.summary, first.details, first.ratings, first.references
    for other in told:
        summary = summary or other.summary
        details = details or other.details
        references = references or other.references
        if other is not first and other.ratings:
            ratings = tuple(dict.fromkeys((*ratings, *other.ratings)))
    return replace(
        first,
        summary=summary or (_MALICIOUS if is_malicious(decider_id) else ""),
        details=details,
        references=references,
        ratings=ratings,
        published_us=next((known.published_us for known in (first, *told) if known.published_us is not None), None),
        exploited=own.exploited if own else any(known.exploited for known in told),
        epss=own.epss if own else next((known.epss for known in told if known.epss is not None), None),
    )
