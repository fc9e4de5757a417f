"""ECR's words for severities."""

from openecr.db.scans import BASIC
from openecr.scan.advisories import Severity


def severity_word(scan_type: str, severity: int) -> str:
    """ECR's word for a severity; enhanced scanning says of what nobody rated that it is untriaged."""
    return "UNTRIAGED" if severity == Severity.UNDEFINED and scan_type != BASIC else Severity(severity).name
