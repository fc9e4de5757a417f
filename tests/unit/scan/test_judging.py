"""Reports of ``openecr scan``: what is counted, and what a report costs."""

from openecr.scan.advisories import Details, Severity
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.packages import ImageInventory, InstalledPackage, Package
from openecr.scan.vex import Statement, Status
from openecr.scan_targets.judging import JudgedFinding, Place, Report
from openecr.scan_targets.target import Target
from openecr.services.ecr.scanning.gate_rules import Limits, refusals

INSTALLED = InstalledPackage(Package("PyPI", "vessel", "1.0", "python-installed"), "METADATA", 0)
TARGET = Target("app", ImageInventory((INSTALLED,) * 1000), layers=("sha256:aa",))
HARMLESS = Statement(frozenset({"CVE-1"}), (), Status.NOT_AFFECTED)


def judged(name: str, severity: Severity, suppressed_by: Statement | None = None) -> JudgedFinding:
    finding = Finding(name, severity, None, None, name, (), Details(name))
    return JudgedFinding(MatchKey("PyPI", "vessel", "1.0"), finding, (Place(TARGET, INSTALLED),), suppressed_by)


def test_counts_leave_out_what_is_suppressed() -> None:
    report = Report(
        (TARGET,),
        (
            judged("CVE-1", Severity.CRITICAL, HARMLESS),
            judged("CVE-2", Severity.HIGH),
            judged("CVE-3", Severity.HIGH),
            judged("CVE-4", Severity.LOW),
        ),
        0,
    )

    assert report.counts == {"HIGH": 2, "LOW": 1}
    assert refusals(report.scanned, Limits({"CRITICAL": 0, "HIGH": 2})) == []
    assert refusals(report.scanned, Limits({"HIGH": 1})) == ["2 HIGH findings, at most 1 are allowed"]


def test_a_failure_passes_no_gate() -> None:
    report = Report((TARGET,), (), 0, failure="why")

    assert refusals(report.scanned, Limits({}, accepts_gaps=True)) == ["its scan is FAILED: why"]


def test_gaps_pass_only_where_they_are_accepted() -> None:
    report = Report((TARGET,), (), 0, gaps=("a", "b"))

    assert refusals(report.scanned, Limits({})) == ["a", "b"]
    assert refusals(report.scanned, Limits({}, accepts_gaps=True)) == []


def test_a_report_has_no_text_that_grows_with_it() -> None:
    """asyncio.run makes a text of its result: of each place's whole target it was gigabytes."""
    report = Report((TARGET,), tuple(judged(f"CVE-{number}", Severity.LOW) for number in range(1000)), 0)

    assert len(repr(report)) < 200


def test_where_a_place_is() -> None:
    inner = InstalledPackage(Package("Maven", "a:b", "1", "jar", inner_path="lib/b.jar"), "app.war", 0)

    assert (Place(TARGET, inner).path, Place(TARGET, inner).layer) == ("app.war!/lib/b.jar", "sha256:aa")
    assert Place(Target("folder", ImageInventory()), inner).layer == ""
