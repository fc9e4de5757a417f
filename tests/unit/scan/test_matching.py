"""Packages against advisories: what is found, by which name, how bad, and fixed where."""

import time
from dataclasses import replace

import pytest
from tests.osv_records import Record, RecordsIndex, record

from openecr.scan.advisories import Details, Severity
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.matching import is_concerned, match, match_all

ALMA = "AlmaLinux:8"
V3 = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}


def found(ecosystem: str, version: str, *records: Record, name: str = "n", module: str = "") -> dict[str, Finding]:
    findings = match(MatchKey(ecosystem, name, version, module), RecordsIndex(records))
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def test_records_of_one_vulnerability_are_one_finding() -> None:
    findings = found(
        "PyPI",
        "1.0",
        record("GHSA-1", "PyPI", "n", ("fixed", "2.0"), aliases=["CVE-2020-1111"], severity=[V3], summary="Broken"),
        record("PYSEC-1", "PyPI", "n", ("fixed", "2.0"), aliases=["CVE-2020-1111", "GHSA-1"]),
    )
    (finding,) = findings.values()
    assert finding.name == "CVE-2020-1111"
    assert finding.advisory == "PYSEC-1"
    assert finding.related == ("GHSA-1", "PYSEC-1")
    assert (finding.severity, finding.score, finding.fixed_version) == (Severity.CRITICAL, 9.8, "2.0")
    assert finding.details.id == "PYSEC-1"
    assert finding.details.summary == "Broken"
    assert finding.rating is not None
    assert finding.rating.source == "GITHUB"


def test_any_record_of_a_language_that_says_affected_counts_and_the_fix_is_of_one_that_does() -> None:
    findings = found(
        "PyPI",
        "1.5",
        record("GHSA-1", "PyPI", "n", ("fixed", "1.2"), aliases=["CVE-2020-1111"]),
        record("PYSEC-1", "PyPI", "n", ("fixed", "2.0"), aliases=["CVE-2020-1111"]),
        record("PYSEC-0", "PyPI", "n", ("last_affected", "1.9"), aliases=["CVE-2020-1111"]),
    )
    assert findings["CVE-2020-1111"].advisory == "PYSEC-1"
    assert findings["CVE-2020-1111"].fixed_version == "2.0"


def test_an_advisory_on_many_is_a_finding_for_each() -> None:
    dsa = record("DSA-1-1", "Debian:12", "n", ("fixed", "2"), upstream=["CVE-2020-1111", "CVE-2020-2222"])
    findings = found("Debian:12", "1", dsa)
    assert {name: finding.advisory for name, finding in findings.items()} == {
        "CVE-2020-1111": "DSA-1-1",
        "CVE-2020-2222": "DSA-1-1",
    }
    assert findings["CVE-2020-1111"].related == ("DSA-1-1",)
    assert found("Debian:12", "2", dsa) == {}


@pytest.mark.parametrize("record_id", ["ALSA-2020:1", "USN-1-1", "RLSA-2020:1"])
def test_related_cves_of_those_that_have_them_there(record_id: str) -> None:
    advisory = record(record_id, ALMA, "n", ("fixed", "2"), related=["CVE-2020-1111", "CVE-2020-2222"])
    assert set(found(ALMA, "1", advisory)) == {"CVE-2020-1111", "CVE-2020-2222"}


def test_the_record_of_the_cve_decides_over_the_advisory_on_many() -> None:
    dsa = record("DSA-1-1", "Debian:12", "n", ("fixed", "3"), upstream=["CVE-2020-1111", "CVE-2020-2222"])
    never = record("DEBIAN-CVE-2020-1111", "Debian:12", "n", ("introduced", "2"), upstream=["CVE-2020-1111"])
    findings = found("Debian:12", "1", dsa, never)
    assert set(findings) == {"CVE-2020-2222"}
    own = record("DEBIAN-CVE-2020-2222", "Debian:12", "n", ("fixed", "2.5"), upstream=["CVE-2020-2222"])
    (finding,) = found("Debian:12", "1", dsa, never, own).values()
    assert (finding.name, finding.advisory, finding.fixed_version) == (
        "CVE-2020-2222",
        "DEBIAN-CVE-2020-2222",
        "2.5",
    )


def test_an_advisory_that_names_no_cve_is_a_finding_by_its_own_id() -> None:
    assert set(found("Debian:12", "1", record("DSA-1-1", "Debian:12", "n", ("fixed", "2")))) == {"DSA-1-1"}


def test_updates_that_are_no_security_updates_are_none() -> None:
    assert found(ALMA, "1", record("ALBA-2020:1", ALMA, "n", ("fixed", "2"))) == {}


def test_withdrawn_records_are_none() -> None:
    withdrawn = record("GHSA-1", "npm", "n", ("fixed", "2"), withdrawn="2026-01-01T00:00:00Z")
    assert found("npm", "1.0.0", withdrawn) == {}


def urgent(urgency: str) -> Record:
    return record("DEBIAN-CVE-2020-1111", "Debian:12", "n", entry={"ecosystem_specific": {"urgency": urgency}})


def test_debians_urgencies() -> None:
    finding = found("Debian:12", "1", urgent("unimportant"))["CVE-2020-1111"]
    assert (finding.severity, finding.fixed_version) == (Severity.INFORMATIONAL, None)
    assert found("Debian:12", "1", urgent("not yet assigned"))["CVE-2020-1111"].severity == Severity.UNDEFINED
    assert found("Debian:12", "1", urgent("end-of-life")) == {}
    assert found("Debian:12", "1", urgent("not-affected")) == {}


def test_a_fixed_version_of_0_says_never_affected() -> None:
    assert found("Alpine:v3.19", "1.0-r0", record("ALPINE-CVE-2020-1111", "Alpine:v3.19", "n", ("fixed", "0"))) == {}


def test_an_unfixed_vulnerability_is_a_finding_without_a_fix() -> None:
    assert (
        found("Debian:12", "1", record("DEBIAN-CVE-2020-1111", "Debian:12", "n"))["CVE-2020-1111"].fixed_version is None
    )


def test_what_nothing_rates_is_rated_by_the_cve() -> None:
    nvd = record("CVE-2020-1111", "nowhere", "n", severity=[V3], details="What NVD says")
    alpine = record("ALPINE-CVE-2020-1111", "Alpine:v3.19", "n", ("fixed", "2-r0"), upstream=["CVE-2020-1111"])
    finding = found("Alpine:v3.19", "1-r0", alpine, nvd)["CVE-2020-1111"]
    assert (finding.severity, finding.score) == (Severity.CRITICAL, 9.8)
    assert (finding.details.id, finding.details.details) == ("ALPINE-CVE-2020-1111", "What NVD says")
    assert finding.rating is not None
    assert finding.rating.source == "NVD"
    assert found("Alpine:v3.19", "1-r0", alpine)["CVE-2020-1111"].severity == Severity.UNDEFINED


class ExploitedIndex(RecordsIndex):
    """Which knows of exploits of one CVE, and so of the records that speak of it."""

    def details(self, ids: tuple[str, ...]) -> dict[str, Details]:
        told = super().details(ids)
        told |= {name: Details(id=name) for name in ids if name not in told}
        exploited = {"CVE-2020-1111", "DSA-1-1"}
        return {name: replace(known, exploited=name in exploited, epss=0.5) for name, known in told.items()}


def test_exploits_are_said_of_the_cve_that_has_them() -> None:
    dsa = record("DSA-1-1", "Debian:12", "n", upstream=["CVE-2020-1111", "CVE-2020-2222"])
    findings = match(MatchKey("Debian:12", "n", "1"), ExploitedIndex([dsa]))
    assert [(finding.name, finding.details.exploited) for finding in findings] == [
        ("CVE-2020-1111", True),
        ("CVE-2020-2222", False),
    ]


def test_a_malicious_package_is_critical_and_called_so() -> None:
    finding = found("npm", "1.0.0", record("MAL-2026-1", "npm", "n"))["MAL-2026-1"]
    assert (finding.severity, finding.details.summary) == (Severity.CRITICAL, "malicious package")


def test_other_ecosystems_and_releases_are_not_asked() -> None:
    """A name is nobody's alone (anchore/grype 933: npm's "app", 921: a gem called "http")."""
    records = (
        record("GHSA-1", "Maven", "n"),
        record("DSA-1-1", "Debian:11", "n"),
        record("GHSA-2", "npm", "@scope/n"),
        record("GHSA-3", "npm", "N"),
    )
    for ecosystem in ("npm", "RubyGems", "PyPI", "Debian:12", "Ubuntu:22.04:LTS"):
        assert found(ecosystem, "1.0", *records) == {}
    assert set(found("Debian:11", "1.0", *records)) == {"DSA-1-1"}


def test_a_record_without_a_release_speaks_of_every_one() -> None:
    assert set(found("Rocky Linux:9", "1-1", record("RLSA-1", "Rocky Linux", "n", ("fixed", "2-1")))) == {"RLSA-1"}


def test_another_repository_of_maven_is_read_by_name() -> None:
    assert set(found("Maven", "1", record("GHSA-1", "Maven:https://repository.example/", "n"))) == {"GHSA-1"}


@pytest.mark.parametrize(
    ("version", "fixed", "advisory"),
    [
        ("7.58.0-2ubuntu3", None, "standard"),
        ("7.58.0-2ubuntu3.24+esm1", "7.58.0-2ubuntu3.24+esm2", "pro"),
    ],
)
def test_ubuntu_pro_decides_on_its_own_versions_alone(version: str, fixed: str | None, advisory: str) -> None:
    cve = record("UBUNTU-CVE-2020-1111", "Ubuntu:18.04:LTS", "n", upstream=["CVE-2020-1111"])
    pro = record("UBUNTU-CVE-2020-1111", "Ubuntu:Pro:18.04:LTS", "n", ("fixed", "7.58.0-2ubuntu3.24+esm2"))
    cve["affected"] += pro["affected"]
    only_pro = record("UBUNTU-CVE-2020-2222", "Ubuntu:Pro:18.04:LTS", "n", ("fixed", "7.58.0-2ubuntu3.24+esm9"))
    findings = found("Ubuntu:18.04:LTS", version, cve, only_pro)
    assert findings["CVE-2020-1111"].fixed_version == fixed, advisory
    assert findings["CVE-2020-2222"].fixed_version == "7.58.0-2ubuntu3.24+esm9"


MODULAR = record(
    "ALSA-2020:1", ALMA, "n", ("fixed", "1:18-2.module_el8"), summary="Important: nodejs:18 security update"
)
UNKNOWN_MODULE = record("ALSA-2020:2", ALMA, "n", ("fixed", "1:18-2.module_el8"), summary="Important: update")
PLAIN = record("ALSA-2020:3", ALMA, "n", ("fixed", "1:18-2.el8"))


@pytest.mark.parametrize(
    ("version", "module", "ids"),
    [
        ("1:18-1.module_el8", "nodejs:18", {"ALSA-2020:1", "ALSA-2020:2"}),
        ("1:18-1.module_el8", "nodejs:18:8030:aaaa", {"ALSA-2020:1", "ALSA-2020:2"}),
        ("1:16-1.module_el8", "nodejs:16", {"ALSA-2020:2"}),
        ("1:18-1.module_el8", "", {"ALSA-2020:1", "ALSA-2020:2"}),
        ("1:18-1.el8", "", {"ALSA-2020:3"}),
        ("1:18-3.el8", "", set()),
    ],
)
def test_modular_packages_and_plain_ones_do_not_meet(version: str, module: str, ids: set[str]) -> None:
    assert set(found(ALMA, version, MODULAR, UNKNOWN_MODULE, PLAIN, module=module)) == ids


def test_several_keys_of_a_package_are_one_list() -> None:
    index = RecordsIndex(
        [
            record("ALSA-2020:1", ALMA, "openssl-libs", related=["CVE-2020-1111"]),
            record("ALSA-2020:2", ALMA, "openssl", ("fixed", "2"), related=["CVE-2020-1111", "CVE-2020-2222"]),
        ]
    )
    findings = match_all((MatchKey(ALMA, "openssl-libs", "1"), MatchKey(ALMA, "openssl", "1")), index)
    assert [(finding.name, finding.advisory) for finding in findings] == [
        ("CVE-2020-1111", "ALSA-2020:2"),
        ("CVE-2020-2222", "ALSA-2020:2"),
    ]


@pytest.mark.parametrize(
    ("ecosystem", "row", "concerned"),
    [
        ("Ubuntu:18.04:LTS", "Ubuntu:18.04:LTS", True),
        ("Ubuntu:18.04:LTS", "Ubuntu:Pro:18.04:LTS", True),
        ("Ubuntu:18.04:LTS", "Ubuntu:20.04:LTS", False),
        ("Rocky Linux:9", "Rocky Linux", True),
        ("Red Hat:enterprise_linux:9", "Red Hat:enterprise_linux:9::baseos", True),
        ("Maven", "Maven:https://repository.example/", True),
        ("PyPI", "npm", False),
    ],
)
def test_a_row_that_changes_concerns_every_package_that_reads_it(ecosystem: str, row: str, concerned: bool) -> None:
    key = MatchKey(ecosystem, "n", "1")
    assert is_concerned(key, {(row, "n")}, frozenset({ecosystem, row})) is concerned
    assert bool(match(key, RecordsIndex([record("X-1", row, "n")]))) is concerned
    assert not is_concerned(key, {(row, "other")}, frozenset({ecosystem, row}))


def test_one_record_with_two_entries_for_a_package_is_one_finding() -> None:
    twice = record("GHSA-1", "npm", "n", ("introduced", "1.0.0"), ("fixed", "1.5.0"))
    twice["affected"] += record("GHSA-1", "npm", "n", ("introduced", "2.0.0"), ("fixed", "2.5.0"))["affected"]
    assert found("npm", "2.1.0", twice)["GHSA-1"].fixed_version == "2.5.0"
    assert found("npm", "1.7.0", twice) == {}


def test_an_image_of_400_packages_is_a_matter_of_milliseconds() -> None:
    """Bounded by some times what it takes, so that it fails of another order of growth, not of a busy machine."""
    records = [
        record(
            f"GHSA-{package}-{number}",
            "npm",
            f"n{package}",
            ("introduced", f"{number}.0.0"),
            ("fixed", f"{number}.5.0"),
            aliases=[f"CVE-2020-{package}{number:02}"],
        )
        for package in range(1000, 1200)
        for number in range(1, 6)
    ]
    index = RecordsIndex(records)
    keys = [MatchKey("npm", f"n{package}", "2.3.1") for package in range(1000, 1400)]
    taken = []
    for _ in range(5):
        began = time.thread_time()
        assert sum(len(match(key, index)) for key in keys) == 200
        taken.append(time.thread_time() - began)
    assert min(taken) < 0.2


def test_hostile_versions_and_records_are_only_slow_to_write() -> None:
    crowd = [
        record(f"GHSA-{number}", "npm", "n", ("fixed", f"{number}.0.0-{'a.' * 200}"), aliases=[f"GHSA-{number + 1}"])
        for number in range(1, 2000)
    ]
    began = time.thread_time()
    findings = found("npm", "0." * 100_000, *crowd)
    assert len(findings) == 1
    assert time.thread_time() - began < 10
