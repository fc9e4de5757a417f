"""What ``openecr scan`` tells: a table, JSON, or SARIF.

Source: SARIF 2.1.0 (OASIS), §3.27 result, §3.35 suppression, §3.20 invocation.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from openecr import __version__
from openecr.cli import tables
from openecr.scan.advisories import Severity
from openecr.scan.purl import package_url
from openecr.scan_targets.judging import JudgedFinding, Place, Report, severities
from openecr.services.ecr.scanning.suppressing import justification_of

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning"}


def show(asked: str, report: Report, reasons: Sequence[str], left_out: Sequence[str]) -> None:
    """Print tables of what was found and of what is suppressed, what could not be judged, and the verdict."""
    counting = [item for item in report.findings if item.suppressed_by is None]
    if counting:
        table = tables.table("severity", "vulnerability", "package", "fixed in", "where")
        for item in counting:
            finding = item.finding
            cells = (finding.severity.name, finding.name, _package(item), finding.fixed_version or "", _where(item))
            table.add_row(*map(tables.plain, cells))
        tables.show(table)
        print()
    silent = [(item, item.suppressed_by) for item in report.findings if item.suppressed_by is not None]
    if silent:
        table = tables.table("suppressed", "package", "because", "source")
        for item, statement in silent:
            why = (item.finding.name, _package(item), justification_of(statement), statement.source)
            table.add_row(*map(tables.plain, why))
        tables.show(table)
        print()
    for gap in report.gaps:
        print(tables.plain(f"not judged: {gap}"))
    for image in left_out:
        print(tables.plain(f"not there, and not scanned: {image}"))
    if reasons:
        print(tables.plain(f"{asked} does not pass: {'; '.join(reasons)}"))
    else:
        print(f"{asked} passes: {severities(report.counts)}")


def document(asked: str, report: Report, reasons: Sequence[str], left_out: Sequence[str]) -> dict[str, Any]:
    """All of it, for ``--json``."""
    return {
        "target": asked,
        "passes": not reasons,
        "reasons": list(reasons),
        "failure": report.failure,
        "gaps": list(report.gaps),
        "notThere": list(left_out),
        "counts": report.counts,
        "vulnerabilityDataAsOf": _instant(report.data_us),
        "images": [
            {
                "name": target.name,
                "digest": target.digest or None,
                "distribution": target.inventory.distribution.pretty_name or target.inventory.distribution.id
                if target.inventory.distribution
                else None,
                "packages": len(target.inventory.packages),
            }
            for target in report.targets
        ],
        "findings": [_finding(item) for item in report.findings],
    }


def _finding(item: JudgedFinding) -> dict[str, Any]:
    finding, by = item.finding, item.suppressed_by
    return {
        "name": finding.name,
        "severity": finding.severity.name,
        "score": finding.score,
        "ecosystem": item.key.ecosystem,
        "package": item.key.name,
        "version": item.key.version,
        "fixedVersion": finding.fixed_version,
        "title": finding.details.summary or None,
        "url": finding.details.source_url or None,
        "related": list(finding.related),
        "exploited": finding.details.exploited,
        "places": [
            {
                "image": place.target.name,
                "package": place.installed.package.name,
                "version": place.installed.package.version,
                "purl": _purl(place),
                "path": place.path,
                "layer": place.layer or None,
            }
            for place in item.places
        ],
        "suppressed": None if by is None else {"justification": justification_of(by), "source": by.source},
    }


def sarif(report: Report) -> dict[str, Any]:
    """SARIF; what was not judged is a notification, and makes the run an unsuccessful one."""
    rules: dict[str, dict[str, Any]] = {}
    for item in report.findings:
        rules.setdefault(item.finding.name, _rule(item))
    positions = {name: position for position, name in enumerate(rules)}
    untold = [*([report.failure] if report.failure is not None else []), *report.gaps]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "openecr", "version": __version__, "rules": list(rules.values())}},
                "invocations": [
                    {
                        "executionSuccessful": not untold,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": sentence}} for sentence in untold
                        ],
                    }
                ],
                "results": [_result(item, positions[item.finding.name]) for item in report.findings],
            }
        ],
    }


def _rule(item: JudgedFinding) -> dict[str, Any]:
    details = item.finding.details
    made: dict[str, Any] = {"id": item.finding.name}
    if details.summary:
        made["shortDescription"] = {"text": details.summary}
    if details.source_url:
        made["helpUri"] = details.source_url
    if item.finding.score is not None:
        # By this property code hosts order what they show.
        made["properties"] = {"security-severity": str(item.finding.score)}
    return made


def _result(item: JudgedFinding, position: int) -> dict[str, Any]:
    finding, by = item.finding, item.suppressed_by
    fix = f"; fixed in {finding.fixed_version}" if finding.fixed_version else "; no fix is known"
    made: dict[str, Any] = {
        "ruleId": finding.name,
        "ruleIndex": position,
        "level": _LEVELS.get(finding.severity, "note"),
        "message": {"text": f"{finding.name} ({finding.severity.name}) in {_package(item)}{fix}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(place.installed.path)}}} for place in item.places
        ],
        "partialFingerprints": {
            "openecr/v1": f"{finding.name}:{item.key.ecosystem}:{item.key.name}:{item.key.version}"
        },
    }
    if by is not None:
        made["suppressions"] = [{"kind": "external", "justification": f"{justification_of(by)} ({by.source})"}]
    return made


def _package(item: JudgedFinding) -> str:
    return f"{item.key.name} {item.key.version}"


def _where(item: JudgedFinding) -> str:
    first = item.places[0].path if item.places else ""
    return f"{first} and {len(item.places) - 1} more" if len(item.places) > 1 else first


def _purl(place: Place) -> str:
    return str(package_url(place.installed.package, place.target.inventory.distribution))


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
