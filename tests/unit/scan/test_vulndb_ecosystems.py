"""What is fetched is what packages are looked up in."""

from openecr.scan.ecosystems import _RULES, distribution_ecosystem
from openecr.scan.names import family
from openecr.scan.packages import Distribution
from openecr.scan.vulndb.ecosystems import FOUND


def test_the_advisories_of_every_distribution_that_is_known_are_fetched() -> None:
    asked = (distribution_ecosystem(Distribution(name, "9.04", "x", "X 9.04 (LTS)")) for name in _RULES)
    assert {family(ecosystem) for ecosystem in asked if ecosystem} <= set(FOUND)


def test_an_export_is_named_without_a_release() -> None:
    assert [name for name in FOUND if family(name) != name] == []
    assert list(FOUND) == sorted(set(FOUND))
