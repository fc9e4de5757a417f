"""Words and vectors → ECR's words, in the order that counts."""

from typing import Any

import pytest

from openecr.scan.advisories import Severity
from openecr.scan.severity import DISTRIBUTIONS, rate, score_of, severity_of, word
from openecr.scan.versions import ORDERS

CRITICAL_3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
HIGH_3 = "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
MEDIUM_4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N"
HIGH_2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C"
NONE_3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"


def rated(record: dict[str, Any], ecosystem: str = "PyPI", **entry: Any) -> Severity:
    return rate({"id": "X-1", **record}, {"package": {"ecosystem": ecosystem, "name": "n"}, **entry})[0]


def cvss(*vectors: str) -> list[dict[str, str]]:
    return [{"type": "CVSS_V3", "score": vector} for vector in vectors]


@pytest.mark.parametrize(
    ("vector", "scored"),
    [
        (CRITICAL_3, ("3.1", 9.8)),
        (HIGH_3, ("3.0", 7.5)),
        (MEDIUM_4, ("4.0", 6.9)),
        (HIGH_2, ("2.0", 10.0)),
        (f"({HIGH_2})", ("2.0", 10.0)),
        (CRITICAL_3 + "/", ("3.1", 9.8)),
        (NONE_3, ("3.1", 0.0)),
        ("9.8", None),
        ("", None),
        ("CVSS:3.1/", None),
        ("CVSS:5.0/AV:N", None),
        (CRITICAL_3.removeprefix("CVSS:3.1/"), None),
        ("CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", None),
        (CRITICAL_3 + "/" * 600, None),
        ("²", None),
    ],
)
def test_a_vector_has_a_version_and_a_score_or_is_none(vector: str, scored: tuple[str, float] | None) -> None:
    assert score_of(vector) == scored


@pytest.mark.parametrize(
    ("vector", "severity"),
    [
        (CRITICAL_3, Severity.CRITICAL),
        (HIGH_3, Severity.HIGH),
        (MEDIUM_4, Severity.MEDIUM),
        (HIGH_2, Severity.HIGH),
        (NONE_3, Severity.INFORMATIONAL),
    ],
)
def test_scores_are_read_by_their_versions_own_scale(vector: str, severity: Severity) -> None:
    ratings = rate({"id": "X-1", "severity": cvss(vector)}, {})[1]
    assert severity_of(ratings[0]) == severity


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("negligible", Severity.INFORMATIONAL),
        ("unimportant", Severity.INFORMATIONAL),
        ("LOW", Severity.LOW),
        ("Moderate", Severity.MEDIUM),
        (" Important ", Severity.HIGH),
        ("critical", Severity.CRITICAL),
        ("not yet assigned", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_words(text: str, severity: Severity | None) -> None:
    assert word(text) == severity


def test_the_distributions_own_word_goes_before_its_vectors() -> None:
    vectors = cvss(CRITICAL_3)
    assert rated({"severity": vectors}, "Debian:12", ecosystem_specific={"urgency": "low"}) == Severity.LOW
    assert rated({"severity": vectors}, "Debian:12", ecosystem_specific={"urgency": "low**"}) == Severity.LOW
    unimportant = {"urgency": "unimportant"}
    assert rated({"severity": vectors}, "Debian:12", ecosystem_specific=unimportant) == Severity.INFORMATIONAL
    ubuntu = [*vectors, {"type": "Ubuntu", "score": "negligible"}]
    assert rated({"severity": ubuntu}, "Ubuntu:22.04:LTS") == Severity.INFORMATIONAL
    assert rated({"severity": vectors, "summary": "Moderate: bash update"}, "AlmaLinux:9") == Severity.MEDIUM
    assert rated({"severity": vectors, "database_specific": {"severity": "LOW"}}, "Azure Linux:3") == Severity.LOW


def test_an_urgency_that_says_nothing_leaves_it_to_the_vectors() -> None:
    urgency = {"urgency": "not yet assigned"}
    assert rated({"severity": cvss(HIGH_3)}, "Debian:12", ecosystem_specific=urgency) == Severity.HIGH
    assert rated({}, "Debian:12", ecosystem_specific=urgency) == Severity.UNDEFINED


def test_a_language_is_rated_by_vectors_before_words_and_the_newest_version_of_vectors_first() -> None:
    words = {"database_specific": {"severity": "LOW"}}
    assert rated({"severity": cvss(HIGH_2, CRITICAL_3), **words}) == Severity.CRITICAL
    assert rated({"severity": cvss(CRITICAL_3, MEDIUM_4), **words}) == Severity.MEDIUM
    assert rated({"severity": cvss("CVSS:3.1/AV:N", "7.5"), **words}) == Severity.LOW
    assert rated({**words, "summary": "Critical: this is no distribution's summary"}) == Severity.LOW
    assert rated({}) == Severity.UNDEFINED


def test_ratings_are_the_entrys_own_where_it_has_some_the_newest_first() -> None:
    record = {"id": "GHSA-1", "severity": cvss(CRITICAL_3)}
    ratings = rate(record, {"severity": [*cvss(HIGH_2, HIGH_3), {"type": "CVSS_V4", "score": MEDIUM_4}]})[1]
    assert [(rating.version, rating.score, rating.source) for rating in ratings] == [
        ("4.0", 6.9, "GITHUB"),
        ("3.0", 7.5, "GITHUB"),
        ("2.0", 10.0, "GITHUB"),
    ]
    assert [rating.vector for rating in rate(record, {})[1]] == [CRITICAL_3]


def test_who_scored_is_told_where_the_record_says_so() -> None:
    vector = [{"type": "CVSS_V3", "score": CRITICAL_3, "source": "NVD"}]
    assert rate({"id": "JLSEC-1", "severity": vector}, {})[1][0].source == "NVD"


def test_malicious_packages_are_critical_whatever_is_said() -> None:
    assert rated({"id": "MAL-2026-1", "severity": cvss(NONE_3)}, "npm") == Severity.CRITICAL


@pytest.mark.parametrize("nonsense", [None, 7, "text", [7], {"a": 1}, [{"type": 7, "score": []}], [None]])
def test_what_is_malformed_is_passed_over(nonsense: Any) -> None:
    members = ("severity", "ecosystem_specific", "database_specific", "summary", "id")
    for ecosystem in ("Debian:12", "AlmaLinux:9", "npm"):
        record = dict.fromkeys(members, nonsense)
        entry = {**dict.fromkeys(members, nonsense), "package": {"ecosystem": ecosystem}}
        assert rate(record, entry) == (Severity.UNDEFINED, ())
    assert rate({}, {"package": nonsense}) == (Severity.UNDEFINED, ())


def test_every_distribution_has_an_order_of_versions() -> None:
    assert set(ORDERS) >= DISTRIBUTIONS
