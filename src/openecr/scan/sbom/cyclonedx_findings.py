"""An image's findings as CycloneDX has vulnerabilities. Source: the CycloneDX 1.6 reference, ``vulnerabilities``."""

from collections.abc import Sequence
from typing import Any

from openecr.scan.advisories import Severity
from openecr.scan.findings import Finding
from openecr.scan.packages import Distribution
from openecr.scan.purl import package_url
from openecr.scan.sbom.contents import ReportedFinding, instant
from openecr.scan.vex import Status, Suppression

_SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "high",
    Severity.MEDIUM: "medium",
    Severity.LOW: "low",
    Severity.INFORMATIONAL: "info",
    Severity.UNDEFINED: "unknown",
}
_METHODS = {"2.0": "CVSSv2", "3.0": "CVSSv3", "3.1": "CVSSv31", "4.0": "CVSSv4"}
_JUSTIFICATIONS = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}
"""OpenVEX's reasons in CycloneDX's words."""
_OWN_JUSTIFICATIONS = frozenset(
    {
        "code_not_present",
        "code_not_reachable",
        "requires_configuration",
        "requires_dependency",
        "requires_environment",
        "protected_by_compiler",
        "protected_at_runtime",
        "protected_at_perimeter",
        "protected_by_mitigating_control",
    }
)


def vulnerabilities(findings: Sequence[ReportedFinding], distribution: Distribution | None) -> list[dict[str, Any]]:
    """Each vulnerability once, with every package that it affects; once more for those that it does not harm."""
    groups: dict[tuple[str, Suppression | None], list[ReportedFinding]] = {}
    for each in findings:
        groups.setdefault((each.finding.name, each.suppression), []).append(each)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], group[0][1] is not None, str(group[0][1])))
    return [_vulnerability(number, group, distribution) for number, (_, group) in enumerate(ordered)]


def _vulnerability(number: int, group: Sequence[ReportedFinding], distribution: Distribution | None) -> dict[str, Any]:
    worst = min(
        group, key=lambda each: (each.finding.severity, -(each.finding.score or 0.0), each.package.name)
    ).finding
    details = worst.details
    made: dict[str, Any] = {"bom-ref": f"vulnerability-{number}", "id": worst.name}
    if details.source:
        made["source"] = {"name": details.source} | ({"url": details.source_url} if details.source_url else {})
    related = sorted({name for each in group for name in each.finding.related})
    if related:
        made["references"] = [{"id": name, "source": {"name": name.partition("-")[0]}} for name in related]
    made["ratings"] = _ratings(worst)
    if details.summary or details.details:
        made["description"] = details.summary or details.details
    if fixes := _fixes(group):
        made["recommendation"] = fixes
    if details.references:
        made["advisories"] = [{"url": url} for url in dict.fromkeys(details.references)]
    if details.published_us is not None:
        made["published"] = instant(details.published_us)
    if details.modified_us is not None:
        made["updated"] = instant(details.modified_us)
    if (suppression := group[0].suppression) is not None:
        made["analysis"] = _analysis(suppression)
    affected = {str(package_url(each.package, distribution)): each.package.version for each in group}
    status = "affected" if suppression is None else "unaffected"
    made["affects"] = [
        {"ref": url, "versions": [{"version": version, "status": status}]} for url, version in sorted(affected.items())
    ]
    return made


def _ratings(finding: Finding) -> list[dict[str, Any]]:
    severity = _SEVERITIES[finding.severity]
    if finding.rating is None:
        return [{"severity": severity}]
    return [
        {
            "source": {"name": finding.rating.source},
            "score": finding.rating.score,
            "severity": severity,
            "method": _METHODS.get(finding.rating.version, "other"),
            "vector": finding.rating.vector,
        }
    ]


def _fixes(group: Sequence[ReportedFinding]) -> str:
    fixes = {(each.package.name, each.finding.fixed_version) for each in group if each.finding.fixed_version}
    return "; ".join(f"Upgrade {name} to {version}" for name, version in sorted(fixes, key=str))


def _analysis(suppression: Suppression) -> dict[str, Any]:
    fixed = suppression.status is Status.FIXED
    made: dict[str, Any] = {"state": "resolved" if fixed else "not_affected"}
    justification = _JUSTIFICATIONS.get(suppression.justification, suppression.justification)
    if justification in _OWN_JUSTIFICATIONS:
        made["justification"] = justification
    if detail := ": ".join(part for part in (suppression.source, suppression.detail) if part):
        made["detail"] = detail
    return made
