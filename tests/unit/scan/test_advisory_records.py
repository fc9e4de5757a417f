"""Names, ids and the words of OSV records that the import and the matching agree on."""

import struct
from typing import Any

import pytest

from openecr.scan.catalogers.rpm_header import facts
from openecr.scan.names import family, normalise
from openecr.scan.record_ids import cve_of, is_cve, is_malicious, source
from openecr.scan.records import concerns, modules, upstream
from openecr.scan.vendors import is_third_party


@pytest.mark.parametrize(
    ("ecosystem", "written", "name"),
    [
        ("PyPI", "Zope._-Interface", "zope-interface"),
        ("PyPI", "Flask", "flask"),
        ("npm", "JSONStream", "JSONStream"),
        ("npm", "@Scope/name", "@Scope/name"),
        ("NuGet", "Newtonsoft.Json", "newtonsoft.json"),
        ("Packagist", "Symfony/Http-Kernel", "symfony/http-kernel"),
        ("Packagist:https://packages.example", "A/B", "a/b"),
        ("Maven", "org.Example:Thing", "org.Example:Thing"),
        ("Go", "github.com/BurntSushi/toml", "github.com/BurntSushi/toml"),
        ("crates.io", "serde_json", "serde_json"),
        ("SwiftURL", "https://github.com/Apple/swift-nio.git", "github.com/apple/swift-nio"),
        ("SwiftURL", "git@github.com:apple/swift-nio.git", "github.com/apple/swift-nio"),
        ("SwiftURL", "ssh://git@git.example:2222/o/r/", "git.example/o/r"),
        ("SwiftURL", "github.com/apple/swift-nio", "github.com/apple/swift-nio"),
        ("ConanCenter", "zlib/1.2.11@user/channel#revision", "zlib"),
        ("Debian:12", "openssl", "openssl"),
        ("RubyGems", " rack ", "rack"),
    ],
)
def test_names_are_compared_as_their_ecosystem_does(ecosystem: str, written: str, name: str) -> None:
    assert normalise(ecosystem, written) == name
    assert normalise(ecosystem, name) == name


def test_a_family_is_an_ecosystem_without_its_release() -> None:
    assert [family("Debian:12"), family("Ubuntu:Pro:18.04:LTS"), family("PyPI")] == ["Debian", "Ubuntu", "PyPI"]


@pytest.mark.parametrize(
    ("record_id", "cve"),
    [
        ("CVE-2024-3094", "CVE-2024-3094"),
        ("DEBIAN-CVE-2024-3094", "CVE-2024-3094"),
        ("UBUNTU-CVE-2024-123456", "CVE-2024-123456"),
        ("ALPINE-CVE-2024-3094", "CVE-2024-3094"),
        ("BELL-CVE-2024-3094", "CVE-2024-3094"),
        ("RUBYSEC-rack-CVE-2022-30122", None),
        ("BIT-redis-2022-24736", None),
        ("DSA-5343-1", None),
        ("CVE-2024-30", None),
        ("CVE-2024-²²²²", None),
        ("CVE-2024-3094\n", None),
    ],
)
def test_the_cve_in_an_id(record_id: str, cve: str | None) -> None:
    assert cve_of(record_id) == cve
    assert is_cve(record_id) == (cve == record_id)


@pytest.mark.parametrize(
    ("record_id", "name"),
    [
        ("GHSA-jfh8-c2jp-5v3q", "GITHUB"),
        ("CVE-2024-3094", "NVD"),
        ("DSA-5343-1", "DEBIAN_CVE"),
        ("DSA-CONTRIB-2020-001", "DRUPAL"),
        ("USN-1-1", "UBUNTU_CVE"),
        ("RHSA-2024:1", "REDHAT_CVE"),
        ("NEW-1", "NEW"),
        ("", "UNKNOWN"),
    ],
)
def test_sources_are_named_as_inspector_does_where_it_names_them(record_id: str, name: str) -> None:
    assert source(record_id) == name


def test_malicious_packages_are_known_by_their_ids() -> None:
    assert is_malicious("MAL-2026-1")
    assert not is_malicious("GHSA-MAL-1")


def entry(ecosystem: str = "PyPI", fixed: str = "1", **members: Any) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    return {
        "package": {"ecosystem": ecosystem, "name": "n"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        **members,
    }


@pytest.mark.parametrize(
    ("record", "affected", "may_be"),
    [
        ({"id": "X-1"}, entry(), True),
        ({"id": "X-1"}, {**entry(), "ranges": [], "versions": ["1"]}, True),
        ({"id": "X-1", "withdrawn": "2026-01-01T00:00:00Z"}, entry(), False),
        ({"id": "X-1"}, {**entry(), "ranges": [{"type": "GIT", "events": []}]}, False),
        ({"id": "X-1"}, {**entry(), "ranges": []}, False),
        ({"id": "X-1"}, {**entry(), "package": {}}, False),
        ({"id": "X-1"}, {**entry(), "package": None}, False),
        ({"id": "DEBIAN-CVE-2020-1111"}, entry("Debian:12", ecosystem_specific={"urgency": "end-of-life"}), False),
        ({"id": "DEBIAN-CVE-2020-1111"}, entry("Debian:12", ecosystem_specific={"urgency": "not-affected"}), False),
        ({"id": "DEBIAN-CVE-2020-1111"}, entry("Debian:12", ecosystem_specific={"urgency": "unimportant"}), True),
        ({"id": "ALBA-2020:1"}, entry("AlmaLinux:8"), False),
        ({"id": "ALBA-2020:1", "related": ["CVE-2020-1111"]}, entry("AlmaLinux:8"), True),
        ({"id": "ALSA-2020:1"}, entry("AlmaLinux:8"), True),
        ({"id": "X-1"}, {**entry(), "ranges": 7, "ecosystem_specific": {"urgency": []}}, False),
    ],
)
def test_what_can_be_no_finding_is_left_out(record: dict[str, Any], affected: dict[str, Any], may_be: bool) -> None:
    assert concerns(record, affected) is may_be


@pytest.mark.parametrize(
    ("record", "vulnerabilities"),
    [
        ({"id": "DSA-1-1", "upstream": ["CVE-2020-1111", "CVE-2020-2222"]}, ("CVE-2020-1111", "CVE-2020-2222")),
        ({"id": "USN-1-1", "related": ["CVE-2020-1111", "USN-2-1"]}, ("CVE-2020-1111",)),
        ({"id": "ALSA-2020:1", "upstream": ["CVE-2020-1111"], "related": ["CVE-2020-1111"]}, ("CVE-2020-1111",)),
        ({"id": "GHSA-1", "related": ["CVE-2020-1111"]}, ()),
        ({"id": "X", "upstream": ["X", 7, None]}, ()),
        ({"id": "X", "upstream": "CVE-2020-1111"}, ()),
    ],
)
def test_the_vulnerabilities_of_a_distributions_record(
    record: dict[str, Any], vulnerabilities: tuple[str, ...]
) -> None:
    assert upstream(record) == vulnerabilities


@pytest.mark.parametrize(
    ("ecosystem", "fixed", "summary", "purl", "found"),
    [
        ("AlmaLinux:8", "1:18-1.module_el8.9.0+1", "Important: nodejs:18 security update", "", ("nodejs:18",)),
        ("Rocky Linux:8", "1-1.module+el8", "virt:rhel and virt-devel:rhel fix", "", ("virt:rhel", "virt-devel:rhel")),
        ("AlmaLinux:8", "1-1.module_el8", "container-tools bug fix update", "", ()),
        ("AlmaLinux:9", "1-1.el9", "Important: pam:1.5.1 security update", "", ()),
        ("Red Hat:enterprise_linux:8::appstream", "1-1.el8", "", "pkg:rpm/n?rpmmod=ruby%3A3.3%3A8", ("ruby:3.3",)),
        ("npm", "1.module_el8", "n:1", "", ()),
    ],
)
def test_modules_of_a_record(ecosystem: str, fixed: str, summary: str, purl: str, found: tuple[str, ...]) -> None:
    affected = entry(ecosystem, fixed)
    affected["package"]["purl"] = purl
    assert modules({"id": "X", "summary": summary}, affected) == found


@pytest.mark.parametrize(
    ("vendor", "distribution", "third_party"),
    [
        ("Red Hat, Inc.", "rhel", False),
        ("Fedora Project", "rhel", True),
        ("Remi's RPM repository <https://rpms.example/>", "almalinux", True),
        ("AlmaLinux", "almalinux", False),
        ("Rocky Enterprise Software Foundation", "rocky", False),
        ("SUSE LLC <https://www.suse.com/>", "opensuse-leap", False),
        ("", "rocky", False),
        ("Anybody", "unheard-of", False),
    ],
)
def test_whose_an_rpm_is(vendor: str, distribution: str, third_party: bool) -> None:
    assert is_third_party(vendor, distribution) is third_party


def header(vendor: str, path: str) -> bytes:
    """Of an rpm of one file, as a database holds it."""
    folder, _, base = path.rpartition("/")
    strings = {1000: "n", 1001: "1", 1002: "1", 1011: vendor, 1117: base, 1118: f"{folder}/"}
    data, index = b"\0\0\0\0", struct.pack(">IIiI", 1116, 4, 0, 1)
    for tag, text in strings.items():
        index += struct.pack(">IIiI", tag, 8 if tag > 1100 else 6, len(data), 1)
        data += text.encode() + b"\0"
    return struct.pack(">II", len(strings) + 1, len(data)) + index + data


def test_files_of_third_parties_rpms_are_owned_by_nobody_who_would_judge_them() -> None:
    vendors = ("Red Hat, Inc.", "Fedora Project", "Remi's RPM repository", "")
    read = facts(iter(header(vendor, f"/usr/lib/{number}") for number, vendor in enumerate(vendors)))
    assert [package.vendor for package in read.packages] == list(vendors)
    assert read.owned_paths == ("usr/lib/0", "usr/lib/3")
