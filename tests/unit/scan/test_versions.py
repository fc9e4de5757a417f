"""Order of versions: the ecosystems' own tests, and what hostile ones cost."""

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.shared_data import shared

from openecr.scan.names import family
from openecr.scan.versions import ORDERS, SEMVER, Order, compare, key

SIGNS = {"<": -1, "=": 0, ">": 1}
TABLES = (
    "apk-tools",
    "composer",
    "conan",
    "elixir",
    "go-mod",
    "maven",
    "node-semver",
    "node-semver-loose",
    "nuget",
    "packaging",
    "rpm",
    "rubygems",
    "scalibr",
)

LEFT_OUT = {
    # PHP takes "#" for any number, and 1.2.3 < 1.2.3.1 is another row: were 1.2.3.# as good as both, so would these be
    # as one another. The row that says 1.2.3.# = 1.2.3 holds. No version that Composer accepts has a "#".
    ("Packagist", "1.2.3.#", "=", "1.2.3.1"),
}
"""Every row of every table holds but these. Maven's rows all do, by OSV's order."""


def rows(path: Path) -> list[tuple[str, str, str, str]]:
    lines = path.read_bytes().decode().split("\n")
    return [tuple(line.split("\t")) for line in lines[1:] if line]  # type: ignore[misc]


@pytest.mark.parametrize("table", TABLES)
def test_the_ecosystems_own_tables_hold_in_both_directions(table: str) -> None:
    wrong = []
    read = rows(shared("fixtures/versions") / f"{table}.tsv")
    for ecosystem, a, sign, b in read:
        if (ecosystem, a, sign, b) in LEFT_OUT:
            continue
        if (compare(ecosystem, a, b), compare(ecosystem, b, a)) != (SIGNS[sign], -SIGNS[sign]):
            wrong.append((ecosystem, a, sign, b))
    assert read
    assert not wrong


def test_no_table_is_forgotten() -> None:
    assert {path.stem for path in shared("fixtures/versions").glob("*.tsv")} == set(TABLES)


@pytest.mark.parametrize(
    ("ecosystem", "ascending"),
    [
        ("Debian:12", "1.0~~ 1.0~rc1 1.0 1.0a 1.0+b 2.9 2.10 1:0"),
        ("Debian:12", "1.2-1~deb12u1 1.2-1 1.2-1+b1 1.2-1.1"),
        ("Ubuntu:22.04:LTS", "1.2.11-1ubuntu1 1.2.11-2ubuntu9 1.2.11-2ubuntu9.2 1:1.0"),
        ("AlmaLinux:9", "1.0~rc1 1.0 1.0^git1~pre 1.0^git1 1.0.1 1.0.1-1.el9 1.0.1-1.el9_5 1:0.1"),
        ("Alpine:v3.19", "1.0_alpha 1.0_beta2 1.0_rc1 1.0 1.0-r1 1.0-r10 1.0_git1 1.0_p1 1.0a 1.0.0 1.06 1.6"),
        ("Alpine:v3.19", "1.6_rc1-r0 1.6-r0"),
        ("Wolfi", "9.9p1 9.9p2-r1"),
        ("npm", "1.0.0-0 1.0.0-1 1.0.0--1 1.0.0-A 1.0.0-a 1.0.0-a.1 1.0.0-a.beta 1.0.0-beta.2 1.0.0-beta.11 1.0 1.0.1"),
        ("Go", "v0.0.0-20190101000000-aaaaaaaaaaaa v0.17.0 v1.2.3 v1.2.4-0.20200101000000-bbbbbbbbbbbb v1.2.4"),
        ("Go", "go1.9 go1.10 1.20-0 1.20rc1 1.20 1.20.1"),
        ("PyPI", "2004d 1.0.dev1 1.0a1.dev1 1.0a1 1.0rc1 1.0 1.0+local 1.0.post1 2024.1 1!0.1"),
        ("Maven", "1-alpha-2 1-alpha-10 1-SNAPSHOT 1 1-sp 1-abc 1-1 1.1"),
        ("Maven", "1.0-RC3 1.0.RC2 1.0 1.0.1"),
        ("Maven", "1-rc 1 1.x 1-x 1-1 1.0.0.x 1.0.1"),
        ("RubyGems", "0.beta.1 0 1.0.a 1.0.a.2 1.0.b1 1.0 1.9 1.10"),
        ("NuGet", "1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-RC 1.0 1.0.0.1"),
        ("Packagist", "dev-main 0.1 1.0-dev 1.0-alpha1 1.0RC1 1.0 1.0.0 1.0.0.1"),
        ("Pub", "1.2.3-pre 1.2.3-pre+1 1.2.3 1.2.3+1 1.2.3+9 1.2.3+10"),
        ("CRAN", "0.9 0.75 1.0 1.0.0 1.2-9 1.2-10"),
        ("Hackage", "0 0.1.26.0 0.11 1.0 1.0.0 1.9 1.10"),
        ("ConanCenter", "1.1-alpha.3 1.1-alpha.22 1.1-rc1 1.1 1.1+b2 1.1.3 1.1a 1.3 1.22 cci.20200101"),
    ],
)
def test_versions_ascend(ecosystem: str, ascending: str) -> None:
    versions = ascending.split()
    for position, version in enumerate(versions):
        for later in versions[position + 1 :]:
            assert (compare(ecosystem, version, later), compare(ecosystem, later, version)) == (-1, 1)


@pytest.mark.parametrize(
    ("ecosystem", "same"),
    [
        ("Debian:12", "0.0.0 0.0.0-0 0:0.0.0-00"),
        ("Red Hat", "0:1.0-1 1.0-1 1_0-1"),
        ("npm", "1.0.0 1.0 v1.0.0 =1.0.0 1.0.0+build"),
        ("Go", "v2.0.0 v2.0.0+incompatible 2.0.0"),
        ("PyPI", "1.0 1.0.0 v1"),
        ("Maven", "1 1.0 1-ga 1.0.0-final 1.0.0.RELEASE"),
        ("RubyGems", "1 1.0 1.0.0"),
        ("NuGet", "1.0 1.0.0.0 1.0.0+a 1.0.00"),
        ("Packagist", "1.0a1 1.0alpha1 v1.0-alpha.1"),
        ("CRAN", "1.0-1 1.0.1 1.0.01"),
        ("ConanCenter", "1 1.0 1.0.0"),
    ],
)
def test_spellings_of_one_version_are_equal(ecosystem: str, same: str) -> None:
    assert len({key(ecosystem, version) for version in same.split()}) == 1


def test_semver_ranges_are_read_by_semver_whatever_the_ecosystem() -> None:
    assert compare("Packagist", "1.0", "1.0.0") == -1
    assert key("Packagist", "1.0", SEMVER) == key("Packagist", "1.0.0", SEMVER)
    assert key("Go", "go1.20rc1", SEMVER) < key("Go", "1.20.0", SEMVER)


def test_an_ecosystem_without_an_order_is_read_as_semver() -> None:
    assert compare("Tomorrow's", "1.9", "1.10") == -1


WORDS = (
    "0 1 2 10 01 00 9999999999999999999999 a b m p x rc cr pl sp ga final release alpha beta snapshot dev post pre v "
    "go _rc _p -r cci . - + ~ ^ _ ! : , .. # ² ٣ é"
)
PIECES = st.lists(st.sampled_from((*WORDS.split(" "), "", " ", "\n", "\x00", "\ud800")), max_size=7).map("".join)
FAMILIES = sorted({order: ecosystem for ecosystem, order in ORDERS.items()}.values())


@pytest.mark.parametrize("ecosystem", FAMILIES)
@settings(max_examples=150, deadline=None)
@given(a=PIECES, b=PIECES, c=PIECES)
@example(a="1.0.rc1", b="1", c="1-1")
@example(a="1-rc", b="1", c="1.x")
@example(a="1.a", b="1.a.0.b", c="1.a.0")
def test_any_three_texts_are_in_one_order(ecosystem: str, a: str, b: str, c: str) -> None:
    assert compare(ecosystem, a, a) == 0
    for first, second in ((a, b), (b, c), (a, c)):
        assert compare(ecosystem, first, second) == -compare(ecosystem, second, first)
    least, middle, most = sorted((a, b, c), key=lambda version: key(ecosystem, version))
    assert compare(ecosystem, least, middle) <= 0
    assert compare(ecosystem, middle, most) <= 0
    assert compare(ecosystem, least, most) <= 0
    if compare(ecosystem, a, b) == 0:
        assert compare(ecosystem, a, c) == compare(ecosystem, b, c)


@pytest.mark.parametrize("ecosystem", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(a=st.text(max_size=40), b=st.text(max_size=40))
def test_no_text_is_refused(ecosystem: str, a: str, b: str) -> None:
    assert compare(ecosystem, a, b) == -compare(ecosystem, b, a)


HOSTILE = (
    "9" * 50_000,
    "1." * 25_000,
    "0." * 25_000 + "x",
    "a1" * 25_000,
    "-" * 50_000,
    "~" * 50_000,
    "1" + "_rc" * 20_000,
    "." * 50_000,
    "1" + "!1" * 25_000,
    " " * 50_000 + "x",
    "1.0a1.post1.dev1+" + "a." * 25_000,
    "1-" + "ga." * 20_000,
)


@pytest.mark.parametrize("order", [ORDERS[ecosystem] for ecosystem in FAMILIES], ids=FAMILIES)
@pytest.mark.parametrize("version", HOSTILE, ids=lambda version: f"{version[:8]!r}…")
def test_an_order_takes_no_longer_than_its_text_is_long(order: Order, version: str) -> None:
    """Of a text 50 times as long as is ever read, in a time that anything but linear would not do."""
    began = time.thread_time()
    made = order(version)
    assert not made < made
    assert time.thread_time() - began < 2


def test_what_is_read_of_a_version_is_bounded() -> None:
    assert key("npm", "1" * 5000) == key("npm", "1" * 1024)


def test_every_ecosystem_is_named_without_a_release() -> None:
    assert all(family(ecosystem) == ecosystem for ecosystem in ORDERS)
