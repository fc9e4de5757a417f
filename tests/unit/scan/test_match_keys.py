"""Distributions and packages → what is looked up."""

from dataclasses import replace

import pytest
from tests.osv_records import RecordsIndex, record

from openecr.scan.ecosystems import covers, distribution_ecosystem, has_advisories, read_for
from openecr.scan.findings import MatchKey
from openecr.scan.match_keys import match_key
from openecr.scan.packages import Distribution, InstalledPackage, Package

DEBIAN = Distribution("debian", "12", "bookworm")
ALPINE = Distribution("alpine", "3.19.1")
ALMA = Distribution("almalinux", "9.3")


@pytest.mark.parametrize(
    ("distribution", "ecosystem"),
    [
        (DEBIAN, "Debian:12"),
        (Distribution("debian", "12.5"), "Debian:12"),
        (Distribution("debian", "", "trixie"), "Debian:13"),
        (Distribution("debian", "", "trixie/sid"), "Debian:13"),
        (Distribution("debian", "", "sid"), None),
        (Distribution("ubuntu", "22.04", "jammy"), "Ubuntu:22.04:LTS"),
        (Distribution("ubuntu", "24.10"), "Ubuntu:24.10"),
        (Distribution("ubuntu", "23.04"), "Ubuntu:23.04"),
        (ALPINE, "Alpine:v3.19"),
        (Distribution("alpine", "3.21.0_alpha20240807"), "Alpine:edge"),
        (Distribution("alpine", ""), None),
        (ALMA, "AlmaLinux:9"),
        (Distribution("rocky", "9.3"), "Rocky Linux:9"),
        (Distribution("rhel", "9.4"), "Red Hat:enterprise_linux:9"),
        (Distribution("wolfi", "20230201"), "Wolfi"),
        (Distribution("chainguard", "20230214"), "Chainguard"),
        (Distribution("minimos", "x"), "MinimOS"),
        (Distribution("sles", "15.5"), "SUSE:Linux Enterprise Server 15 SP5"),
        (Distribution("sles", "15"), "SUSE:Linux Enterprise Server 15"),
        (Distribution("sles", "16.0"), "SUSE:Linux Enterprise Server 16.0"),
        (Distribution("sle-micro", "5.5"), "SUSE:Linux Enterprise Micro 5.5"),
        (Distribution("opensuse-leap", "15.6"), "openSUSE:Leap 15.6"),
        (Distribution("opensuse-tumbleweed", "20260101"), "openSUSE:Tumbleweed"),
        (Distribution("photon", "5.0"), "Photon OS:5.0"),
        (Distribution("azurelinux", "3.0"), "Azure Linux:3"),
        (Distribution("mariner", "2.0"), "Azure Linux:2"),
        (Distribution("openEuler", "24.03", "", "openEuler 24.03 (LTS-SP1)"), "openEuler:24.03-LTS-SP1"),
        (Distribution("openEuler", "24.09", "", "openEuler 24.09"), "openEuler:24.09"),
        (Distribution("mageia", "9"), "Mageia:9"),
        (Distribution("alpaquita", "stream"), "Alpaquita:stream"),
        (Distribution("bellsoft-hardened-containers", "23"), "BellSoft Hardened Containers:23"),
        (Distribution("amzn", "2023"), None),
        (Distribution("fedora", "42"), None),
        (Distribution("linuxmint", "21", "", "", ("ubuntu", "debian")), None),
        (Distribution("centos", "9", "", "", ("rhel", "fedora")), None),
        (Distribution("postmarketos", "3.19", "", "", ("alpine",)), None),
        (Distribution("debian", "²"), None),
        (Distribution(""), None),
        (None, None),
    ],
)
def test_the_ecosystem_of_a_distribution(distribution: Distribution | None, ecosystem: str | None) -> None:
    assert distribution_ecosystem(distribution) == ecosystem


@pytest.mark.parametrize(
    ("ecosystem", "asked", "covered"),
    [
        ("Debian:12", "Debian:12", True),
        ("Debian:11", "Debian:12", False),
        ("Debian:1", "Debian:12", False),
        ("Rocky Linux", "Rocky Linux:9", True),
        ("Ubuntu:Pro:18.04:LTS", "Ubuntu:18.04:LTS", True),
        ("Ubuntu:Pro:FIPS:18.04:LTS", "Ubuntu:18.04:LTS", False),
        ("Ubuntu:18.04:LTS", "Ubuntu:Pro:18.04:LTS", False),
        ("Red Hat:enterprise_linux:9::appstream", "Red Hat:enterprise_linux:9", True),
        ("Red Hat:enterprise_linux:10.1", "Red Hat:enterprise_linux:10", True),
        ("Red Hat:enterprise_linux:10.1", "Red Hat:enterprise_linux:1", False),
        ("Red Hat:openstack:10::el7", "Red Hat:enterprise_linux:10", False),
        ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "SUSE:Linux Enterprise Server 15 SP5", True),
        ("SUSE:Linux Enterprise Server 15 SP5-LTSS", "SUSE:Linux Enterprise Server 15 SP5", True),
        ("SUSE:Linux Enterprise Server 15 SP4-LTSS", "SUSE:Linux Enterprise Server 15 SP5", False),
        ("SUSE:Linux Enterprise Micro 5.5", "SUSE:Linux Enterprise Server 15 SP5", False),
        ("Maven:https://repository.example/", "Maven", True),
        ("PyPI", "npm", False),
        ("Debian:12", "Debian:12:x", False),
    ],
)
def test_records_of_one_ecosystem_that_speak_of_another(ecosystem: str, asked: str, covered: bool) -> None:
    assert covers(ecosystem, asked) is covered


def test_the_own_ecosystem_is_read_before_the_others() -> None:
    known = frozenset({"Ubuntu:18.04:LTS", "Ubuntu:Pro:18.04:LTS", "Ubuntu", "Ubuntu:20.04:LTS"})
    assert read_for("Ubuntu:18.04:LTS", known) == ("Ubuntu:18.04:LTS", "Ubuntu", "Ubuntu:Pro:18.04:LTS")


def test_a_release_of_which_nothing_is_known_is_told() -> None:
    index = RecordsIndex([record("DSA-1-1", "Debian:12", "n"), record("RLSA-1", "Rocky Linux", "n")])
    assert has_advisories(DEBIAN, index)
    assert has_advisories(Distribution("rocky", "9"), index)
    assert not has_advisories(Distribution("debian", "13"), index)
    assert not has_advisories(Distribution("amzn", "2023"), index)
    assert not has_advisories(None, index)


def keys(package: Package, distribution: Distribution | None = DEBIAN, *, owned: bool = False) -> list[MatchKey]:
    return list(match_key(InstalledPackage(package, "a/path", 0, owned), distribution))


def rpm(name: str, version: str, **more: str) -> Package:
    return Package("rpm", name, version, "rpm", **more)  # type: ignore[arg-type]


OPENSSL = Package("dpkg", "openssl", "3.0.8-1", "dpkg", source_name="openssl")


def test_debian_is_asked_by_source() -> None:
    package = Package("dpkg", "libgcc-s1", "12.2.0-14+b1", "dpkg", source_name="gcc-12", source_version="12.2.0-14")
    assert keys(package) == [MatchKey("Debian:12", "gcc-12", "12.2.0-14")]
    assert keys(Package("dpkg", "bash", "5.2.15-2+b7", "dpkg")) == [MatchKey("Debian:12", "bash", "5.2.15-2")]


def test_alpine_is_asked_by_origin_and_wolfi_by_both() -> None:
    package = Package("apk", "libcrypto3", "3.1.4-r1", "apk", source_name="openssl")
    assert keys(package, ALPINE) == [MatchKey("Alpine:v3.19", "openssl", "3.1.4-r1")]
    assert keys(package, Distribution("wolfi")) == [
        MatchKey("Wolfi", "libcrypto3", "3.1.4-r1"),
        MatchKey("Wolfi", "openssl", "3.1.4-r1"),
    ]


def test_rebuilds_of_red_hat_are_asked_by_binary_and_source_with_the_binarys_epoch() -> None:
    package = rpm("openssl-libs", "1:3.0.7-27.el9", source_name="openssl", source_version="3.0.7-27.el9")
    assert keys(package, ALMA) == [
        MatchKey("AlmaLinux:9", "openssl-libs", "1:3.0.7-27.el9"),
        MatchKey("AlmaLinux:9", "openssl", "1:3.0.7-27.el9"),
    ]
    same = rpm("openssl", "1:3.0.7-27.el9", source_name="openssl", source_version="3.0.7-27.el9")
    assert keys(same, ALMA) == [MatchKey("AlmaLinux:9", "openssl", "1:3.0.7-27.el9")]


def test_photon_is_asked_by_binary_and_azure_by_source() -> None:
    package = rpm("curl-libs", "8.1.2-1", source_name="curl", source_version="8.1.2-1")
    assert keys(package, Distribution("photon", "5.0")) == [MatchKey("Photon OS:5.0", "curl-libs", "8.1.2-1")]
    assert keys(package, Distribution("azurelinux", "3.0")) == [MatchKey("Azure Linux:3", "curl", "8.1.2-1")]


def test_a_modules_stream_is_part_of_the_key() -> None:
    (key,) = keys(rpm("nodejs", "1:18.19.0-1.module_el8", module="nodejs:18"), Distribution("almalinux", "8.9"))
    assert key.module == "nodejs:18"


def test_rpms_of_third_parties_are_not_the_distributions_to_judge() -> None:
    assert keys(rpm("php", "8.3.0-1.el9.remi", vendor="Remi's RPM repository"), ALMA) == []
    assert keys(rpm("php", "8.3.0-1.el9", vendor="AlmaLinux"), ALMA)


def test_a_package_database_of_another_kind_says_nothing_of_the_distribution() -> None:
    assert keys(rpm("bash", "5.2-1"), DEBIAN) == []
    assert keys(Package("dpkg", "bash", "5.2-1", "dpkg"), None) == []
    assert keys(Package("dpkg", "bash", "5.2-1", "dpkg"), Distribution("linuxmint", "21", id_like=("ubuntu",))) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [("linux-libc-dev", "linux"), ("linux-libc-dev-arm64-cross", "linux"), ("kernel-headers", "kernel")],
)
def test_kernel_headers_are_not_the_kernel(name: str, source: str) -> None:
    assert keys(Package("dpkg", name, "6.1.90-1", "dpkg", source_name=source)) == []
    assert keys(Package("dpkg", "libc6-dev", "2.36-9", "dpkg", source_name="glibc"))


@pytest.mark.parametrize(
    ("package", "key"),
    [
        (Package("PyPI", "Flask_Cors", "4.0.0", "python-installed"), MatchKey("PyPI", "flask-cors", "4.0.0")),
        (Package("Go", "stdlib", "1.22.5", "go-binary"), MatchKey("Go", "stdlib", "1.22.5")),
        (Package("RubyGems", "nokogiri", "1.15.0-x86_64-linux-gnu", "gem"), MatchKey("RubyGems", "nokogiri", "1.15.0")),
        (Package("RubyGems", "rack", "2.0.0-rc1", "gem"), MatchKey("RubyGems", "rack", "2.0.0-rc1")),
        (Package("Bitnami", "redis", "7.2.4-3", "bitnami"), MatchKey("Bitnami", "redis", "7.2.4")),
        (Package("Maven", "g:A", "1.0", "jar"), MatchKey("Maven", "g:A", "1.0")),
    ],
)
def test_languages_are_asked_by_normalised_names(package: Package, key: MatchKey) -> None:
    assert keys(package) == [key]
    assert keys(package, None) == [key]


@pytest.mark.parametrize(
    "package",
    [
        Package("Go", "example.com/main", "(devel)", "go-binary"),
        Package("PyPI", "flask", "", "python-installed"),
        Package("conda", "numpy", "1.0", "conda"),
        Package("Debian", "bash", "1.0", "made-up"),
    ],
)
def test_what_no_ecosystem_speaks_of_has_no_key(package: Package) -> None:
    assert keys(package) == []


def test_what_the_distribution_put_there_is_its_own_to_judge() -> None:
    package = Package("PyPI", "urllib3", "1.26.12", "python-installed")
    assert keys(package, DEBIAN, owned=True) == []
    assert keys(package, DEBIAN, owned=False)


@pytest.mark.parametrize(
    "distribution",
    [None, Distribution("amzn", "2023"), Distribution("debian", "", "sid"), Distribution("photon", "5.0")],
)
def test_but_not_where_the_distribution_says_little_or_nothing(distribution: Distribution | None) -> None:
    assert keys(Package("PyPI", "urllib3", "1.26.12", "python-installed"), distribution, owned=True)


@pytest.mark.parametrize(
    "package",
    [
        replace(OPENSSL, name="a\0b"),
        replace(OPENSSL, version="1\0"),
        replace(OPENSSL, module="\0"),
        replace(OPENSSL, source_name="a\0b"),
        replace(OPENSSL, source_version="\0001"),
    ],
)
def test_a_null_character_is_in_nobodys_name(package: Package) -> None:
    assert keys(OPENSSL)
    assert keys(package) == []
