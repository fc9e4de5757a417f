"""What the index keeps of an OSV record, and which are refused."""

import json
from typing import Any

import pytest
from tests.vulnerability_records import record

from openecr.scan.advisories import Range, Severity
from openecr.scan.vulndb.osv import MOST_OPENERS, Record, RecordRefused, read


def kept(document: Any) -> Record:
    return read(json.dumps(document).encode())


def test_a_record_is_trimmed_to_what_is_asked_of_it() -> None:
    found = kept(
        record(
            "GHSA-1",
            "Flask_Thing",
            published="2025-12-31T00:00:00.123456789Z",
            aliases=["CVE-2026-0001", "GHSA-1"],
            summary="Too much trust",
            details="x" * 5000,
            references=[{"type": "WEB", "url": f"https://example.com/{number}"} for number in range(40)]
            + [{"type": "WEB", "url": "javascript:alert(1)"}, {"type": "WEB"}, 7],
            severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            database_specific={"severity": "MODERATE"},
        )
    )

    (advisory,) = found.advisories
    assert (advisory.id, advisory.ecosystem, advisory.package) == ("GHSA-1", "PyPI", "flask-thing")
    assert advisory.ranges == (Range("ECOSYSTEM", (("introduced", "0"), ("fixed", "2.0"))),)
    assert advisory.severity is Severity.CRITICAL
    assert found.aliases == advisory.aliases == ("CVE-2026-0001",)
    assert found.modified_us == 1_767_323_045_000_000
    details = found.details
    assert len(details.details) == 1000
    assert details.details.endswith("…")
    assert len(details.references) == 10
    assert details.source_url == "https://github.com/advisories/GHSA-1"
    assert details.vendor_severity == "MODERATE"
    assert details.published_us == 1_767_139_200_123_456
    assert [(rating.version, rating.score) for rating in details.ratings] == [("3.1", 9.8)]


def test_entries_of_one_package_are_joined_unless_their_severity_differs() -> None:
    def entry(release: str, fixed: str, urgency: str) -> dict[str, Any]:
        return {
            "package": {"ecosystem": release, "name": "openssl"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            "ecosystem_specific": {"urgency": urgency},
        }

    found = kept(
        record("DEBIAN-CVE-2026-1")
        | {
            "affected": [
                entry("Debian:12", "3", "low"),
                entry("Debian:12", "4", "low"),
                entry("Debian:12", "3", "low"),
                entry("Debian:11", "1", "high"),
                entry("Debian:10", "0", "end-of-life"),
            ]
        }
    )

    assert [(one.ecosystem, one.severity, len(one.ranges)) for one in found.advisories] == [
        ("Debian:12", Severity.LOW, 2),
        ("Debian:11", Severity.HIGH, 1),
    ]


def test_what_names_no_package_or_only_commits_is_told_of_but_finds_nothing() -> None:
    commits = {"type": "GIT", "repo": "https://example.com/a", "events": [{"introduced": "0"}]}
    found = kept(
        record("CVE-2026-0002", summary="NVD's words")
        | {"affected": [{"ranges": [commits]}, {"package": {"ecosystem": "PyPI", "name": "a"}, "ranges": [commits]}]}
    )

    assert found.advisories == ()
    assert found.details.summary == "NVD's words"
    assert found.details.source_url == "https://nvd.nist.gov/vuln/detail/CVE-2026-0002"


def test_a_withdrawn_record_finds_nothing() -> None:
    found = kept(record("GHSA-2", withdrawn="2026-02-01T00:00:00Z"))
    assert found.withdrawn
    assert found.advisories == ()


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "yesterday", "9" * 30, "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_no_reason_to_lose_a_record(instant: str) -> None:
    assert kept(record("GO-1", modified=instant)).modified_us == 0


_BASE = record("GHSA-3")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "not an object"),
        ("text", "not an object"),
        ({"modified": "2026-01-01T00:00:00Z"}, "no usable id"),
        (_BASE | {"id": "a\x00b"}, "no usable id"),
        (_BASE | {"id": "x" * 300}, "no usable id"),
        (_BASE | {"id": ""}, "no usable id"),
        ({"id": "GHSA-3"}, "when it was modified"),
        (_BASE | {"affected": {}}, "affected is no list"),
        (_BASE | {"affected": [7]}, "not of the schema's form"),
        (_BASE | {"affected": [{"ranges": 7}]}, "not of the schema's form"),
        (_BASE | {"affected": [{"versions": {}}]}, "not of the schema's form"),
        (_BASE | {"affected": [{"ranges": [7]}]}, "not of the schema's form"),
        (_BASE | {"affected": [{"ranges": [{"events": 7}]}]}, "not of the schema's form"),
        (_BASE | {"affected": [_BASE["affected"][0] | {"versions": [7]}]}, "a version is no text"),
        (_BASE | {"affected": [_BASE["affected"][0] | {"versions": ["1" * 501]}]}, "a version is no text"),
        (
            _BASE | {"affected": [_BASE["affected"][0] | {"package": {"ecosystem": "PyPI", "name": "a\nb"}}]},
            "no usable",
        ),
        (_BASE | {"affected": [_BASE["affected"][0] | {"package": {"ecosystem": 7, "name": "a"}}]}, "no usable"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(document: Any, why: str) -> None:
    with pytest.raises(RecordRefused, match=why):
        kept(document)


@pytest.mark.parametrize(
    "document",
    [
        _BASE | {"aliases": 7, "upstream": {}, "related": "x", "references": 7, "severity": 7, "database_specific": 7},
        _BASE | {"severity": [7, {"type": 7, "score": 7}], "summary": 7, "details": [], "published": 7},
        _BASE | {"affected": [_BASE["affected"][0] | {"ecosystem_specific": 7, "severity": 7}]},
        _BASE | {"affected": [{"package": 7, "ranges": [], "versions": []}]},
        _BASE | {"affected": None},
    ],
)
def test_strange_words_beside_the_point_cost_only_themselves(document: Any) -> None:
    assert kept(document).id == "GHSA-3"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"id": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" + b"{}," * MOST_OPENERS + b"{}]",
        b'{"id": "a", "n": ' + b"9" * 100_000 + b"}",
    ],
)
def test_hostile_json_is_refused(content: bytes) -> None:
    with pytest.raises(RecordRefused):
        read(content)
