"""Advisories that everybody knows, from real records: found below the fixed version, gone from it on."""

from typing import NamedTuple

import pytest
from tests.osv_records import RecordsIndex, of_zip
from tests.shared_data import shared

from openecr.scan.advisories import Severity
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.matching import match
from openecr.scan.names import family, normalise


class Known(NamedTuple):
    vulnerability: str
    ecosystem: str
    package: str
    below: str
    fixed: str
    above: str
    records: tuple[str, ...]
    severity: Severity | None = None


KNOWN = (
    Known(
        "CVE-2021-44228",
        "Maven",
        "org.apache.logging.log4j:log4j-core",
        "2.14.1",
        "2.15.0",
        "2.17.1",
        ("GHSA-jfh8-c2jp-5v3q",),
        Severity.CRITICAL,
    ),
    Known("CVE-2021-23337", "npm", "lodash", "4.17.20", "4.17.21", "5.0.0", ("GHSA-35jh-r3h4-6jhm",), Severity.HIGH),
    Known(
        "CVE-2022-42889",
        "Maven",
        "org.apache.commons:commons-text",
        "1.9",
        "1.10.0",
        "1.12.0",
        ("GHSA-599f-7c49-w659",),
        Severity.CRITICAL,
    ),
    Known(
        "CVE-2022-22965",
        "Maven",
        "org.springframework:spring-beans",
        "5.3.17",
        "5.3.18",
        "6.0.0",
        ("GHSA-36p3-wjmg-h94x",),
        Severity.CRITICAL,
    ),
    Known("CVE-2023-30861", "PyPI", "flask", "2.2.4", "2.2.5", "2.2.99", ("PYSEC-2023-62",)),
    Known("CVE-2023-30861", "PyPI", "Flask", "2.3.1", "2.3.2", "3.0.0", ("PYSEC-2023-62",)),
    Known("CVE-2020-14343", "PyPI", "PyYAML", "5.3.1", "5.4", "6.0", ("PYSEC-2021-142",)),
    Known(
        "CVE-2023-4863",
        "PyPI",
        "Pillow",
        "10.0.0",
        "10.0.1",
        "10.1.0",
        ("GHSA-j7hp-h8jx-5ppr", "PYSEC-2023-175", "PYSEC-2026-1794"),
        Severity.HIGH,
    ),
    Known(
        "CVE-2022-37434",
        "Debian:11",
        "zlib",
        "1:1.2.11.dfsg-2+deb11u1",
        "1:1.2.11.dfsg-2+deb11u2",
        "1:1.2.13.dfsg-1",
        ("DEBIAN-CVE-2022-37434", "DSA-5218-1"),
    ),
    Known(
        "CVE-2023-0286",
        "Debian:11",
        "openssl",
        "1.1.1n-0+deb11u3",
        "1.1.1n-0+deb11u4",
        "1.1.1w-0+deb11u1",
        ("DEBIAN-CVE-2023-0286", "DSA-5343-1"),
    ),
    Known("CVE-2023-0286", "Debian:12", "openssl", "3.0.7-2", "3.0.8-1", "3.0.11-1~deb12u2", ("DEBIAN-CVE-2023-0286",)),
    Known(
        "CVE-2023-4911",
        "Debian:12",
        "glibc",
        "2.36-9+deb12u2",
        "2.36-9+deb12u3",
        "2.36-9+deb12u10",
        ("DEBIAN-CVE-2023-4911",),
    ),
    Known("CVE-2024-3094", "Alpine:v3.20", "xz", "5.6.1-r1", "5.6.1-r2", "5.6.2-r0", ("ALPINE-CVE-2024-3094",)),
    Known("CVE-2022-37434", "Alpine:v3.17", "zlib", "1.2.12-r1", "1.2.12-r2", "1.2.13-r0", ("ALPINE-CVE-2022-37434",)),
    Known("CVE-2023-0286", "Alpine:v3.17", "openssl", "3.0.7-r2", "3.0.8-r0", "3.0.8-r10", ("ALPINE-CVE-2023-0286",)),
    Known(
        "CVE-2014-6271",
        "Ubuntu:14.04:LTS",
        "bash",
        "4.3-7ubuntu1",
        "4.3-7ubuntu1.1",
        "4.3-7ubuntu1.7",
        ("UBUNTU-CVE-2014-6271",),
        Severity.HIGH,
    ),
    Known(
        "CVE-2022-0778",
        "Ubuntu:20.04:LTS",
        "openssl",
        "1.1.1f-1ubuntu2.11",
        "1.1.1f-1ubuntu2.12",
        "1.1.1f-1ubuntu2.20",
        ("UBUNTU-CVE-2022-0778",),
        Severity.HIGH,
    ),
    Known(
        "CVE-2022-37434",
        "Ubuntu:22.04:LTS",
        "zlib",
        "1:1.2.11.dfsg-2ubuntu9.1",
        "1:1.2.11.dfsg-2ubuntu9.2",
        "1:1.2.11.dfsg-2ubuntu9.10",
        ("UBUNTU-CVE-2022-37434",),
        Severity.MEDIUM,
    ),
    Known(
        "CVE-2023-4911",
        "Ubuntu:22.04:LTS",
        "glibc",
        "2.35-0ubuntu3.3",
        "2.35-0ubuntu3.4",
        "2.35-0ubuntu3.10",
        ("UBUNTU-CVE-2023-4911",),
        Severity.HIGH,
    ),
    Known("CVE-2023-39325", "Go", "golang.org/x/net", "v0.16.0", "0.17.0", "v0.17.1", ("GO-2023-2102",)),
    Known("RUSTSEC-2020-0071", "crates.io", "time", "0.2.22", "0.2.23", "0.3.0", ("RUSTSEC-2020-0071",)),
    Known(
        "CVE-2022-30122",
        "RubyGems",
        "rack",
        "2.2.3",
        "2.2.3.1",
        "3.0.0",
        ("RUBYSEC-rack-CVE-2022-30122",),
    ),
    Known(
        "CVE-2022-24894",
        "Packagist",
        "symfony/http-kernel",
        "v4.4.49",
        "4.4.50",
        "v4.4.51",
        ("FOP-symfony-http-kernel-CVE-2022-24894",),
    ),
    Known(
        "GHSA-5crp-9r3c-p9vr",
        "NuGet",
        "Newtonsoft.Json",
        "12.0.3",
        "13.0.1",
        "13.0.3",
        ("GHSA-5crp-9r3c-p9vr",),
        Severity.LOW,
    ),
    Known(
        "CVE-2022-0778",
        "AlmaLinux:8",
        "openssl-libs",
        "1:1.1.1k-5.el8_5",
        "1:1.1.1k-6.el8_5",
        "1:1.1.1k-9.el8_7",
        ("ALSA-2022:1065",),
        Severity.HIGH,
    ),
)


def findings(known: Known, version: str) -> dict[str, Finding]:
    path = shared("vulndb") / family(known.ecosystem) / "all.zip"
    index = RecordsIndex(of_zip(path, known.records))
    key = MatchKey(known.ecosystem, normalise(known.ecosystem, known.package), version)
    return {finding.name: finding for finding in match(key, index)}


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.vulnerability}-{known.ecosystem}-{known.fixed}")
def test_a_known_vulnerability_is_found_below_its_fix_and_nowhere_else(known: Known) -> None:
    found = findings(known, known.below)
    finding = next(one for name, one in found.items() if known.vulnerability in (name, one.advisory, *one.related))
    assert finding.advisory in known.records
    assert finding.fixed_version == known.fixed
    if known.severity is not None:
        assert finding.severity == known.severity
    if known.vulnerability.startswith("CVE-"):
        assert finding.name == known.vulnerability
    for version in (known.fixed, known.above):
        assert known.vulnerability not in findings(known, version)
