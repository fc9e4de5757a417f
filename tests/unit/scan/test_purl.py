"""Package URLs of packages, and packages of URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from openecr.scan.packages import Distribution, Package
from openecr.scan.purl import covers, named, package_url, parsed

DEBIAN = Distribution("debian", "12", "bookworm")


@pytest.mark.parametrize(
    ("package", "url"),
    [
        (Package("PyPI", "Flask_Login", "0.6.3", "k"), "pkg:pypi/flask-login@0.6.3"),
        (Package("npm", "@babel/core", "7.0.0", "k"), "pkg:npm/%40babel/core@7.0.0"),
        (Package("npm", "lodash", "4.17.20", "k"), "pkg:npm/lodash@4.17.20"),
        (
            Package("Go", "github.com/Masterminds/semver/v3", "v3.2.0", "k"),
            "pkg:golang/github.com/Masterminds/semver/v3@v3.2.0",
        ),
        (Package("Go", "stdlib", "1.22.5", "k"), "pkg:golang/stdlib@1.22.5"),
        (
            Package("Maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "k"),
            "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
        ),
        (Package("Maven", "log4j-core", "2.14.1", "k"), "pkg:maven/log4j-core@2.14.1"),
        (Package("RubyGems", "rack", "2.0.1", "k"), "pkg:gem/rack@2.0.1"),
        (Package("crates.io", "time", "0.1.43", "k"), "pkg:cargo/time@0.1.43"),
        (Package("NuGet", "Newtonsoft.Json", "12.0.1", "k"), "pkg:nuget/Newtonsoft.Json@12.0.1"),
        (Package("Packagist", "Symfony/http-kernel", "v5.0.0", "k"), "pkg:composer/symfony/http-kernel@v5.0.0"),
        (Package("SwiftURL", "github.com/apple/swift-nio", "1.0.0", "k"), "pkg:swift/github.com/apple/swift-nio@1.0.0"),
        (Package("CocoaPods", "Firebase/Core", "8.10", "k"), "pkg:cocoapods/Firebase@8.10#Core"),
        (Package("ConanCenter", "zlib", "1.2.11", "k"), "pkg:conan/zlib@1.2.11"),
        (Package("Julia", "OpenSSL_jll", "1.1.20+0", "k"), "pkg:julia/OpenSSL_jll@1.1.20%2B0"),
        (Package("Elsewhere", "thing", "", "k"), "pkg:generic/thing"),
        (
            Package("dpkg", "libstdc++6", "12.2.0-14+b1", "dpkg", "", "amd64", "gcc-12", "12.2.0-14"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bb1?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
        ),
        (
            Package("dpkg", "bash", "5.2", "dpkg", "", "amd64", "bash", "5.2"),
            "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12",
        ),
    ],
)
def test_the_url_of_a_package(package: Package, url: str) -> None:
    assert str(package_url(package, DEBIAN)) == url


@pytest.mark.parametrize(
    ("package", "distribution", "url"),
    [
        (
            Package("rpm", "perl", "4:5.26.3-420.el8", "rpm", "", "x86_64", "perl", module="perl:5.26"),
            Distribution("rhel", "8.9"),
            "pkg:rpm/redhat/perl@5.26.3-420.el8?arch=x86_64&distro=rhel-8.9&epoch=4&rpmmod=perl:5.26",
        ),
        (
            Package("apk", "libcrypto3", "3.1.4-r1", "apk", "", "x86_64", "openssl"),
            Distribution("alpine", "3.19.1"),
            "pkg:apk/alpine/libcrypto3@3.1.4-r1?arch=x86_64&distro=alpine-3.19.1&upstream=openssl",
        ),
        (Package("apk", "ca", "1-r0", "apk"), Distribution("wolfi"), "pkg:apk/wolfi/ca@1-r0?distro=wolfi"),
        (Package("apk", "ca", "1-r0", "apk"), None, "pkg:apk/ca@1-r0"),
    ],
)
def test_a_distributions_package_has_the_qualifiers_that_matching_needs(
    package: Package, distribution: Distribution | None, url: str
) -> None:
    assert str(package_url(package, distribution)) == url


@pytest.mark.parametrize(
    "package",
    [
        Package("PyPI", "flask", "1.0", "k"),
        Package("npm", "@babel/core", "7.0.0", "k"),
        Package("Go", "github.com/Masterminds/semver/v3", "v3.2.0", "k"),
        Package("Maven", "a.b:c", "1", "k"),
        Package("CocoaPods", "Firebase/Core", "8.10", "k"),
        Package("SwiftURL", "github.com/apple/swift-nio", "1.0.0", "k"),
        Package("Bitnami", "nginx", "1.25.3-2", "k"),
    ],
)
def test_a_package_comes_back_from_its_url(package: Package) -> None:
    assert named(package_url(package)) == (package.ecosystem, package.name, package.version)


@pytest.mark.parametrize(
    "url", ["pkg:deb/debian/bash@5", "pkg:apk/wolfi/a@1", "pkg:oci/a@sha256:00", "pkg:generic/a@1", "pkg:pypi/a"]
)
def test_urls_of_distributions_and_of_nothing_known_name_no_package(url: str) -> None:
    parsed_url = parsed(url)
    assert parsed_url is not None
    assert named(parsed_url) is None


@pytest.mark.parametrize(
    "text",
    ["", "pkg:", "flask", "pkg:pypi", "pkg:pypi/", "pkg:pypi/a@1?" + "x" * 5000, "http://a/b", "pkg:pypi/\ud800@1?a"],
)
def test_what_is_no_url(text: str) -> None:
    url = parsed(text)
    assert url is None or url.type == "pypi"


@given(
    st.sampled_from(["PyPI", "npm", "Go", "Maven", "dpkg", "rpm", "apk", "CocoaPods", "x"]),
    st.text(min_size=1, max_size=20),
    st.text(max_size=20),
)
def test_every_name_has_a_url_that_reads_back(ecosystem: str, name: str, version: str) -> None:
    url = str(package_url(Package(ecosystem, name, version, "k", source_name=name, architecture=version), DEBIAN))
    assert PackageURL.from_string(url).name


@pytest.mark.parametrize("name", ["\udcff", "a\udcff/b", "/", "//", " ", "a/", "@a/"])
def test_names_that_no_url_can_carry_have_one_nevertheless(name: str) -> None:
    for ecosystem in ("npm", "Go", "dpkg", "PyPI"):
        str(package_url(Package(ecosystem, name, "1", "k"))).encode()


@pytest.mark.parametrize(
    ("pattern", "url", "covered"),
    [
        ("pkg:pypi/a@1", "pkg:pypi/a@1", True),
        ("pkg:pypi/a", "pkg:pypi/a@1", True),
        ("pkg:pypi/a@2", "pkg:pypi/a@1", False),
        ("pkg:pypi/b", "pkg:pypi/a@1", False),
        ("pkg:npm/a", "pkg:pypi/a@1", False),
        ("pkg:npm/%40x/a", "pkg:npm/a@1", False),
        ("pkg:deb/debian/a", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", True),
        ("pkg:deb/debian/a?distro=debian-12", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", True),
        ("pkg:deb/debian/a?distro=debian-11", "pkg:deb/debian/a@1?arch=amd64&distro=debian-12", False),
        ("pkg:deb/debian/a?arch=amd64", "pkg:deb/debian/a@1", False),
        ("pkg:cocoapods/a", "pkg:cocoapods/a@1#b", True),
        ("pkg:cocoapods/a#c", "pkg:cocoapods/a@1#b", False),
    ],
)
def test_what_a_url_does_not_say_it_says_of_all(pattern: str, url: str, covered: bool) -> None:
    assert covers(PackageURL.from_string(pattern), PackageURL.from_string(url)) is covered


@given(st.text(max_size=40) | st.text(alphabet="pkg:/@?#%=&a1\ud800", max_size=30).map("pkg:pypi/".__add__))
def test_any_text_is_a_url_with_a_name_or_none(text: str) -> None:
    url = parsed(text)
    assert url is None or url.name
