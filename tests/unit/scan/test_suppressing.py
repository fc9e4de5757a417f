"""Who may suppress a finding: rules before what is attached, and every place of a package."""

import pytest

from openecr.names import RegistryName
from openecr.scan.packages import Distribution, InstalledPackage, Package
from openecr.scan.purl import parsed
from openecr.scan.vex import Product, Statement, Statements, Status, VexImage
from openecr.services.ecr.scanning.suppressing import Judge, justification_of, names_of
from openecr.settings import Settings

DEBIAN = Distribution("debian", "12")
NAMES = {"CVE-2026-1", "GHSA-x"}


def installed(name: str) -> InstalledPackage:
    return InstalledPackage(Package("dpkg", name, "1.0", "dpkg", source_name="source"), "var/lib/dpkg/status", 0)


def says(status: Status, *names: str, at_us: int = 0, justification: str = "", detail: str = "") -> Statement:
    urls = tuple(url for name in names if (url := parsed(f"pkg:deb/debian/{name}")) is not None)
    return Statement(
        frozenset({"CVE-2026-1"}), (Product(urls=urls),), status, justification, detail, stated_us=at_us, source="s"
    )


def judge(ruled: list[Statement], attached: list[Statement]) -> Judge:
    return Judge(Statements(ruled), Statements(attached), VexImage(frozenset()), DEBIAN)


NOT, AFFECTED, TRIAGE = Status.NOT_AFFECTED, Status.AFFECTED, Status.UNDER_INVESTIGATION


@pytest.mark.parametrize(
    ("ruled", "attached", "suppressed"),
    [
        ([], [], False),
        ([says(NOT, "a", "b")], [], True),
        ([], [says(NOT, "a", "b")], True),
        ([says(NOT, "a")], [], False),
        ([says(NOT, "a")], [says(NOT, "b")], True),
        ([says(AFFECTED, "a", at_us=1)], [says(NOT, "a", "b", at_us=9)], False),
        ([says(TRIAGE, "b", at_us=1)], [says(NOT, "a", "b", at_us=9)], False),
        ([says(NOT, "a", "b", at_us=1)], [says(AFFECTED, "a", at_us=9)], True),
        ([says(NOT, "a", "b", at_us=1), says(AFFECTED, "b", at_us=2)], [], False),
        ([says(NOT, "source")], [], False),
    ],
)
def test_every_place_must_be_said_to_be_safe(
    ruled: list[Statement], attached: list[Statement], suppressed: bool
) -> None:
    found = judge(ruled, attached).suppresses(NAMES, [installed("a"), installed("b")])

    assert (found is not None) == suppressed


def test_a_package_that_is_nowhere_is_not_suppressed() -> None:
    assert judge([says(NOT, "a")], []).suppresses(NAMES, []) is None


@pytest.mark.parametrize(
    ("justification", "detail", "line"),
    [
        ("component_not_present", "", "not_affected: component_not_present"),
        ("component_not_present", "not built: ever", "not_affected: component_not_present: not built: ever"),
        ("", "we never call it", "not_affected: we never call it"),
        ("", "a line\nand\tanother", "not_affected: a line and another"),
    ],
)
def test_a_statement_in_one_line(justification: str, detail: str, line: str) -> None:
    made = justification_of(says(NOT, "a", justification=justification, detail=detail))

    assert made == line


def test_what_a_repository_may_be_called() -> None:
    registry = RegistryName("123456789012", "eu-west-1")

    found = names_of(Settings(domain="example.com", url="https://registry.example.com/"), registry, "team/app")

    assert found == {
        "team/app",
        "123456789012.eu-west-1/team/app",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app",
        "123456789012.dkr.ecr.eu-west-1.example.com/team/app",
        "localhost:5050/team/app",
        "registry.example.com/team/app",
    }
