"""The course's blocks on scanning, and its exercise before and after the enhanced one, with both of Docker's stores."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.course.conftest import BLOCKS
from tests.e2e.machine import REGION, REGISTRY, Machine, machine
from tests.e2e.shell import TOOLS
from tests.registry_client import OCI_INDEX
from tests.running import openecr
from tests.scanned_images import (
    CRITICAL,
    HIGH,
    LOW,
    Record,
    debian_files,
    debian_record,
    node_files,
    python_files,
    record,
)
from tests.waiting import wait_until

EXERCISE, API = "kubedojo/ecr-exercise", "myapp/api"
HIGHS = {f"high{number}": "1.0" for number in range(6)}
THREE = {"critical": "1.0", "low": "1.0", "high0": "1.0"}
"""Packages of the system with three holes."""
TWENTY_EIGHT = [f"hole-{number}" for number in range(28)]


def records() -> list[Record]:
    """What the machine's registry knows of."""
    found = [debian_record(f"CVE-2026-5000{number}", name, vector=HIGH) for number, name in enumerate(HIGHS)]
    found.append(debian_record("CVE-2026-50010", "critical", vector=CRITICAL))
    found.append(debian_record("CVE-2026-50011", "low", vector=LOW))
    for number, name in enumerate(TWENTY_EIGHT):
        ecosystem, vector = ("npm", LOW) if number % 2 else ("PyPI", HIGH)
        found.append(record(f"GHSA-cccc-dddd-{number:04}", ecosystem, name, "2.0", vector=vector))
    return found


@dataclass(frozen=True)
class Course:
    """The machine that the course is taken on, and which of Docker's stores it has."""

    machine: Machine
    store: str

    def block(self, script: str, *arguments: str, folder: Path | None = None, **more: str) -> str:
        """Run a block; everything it printed."""
        return self.machine.run("env", *self._variables(more), BLOCKS / script, *arguments, folder=folder)

    def refused(self, script: str, *arguments: str, **more: str) -> str:
        """Run a block that must fail; what it printed."""
        return self.machine.fail("env", *self._variables(more), BLOCKS / script, *arguments)

    def aws(self, *arguments: str) -> Any:
        """Run the AWS CLI; its answer."""
        printed = self.machine.run("aws", "ecr", *arguments, "--output", "json")
        return json.loads(printed) if printed.strip() else None

    def push(self, folder: Path, name: str, tag: str, *, system: dict[str, str], holes: list[str]) -> None:
        """Build and push an image with these packages, as the course does."""
        files = debian_files(**system)
        files |= node_files(**dict.fromkeys(holes[1::2], "1.0")) | python_files(**dict.fromkeys(holes[::2], "1.0"))
        for path, content in files.items():
            (folder / "root" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "root" / path).write_text(content)
        (folder / "Dockerfile").write_text('FROM busybox\nCOPY root /\nCMD ["true"]\n')
        self.block("build-and-push.sh", name, tag, folder=folder)

    def _variables(self, more: dict[str, str]) -> list[str]:
        return [f"{name}={value}" for name, value in {"REGION": REGION, "REGISTRY": REGISTRY, **more}.items()]


@pytest.fixture(scope="module", params=["classic", "containerd"])
def course(
    request: pytest.FixtureRequest, debian: None, aws_programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Course]:
    """A machine that trusts the registry, which has vulnerability data."""
    programs = request.getfixturevalue("newer_programs") if request.param == "containerd" else None
    data_dir = tmp_path_factory.mktemp("course")
    told = tmp_path_factory.mktemp("records")
    for item in records():
        (told / f"{item['id']}.json").write_text(json.dumps(item))
    with machine(data_dir, 1, aws_programs, request.param, programs) as started:
        openecr("vulndb", "import", str(told), "--data-dir", str(data_dir))
        started.trust()
        taken = Course(started, request.param)
        taken.block("login.sh")
        started.run(TOOLS / "base-image.sh", "tiny")
        for name in (EXERCISE, API):
            taken.aws("create-repository", "--repository-name", name)
        yield taken


def test_the_exercise_before_and_after_the_enhanced_block(course: Course, tmp_path: Path) -> None:
    """Three holes of the system, twenty-eight of the application: basic scanning only catches the three."""
    first, second = tmp_path / "first", tmp_path / "second"
    course.push(first, EXERCISE, "v1.0.0", system=THREE, holes=TWENTY_EIGHT)
    started = json.loads(course.block("scan.sh", EXERCISE, "v1.0.0"))
    assert started["imageScanStatus"]["status"] == "IN_PROGRESS"

    summary, table = split(course.block("findings.sh", EXERCISE, "v1.0.0"))

    assert (summary["Status"], summary["Counts"]) == ("COMPLETE", {"CRITICAL": 1, "HIGH": 1, "LOW": 1})
    assert "CVE-2026-50010" in table
    assert "CVE-2026-50000" in table
    assert "CVE-2026-50011" not in table
    course.push(second, EXERCISE, "v1.1.0", system=HIGHS, holes=[])
    summary, _ = split(course.block("findings.sh", EXERCISE, "v1.1.0"))  # on push, as scan.sh has it
    assert summary["Counts"] == {"HIGH": 6}

    enhanced = json.loads(course.block("enhanced.sh"))["registryScanningConfiguration"]
    assert (enhanced["scanType"], len(enhanced["rules"])) == ("ENHANCED", 2)
    try:
        third = tmp_path / "third"
        course.push(third, EXERCISE, "v1.12.0", system=THREE, holes=TWENTY_EIGHT)
        summary, table = split(course.block("findings.sh", EXERCISE, "v1.12.0"))
        assert summary["Status"] == "COMPLETE"  # the rule is SCAN_ON_PUSH: the waiter returns
        assert summary["Counts"] == {"CRITICAL": 1, "HIGH": 15, "LOW": 15}
        assert "CVE" not in table  # enhanced findings are enhancedFindings
        asked = ("--repository-name", EXERCISE, "--image-id", "imageTag=v1.12.0")
        found = course.aws("describe-image-scan-findings", *asked)["imageScanFindings"]["enhancedFindings"]
        managers = [item["packageVulnerabilityDetails"]["vulnerablePackages"][0]["packageManager"] for item in found]
        assert (managers.count("OS"), len(managers)) == (3, 31)

        fourth = tmp_path / "fourth"
        course.push(fourth, API, "v1.3.0", system=THREE, holes=[])
        asked = ("--repository-name", API, "--image-id", "imageTag=v1.3.0")

        def status() -> bool:
            told = course.aws("describe-image-scan-findings", *asked)["imageScanStatus"]
            return bool(told["status"] == "ACTIVE")

        wait_until(status, "the application's image is under continuous scanning")
        assert "BLOCKED: 1 critical" in course.refused("gate.sh", API, "v1.3.0")
    finally:
        course.aws("put-registry-scanning-configuration", "--scan-type", "BASIC", "--rules", "[]")
    kind = course.aws("describe-images", "--repository-name", EXERCISE, "--image-ids", "imageTag=v1.12.0")
    assert (kind["imageDetails"][0]["imageManifestMediaType"] == OCI_INDEX) == (course.store == "containerd")


def test_the_gate_blocks_on_one_critical_and_on_six_high_and_passes_on_five(course: Course, tmp_path: Path) -> None:
    systems = {
        "v2.0.0": {"critical": "1.0"},
        "v2.1.0": HIGHS,
        "v2.2.0": dict(list(HIGHS.items())[:5]),
        "v2.3.0": {"harmless": "1.0"},
    }
    for tag, system in systems.items():
        course.push(tmp_path / tag, API, tag, system=system, holes=[])
        course.aws("start-image-scan", "--repository-name", API, "--image-id", f"imageTag={tag}")
    for tag in systems:
        course.machine.run(
            "aws", "ecr", "wait", "image-scan-complete", "--repository-name", API, "--image-id", f"imageTag={tag}"
        )

    assert "BLOCKED: 1 critical" in course.refused("gate.sh", API, "v2.0.0")
    assert "BLOCKED: 6 high, at most 5" in course.refused("gate.sh", API, "v2.1.0")
    assert "PASSED: 0 critical, 5 high" in course.block("gate.sh", API, "v2.2.0")
    assert "PASSED: 0 critical, 0 high" in course.block("gate.sh", API, "v2.3.0")
    # As the course prints it, it lets everything through.
    said = course.block("gate.sh", API, "v2.0.0", OR="//")
    assert "PASSED:  critical,  high" in said
    assert "jmespath" in said.lower()


def test_thirteen_versions_are_cleaned_up_to_the_ten_newest_whatever_a_version_is(
    course: Course, tmp_path: Path
) -> None:
    """The exercise's lifecycle policy on indexes too: a version's members and attestations go with it."""
    # Mutable: containerd pushes an index's members under its tag first, which an immutable tag refuses here as on ECR.
    name = "kubedojo/versions"
    course.aws("create-repository", "--repository-name", name)
    (tmp_path / "Dockerfile").write_text('FROM busybox\nCOPY app.py /app.py\nCMD ["true"]\n')
    (tmp_path / "app.py").write_text('print({"version": "1.0.0"})\n')
    course.block("build-and-push.sh", name, "v1.0.0", folder=tmp_path)
    course.block("versions.sh", name, folder=tmp_path)
    before = course.aws("describe-images", "--repository-name", name)["imageDetails"]

    previewed = json.loads(course.block("lifecycle.sh", name))
    assert [item for item in previewed if item["Tag"]] == [
        {"Tag": f"v1.{number}.0", "Action": "EXPIRE", "AppliedRule": 1} for number in range(3)
    ]
    openecr("lifecycle", "run", name, "--data-dir", course.machine.shell.variables["HOME"])

    def tags() -> set[str]:
        details = course.aws("describe-images", "--repository-name", name)["imageDetails"]
        return {tag for item in details for tag in item.get("imageTags", ())}

    ten = {f"v1.{number}.0" for number in range(3, 13)}
    wait_until(lambda: tags() == ten, "the three oldest went")
    after = course.aws("describe-images", "--repository-name", name)["imageDetails"]
    # Three of thirteen versions, with all that belongs to them.
    assert len(before) % 13 == 0
    assert len(after) == len(before) // 13 * 10
    assert course.machine.run("docker", "run", "--rm", f"{REGISTRY}/{name}:v1.12.0") == ""


def split(printed: str) -> tuple[dict[str, Any], str]:
    """The summary, and the table below it."""
    text, brace, table = printed.partition("\n}")
    return json.loads(text + brace), table
