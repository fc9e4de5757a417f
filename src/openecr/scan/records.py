"""What an OSV record says beyond its plain members: whether an entry can be a finding at all, its CVEs, its modules.

For the import (``openecr.scan.vulndb``), so that nothing of a record's JSON is weighed when images are matched.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from openecr.scan.names import family
from openecr.scan.record_ids import is_cve

_ADVISORIES = ("USN-", "LSN-", "ALSA-", "ALBA-", "ALEA-", "RLSA-", "RXSA-", "RHSA-", "RHBA-", "RHEA-", "DSA-", "DLA-")
"""Records of these list their CVEs in ``related`` where they do not in ``upstream``."""

_NO_SECURITY_UPDATE = re.compile(r"(?:AL|RL|RX|RH)[BE]A-")
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,80}:[A-Za-z0-9][A-Za-z0-9_.+-]{0,80}")
_QUALIFIER = re.compile(r"[?&]rpmmod=([^&#]{1,200})")

MODULAR_RELEASE = ".module"
"""In the release of every rpm that was built for a module: ``1.module+el9.4.0``, ``1.module_el8.4.0``."""

_NEVER_FINDINGS = frozenset({"end-of-life", "not-affected"})


def concerns(record: Mapping[str, Any], affected: Mapping[str, Any]) -> bool:
    """Whether this entry of a record may be a finding.

    Not: withdrawn records; entries without a package, or with nothing but commits; what Debian's tracker calls
    "end-of-life" or "not-affected"; updates that fix no vulnerability (ALBA, RHEA …) and name none.
    """
    if record.get("withdrawn"):
        return False
    package = affected.get("package")
    if not isinstance(package, dict) or not package.get("name") or not package.get("ecosystem"):
        return False
    specific = affected.get("ecosystem_specific")
    if isinstance(specific, dict) and str(specific.get("urgency")) in _NEVER_FINDINGS:
        return False
    if _NO_SECURITY_UPDATE.match(str(record.get("id", ""))) and not upstream(record):
        return False
    return bool(affected.get("versions")) or any(kind != "GIT" for kind in _range_kinds(affected))


def upstream(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The vulnerabilities that a distribution's record is about, in its order.

    ``upstream``; for advisories of distributions the CVEs of ``related`` too: USN, ALSA, RLSA and older records of
    others have them there (https://ossf.github.io/osv-schema/#related-field, whose meaning is otherwise "similar").
    """
    found = dict.fromkeys(_texts(record.get("upstream")))
    if str(record.get("id", "")).startswith(_ADVISORIES):
        found.update(dict.fromkeys(name for name in _texts(record.get("related")) if is_cve(name)))
    found.pop(str(record.get("id", "")), None)
    return tuple(found)


def modules(record: Mapping[str, Any], affected: Mapping[str, Any]) -> tuple[str, ...]:
    """rpm's modules (``nodejs:18``) that an entry is limited to; empty where it is of no module or of an unknown one.

    From ``rpmmod`` of the package's URL, else from the summary: "Important: nodejs:18 security update". Only where a
    release says that it was built for a module: summaries name plain packages in the same form ("pam:1.5.1").
    """
    package = affected.get("package")
    name = family(str(package.get("ecosystem", ""))) if isinstance(package, dict) else ""
    if name not in {"AlmaLinux", "Rocky Linux", "Red Hat"}:
        return ()
    qualifier = _QUALIFIER.search(str(package.get("purl", ""))) if isinstance(package, dict) else None
    if qualifier:
        return (":".join(unquote(qualifier[1]).split(":")[:2]),)
    if not any(MODULAR_RELEASE in version for version in _event_versions(affected)):
        return ()
    summary = str(record.get("summary", ""))[:1000]
    return tuple(dict.fromkeys(_MODULE.findall(summary)))


def _range_kinds(affected: Mapping[str, Any]) -> Iterator[str]:
    return (str(span.get("type", "")) for span in _objects(affected.get("ranges")))


def _event_versions(affected: Mapping[str, Any]) -> Iterator[str]:
    for span in _objects(affected.get("ranges")):
        for event in _objects(span.get("events")):
            yield from (version for version in event.values() if isinstance(version, str))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _texts(value: object) -> Iterator[str]:
    return (item for item in value if isinstance(item, str)) if isinstance(value, list) else iter(())
