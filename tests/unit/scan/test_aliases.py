"""Records of one vulnerability are one; those of two are never."""

import random

import pytest

from openecr.scan.advisories import Advisory
from openecr.scan.aliases import vulnerabilities


def advisory(record_id: str, aliases: str = "", upstream: str = "") -> Advisory:
    return Advisory(record_id, "PyPI", "n", aliases=tuple(aliases.split()), upstream=tuple(upstream.split()))


@pytest.mark.parametrize(
    ("advisories", "named"),
    [
        ([], {}),
        ([advisory("GHSA-1")], {"GHSA-1": ("GHSA-1",)}),
        (
            [
                advisory("GHSA-1", "CVE-2020-1111"),
                advisory("PYSEC-1", "CVE-2020-1111 GHSA-1"),
                advisory("GO-1", "GHSA-1"),
            ],
            {"CVE-2020-1111": ("GHSA-1", "GO-1", "PYSEC-1")},
        ),
        # only one of them knows of the other
        ([advisory("GHSA-1"), advisory("PYSEC-1", "GHSA-1")], {"GHSA-1": ("GHSA-1", "PYSEC-1")}),
        # joined by an id that no record has
        ([advisory("A-1", "Z-9"), advisory("B-1", "Z-9 CVE-2020-1111")], {"CVE-2020-1111": ("A-1", "B-1")}),
        # a wrong chain: A-1 … C-1 would be one
        (
            [advisory("A-1", "CVE-2020-1111"), advisory("B-1", "A-1 C-1"), advisory("C-1", "CVE-2020-2222")],
            {"CVE-2020-1111": ("A-1", "B-1"), "CVE-2020-2222": ("C-1",)},
        ),
        # beyond such a chain, each end is of its own
        (
            [
                advisory("A-1", "CVE-2020-1111"),
                advisory("B-1", "A-1 C-1"),
                advisory("C-1", "CVE-2020-2222"),
                advisory("D-1", "C-1"),
            ],
            {"CVE-2020-1111": ("A-1", "B-1"), "CVE-2020-2222": ("C-1", "D-1")},
        ),
        # a record that takes the other's id for an alias, though both have a CVE
        (
            [advisory("A-1", "CVE-2020-1111 B-1"), advisory("B-1", "CVE-2020-2222")],
            {"CVE-2020-1111": ("A-1",), "CVE-2020-2222": ("B-1",)},
        ),
        # a record that names two speaks of both, and joins neither to the other
        (
            [advisory("R-1", "CVE-2020-1111 CVE-2020-2222 GHSA-1"), advisory("GHSA-1", "CVE-2020-1111")],
            {"CVE-2020-1111": ("GHSA-1", "R-1"), "CVE-2020-2222": ("R-1",)},
        ),
        # a distribution's
        ([advisory("DEBIAN-CVE-2020-1111", "", "CVE-2020-1111")], {"CVE-2020-1111": ("DEBIAN-CVE-2020-1111",)}),
        (
            [advisory("DSA-1-1", "", "CVE-2020-1111 CVE-2020-2222")],
            {"CVE-2020-1111": ("DSA-1-1",), "CVE-2020-2222": ("DSA-1-1",)},
        ),
        ([advisory("CGA-1", "", "GHSA-1")], {"CGA-1": ("CGA-1",)}),
        ([advisory("JLSEC-1", "", "CVE-2020-1111 EUVD-1")], {"CVE-2020-1111": ("JLSEC-1",)}),
        ([advisory("CVE-2020-1111"), advisory("A-1", "CVE-2020-1111")], {"CVE-2020-1111": ("A-1", "CVE-2020-1111")}),
    ],
)
def test_records_by_vulnerability(advisories: list[Advisory], named: dict[str, tuple[str, ...]]) -> None:
    assert vulnerabilities(advisories) == named
    assert vulnerabilities(advisories[::-1]) == named


def test_no_web_of_aliases_joins_two_cves() -> None:
    chance = random.Random(7)
    for _ in range(200):
        ids = [f"A-{number}" for number in range(12)]
        web = [advisory(one, " ".join(chance.sample(ids, 3))) for one in ids]
        web += [advisory(f"B-{number}", f"CVE-2020-{number}000 {chance.choice(ids)}") for number in range(1, 6)]
        named = vulnerabilities(web)
        for number in range(1, 6):
            assert [name for name, records in named.items() if f"B-{number}" in records] == [f"CVE-2020-{number}000"]
        assert {record for records in named.values() for record in records} == {one.id for one in web}
        assert vulnerabilities(chance.sample(web, len(web))) == named


def test_a_long_chain_is_joined_without_recursion() -> None:
    chain = [advisory(f"A-{number:05}", f"A-{number + 1:05}") for number in range(20_000)]
    assert len(vulnerabilities(chain)) == 1
