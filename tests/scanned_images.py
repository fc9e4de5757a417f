"""Images with packages in them, and vulnerability data on those packages: all made by the tests, all small.

Every image is its layers; every layer is a few files in a gzipped tar. Records are OSV's
(https://ossf.github.io/osv-schema/), with names and numbers of the tests' own.
"""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.running import Server
from tests.waiting import wait_until

Record = dict[str, Any]
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
"""9.8"""
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
"""7.5"""
MEDIUM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"
"""5.3"""
LOW = "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N"
"""2.2"""
_NOBODY = 'ID=example\nVERSION_ID="1"\nPRETTY_NAME="Example 1"\n'
_DEBIAN = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n'
_ALPINE = 'ID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME="Alpine Linux v3.19"\n'


def layer(files: Mapping[str, str | bytes]) -> bytes:
    """A layer with these files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), mtime=0)


def debian_files(**versions: str) -> dict[str, str]:
    """Files of a Debian 12 with these packages; underscores of names are dashes."""
    stanzas = [
        f"Package: {name.replace('_', '-')}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in versions.items()
    ]
    return {"etc/os-release": _DEBIAN, "var/lib/dpkg/status": "\n".join(stanzas)}


def debian(**versions: str) -> bytes:
    """The root of a Debian 12 with these packages."""
    return layer(debian_files(**versions))


def alpine(**versions: str) -> bytes:
    """The root of an Alpine 3.19 with these packages."""
    packages = [f"P:{name}\nV:{version}\nA:x86_64\no:{name}\n" for name, version in versions.items()]
    return layer({"etc/os-release": _ALPINE, "lib/apk/db/installed": "\n".join(packages)})


def unknown_distribution(**versions: str) -> bytes:
    """The root of a distribution that nobody has data of."""
    stanzas = [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in versions.items()
    ]
    return layer({"etc/os-release": _NOBODY, "var/lib/dpkg/status": "\n".join(stanzas)})


def python_files(**versions: str) -> dict[str, str]:
    """Files of installed Python packages."""
    site = "usr/lib/python3/site-packages"
    return {
        f"{site}/{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        for name, version in versions.items()
    }


def python(**versions: str) -> bytes:
    """Installed Python packages."""
    return layer(python_files(**versions))


def node_files(**versions: str) -> dict[str, str]:
    """Files of installed npm packages."""
    return {
        f"app/node_modules/{name}/package.json": json.dumps({"name": name, "version": version})
        for name, version in versions.items()
    }


def node(**versions: str) -> bytes:
    """Installed npm packages."""
    return layer(node_files(**versions))


def jar(group: str, artifact: str, version: str) -> bytes:
    """A jar that says what it is."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        properties = f"groupId={group}\nartifactId={artifact}\nversion={version}\n"
        archive.writestr(f"META-INF/maven/{group}/{artifact}/pom.properties", properties)
    return content.getvalue()


def record(
    name: str,
    ecosystem: str,
    package: str,
    fixed: str | None = None,
    *,
    vector: str | None = None,
    urgency: str | None = None,
    modified: datetime | None = None,
    **more: Any,
) -> Record:
    """A record on every version of a package up to the one that fixes it."""
    event = [] if fixed is None else [{"fixed": fixed}]
    affected: Record = {
        "package": {"ecosystem": ecosystem, "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *event]}],
    }
    if urgency is not None:
        affected["ecosystem_specific"] = {"urgency": urgency}
    found: Record = {
        "id": name,
        "modified": (modified or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "published": "2026-01-02T03:04:05Z",
        "summary": f"A hole in {package}",
        "details": f"Whoever sends {package} the right bytes has it do what they want.",
        "affected": [affected],
        **more,
    }
    if vector is not None:
        found["severity"] = [{"type": "CVSS_V3", "score": vector}]
    return found


def debian_record(cve: str, package: str, fixed: str | None = None, **more: Any) -> Record:
    """Debian's record of a CVE."""
    return record(f"DEBIAN-{cve}", "Debian:12", package, fixed, upstream=[cve], **more)


BASE: tuple[Record, ...] = (
    debian_record("CVE-2026-10001", "zlib", vector=CRITICAL, urgency="not yet assigned"),
    debian_record("CVE-2026-10002", "openssl", "3.0.11-1~deb12u2", vector=HIGH, urgency="high"),
    debian_record("CVE-2026-10003", "openssl", "3.0.11-1~deb12u3", vector=HIGH, urgency="medium"),
    debian_record("CVE-2026-10004", "openssl", "3.0.11-1~deb12u2", vector=LOW, urgency="low"),
    debian_record("CVE-2026-10005", "bash", urgency="unimportant"),
    debian_record("CVE-2026-10006", "bash"),
    debian_record("CVE-2026-10007", "bash", "5.2.15-2", vector=HIGH, urgency="high"),
    record("ALPINE-CVE-2026-10101", "Alpine:v3.19", "busybox", "1.36.1-r16", vector=HIGH, upstream=["CVE-2026-10101"]),
    record("GHSA-aaaa-bbbb-0001", "npm", "leftish", "4.17.21", vector=HIGH, aliases=["CVE-2026-20001"]),
    record("GHSA-aaaa-bbbb-0002", "npm", "leftish", vector=MEDIUM, aliases=["CVE-2026-20002"]),
    record("GHSA-aaaa-bbbb-0003", "npm", "unrated", aliases=["CVE-2026-20003"]),
    record("PYSEC-2026-1", "PyPI", "vessel", "3.0.1", vector=CRITICAL, aliases=["CVE-2026-20004"]),
    record("GHSA-aaaa-bbbb-0005", "Maven", "org.example:logs", "2.17.0", vector=CRITICAL, aliases=["CVE-2026-20005"]),
)
"""What every test's server has data of."""
OLD_ROOT = {"zlib": "1:1.2.13.dfsg-1", "openssl": "3.0.11-1~deb12u1", "bash": "5.2.15-2+b2"}
"""Packages of a Debian root that ``BASE`` has six findings of: one of each severity."""
FIXED_ROOT = {"openssl": "3.0.11-1~deb12u3"}
"""A Debian root that ``BASE`` has nothing of."""


@dataclass
class VulnerabilityData:
    """The data of a server, as its operator imports it."""

    server: Server
    folder: Path
    _number: int = field(default=0)

    def publish(
        self, *more: Record, base: Sequence[Record] = BASE, flags: Sequence[str] = (), waits: bool = True
    ) -> None:
        """Put records into use, and wait until what is known of images follows them."""
        self._number += 1
        records = self.folder / str(self._number)
        records.mkdir()
        for item in (*base, *more):
            (records / f"{item['id']}.json").write_text(json.dumps(item))
        self.server.command("vulndb", "import", str(records), *flags)
        if waits:
            self.wait()

    def wait(self) -> None:
        """Wait until what is known of images follows the data in use."""
        wait_until(lambda: not self.owes_rematch(), "the images follow the new data")

    def publish_old(self, days: int) -> None:
        """Put the base records into use as they were some days ago."""
        at = datetime.now(UTC) - timedelta(days=days, hours=1)
        modified = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.publish(base=[item | {"modified": modified} for item in BASE])

    def owes_rematch(self) -> bool:
        """Whether images do not follow the data yet."""
        owed = self.server.rows("SELECT state FROM job WHERE kind = 'rematch-packages'")
        assert all(state != "dead" for (state,) in owed), self.server.log()
        return bool(owed)

    @contextmanager
    def none(self) -> Iterator[None]:
        """As long as there is no data at all, as on a server that never had any."""
        columns = "generation, object_id, size_bytes, sha256, built_us, sources"
        kept = self.server.rows(f"SELECT {columns} FROM vulnerability_data")
        self.server.execute("DELETE FROM vulnerability_data")
        try:
            yield
        finally:
            names = columns.split(", ")
            for row in kept:
                self.server.execute(
                    f"INSERT INTO vulnerability_data ({columns}) VALUES ({', '.join(f':{name}' for name in names)})",
                    **dict(zip(names, row, strict=True)),
                )


def settled(ecr: Any, name: str, **image_id: str) -> dict[str, Any]:
    """What DescribeImageScanFindings says once an image's scan has ended."""

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = ecr.describe_image_scan_findings(repositoryName=name, imageId=image_id)
        return None if found["imageScanStatus"]["status"] in ("IN_PROGRESS", "PENDING") else found

    return wait_until(ended, f"the scan of {image_id} in {name} has ended")


def status_of(answer: dict[str, Any]) -> tuple[str, str]:
    """Status and description of a scan."""
    return answer["imageScanStatus"]["status"], answer["imageScanStatus"].get("description", "")


def names_of(answer: dict[str, Any]) -> list[str]:
    """The vulnerabilities of an answer, in its order, in whichever shape."""
    found = answer["imageScanFindings"]
    if "findings" in found:
        return [item["name"] for item in found["findings"]]
    return [item["packageVulnerabilityDetails"]["vulnerabilityId"] for item in found.get("enhancedFindings", [])]


@contextmanager
def enhanced(ecr: Any, continuous: Sequence[str] = (), on_push: Sequence[str] = ()) -> Iterator[None]:
    """As long as the registry scans in the enhanced way, by these filters."""

    def rule(frequency: str, filters: Sequence[str]) -> list[dict[str, Any]]:
        told = [{"filter": item, "filterType": "WILDCARD"} for item in filters]
        return [{"scanFrequency": frequency, "repositoryFilters": told}] if filters else []

    rules = rule("CONTINUOUS_SCAN", continuous) + rule("SCAN_ON_PUSH", on_push)
    ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    try:
        yield
    finally:
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])


def events_of(server: Server, detail_type: str, repository_name: str) -> list[dict[str, Any]]:
    """The events of one kind about a repository, the oldest first, as operators read them."""
    printed = server.command("events", "--type", detail_type).stdout
    return [event for line in printed.splitlines() if repository_name in line and (event := json.loads(line))]
