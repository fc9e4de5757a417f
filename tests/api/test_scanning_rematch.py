"""New vulnerability data: what it does to images under continuous scanning, and what it leaves as it was."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.support import arn_of, members_of, push, push_manifest
from tests.places import ON_DATABASES, ON_ONE_PLACE
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, descriptor
from tests.running import Server
from tests.scanned_images import (
    CRITICAL,
    HIGH,
    Record,
    VulnerabilityData,
    debian,
    debian_record,
    enhanced,
    events_of,
    names_of,
    settled,
    status_of,
)
from tests.waiting import wait_until

pytestmark = [ON_DATABASES, pytest.mark.usefixtures("vulnerabilities")]
WITHDRAWN = {"withdrawn": "2026-11-01T00:00:00Z", "affected": []}


@pytest.fixture
def continuous(server: Server, ecr: Any, repository: str) -> Iterator[str]:
    """A repository under continuous scanning; what turning it on owes is done."""
    with enhanced(ecr, continuous=[repository]):
        wait_until(lambda: not server.rows("SELECT 1 FROM job WHERE kind = 'apply-scanning'"), "the rules are applied")
        yield repository


def hole(package: str, number: int = 1, **more: Any) -> Record:
    """A record on a package that no other test has."""
    more = {"vector": HIGH, "urgency": "high"} | more
    return debian_record(f"CVE-2026-{sum(map(ord, package)) % 1000:03}{number:02}", package, **more)


def cve(item: Record) -> str:
    return str(item["id"]).removeprefix("DEBIAN-")


def findings(ecr: Any, name: str, tag: str = "v1") -> dict[str, Any]:
    """Vulnerability → enhanced finding, with the counts under ``counts``."""
    found = ecr.describe_image_scan_findings(repositoryName=name, imageId={"imageTag": tag})["imageScanFindings"]
    told = {item["packageVulnerabilityDetails"]["vulnerabilityId"]: item for item in found["enhancedFindings"]}
    return told | {"counts": found["findingSeverityCounts"]}


def told(server: Server, name: str) -> list[tuple[str, str]]:
    """(vulnerability, status) of every event on a finding."""
    return [
        (event["detail"]["packageVulnerabilityDetails"]["vulnerabilityId"], event["detail"]["status"])
        for event in events_of(server, "Inspector2 Finding", name)
    ]


def test_an_advisory_appears(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    new = hole("appears", fixed="2.0")
    image = push(docker, continuous, "a", "v1", layers=(debian(appears="1.0", zlib="1:1.2.13.dfsg-1"),))
    before = settled(ecr, continuous, imageTag="v1")
    assert names_of(before) == ["CVE-2026-10001"]

    vulnerabilities.publish(new)

    found = findings(ecr, continuous)
    assert found["counts"] == {"CRITICAL": 1, "HIGH": 1}
    opened, old = found[cve(new)], found["CVE-2026-10001"]
    assert (opened["status"], old["status"]) == ("ACTIVE", "ACTIVE")
    assert opened["firstObservedAt"] > old["firstObservedAt"]
    assert opened["remediation"]["recommendation"]["text"] == "Upgrade appears from 1.0 to 2.0."
    (detail,) = ecr.describe_images(repositoryName=continuous)["imageDetails"]
    assert detail["imageScanStatus"]["status"] == "ACTIVE"
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == found["counts"]
    (event,) = events_of(server, "Inspector2 Finding", continuous)
    assert (event["source"], event["resources"]) == ("aws.inspector2", [f"{arn_of(continuous)}/{image.digest}"])
    detail = event["detail"]
    assert (detail["status"], detail["severity"], detail["title"]) == ("ACTIVE", "HIGH", f"{cve(new)} - appears")
    assert detail["inspectorScore"] == 7.5
    assert detail["inspectorScoreDetails"]["adjustedCvss"]["scoringVector"] == HIGH
    assert detail["findingArn"] == opened["findingArn"]
    assert detail["firstObservedAt"].endswith(("AM", "PM"))
    assert len(events_of(server, "Inspector2 Scan", continuous)) == 1


def test_an_advisory_disappears(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    gone, withdrawn = hole("vanishes"), hole("vanishes", 2)
    vulnerabilities.publish(gone, withdrawn)
    push(docker, continuous, "a", "v1", layers=(debian(vanishes="1.0", zlib="1:1.2.13.dfsg-1"),))
    assert len(names_of(settled(ecr, continuous, imageTag="v1"))) == 3

    vulnerabilities.publish(withdrawn | WITHDRAWN)

    found = findings(ecr, continuous)
    assert found["counts"] == {"CRITICAL": 1}
    assert {name: item["status"] for name, item in found.items() if name != "counts"} == {
        "CVE-2026-10001": "ACTIVE",
        cve(gone): "CLOSED",
        cve(withdrawn): "CLOSED",
    }
    closed = found[cve(gone)]
    assert closed["firstObservedAt"] < closed["lastObservedAt"] == closed["updatedAt"]
    assert sorted(told(server, continuous)) == sorted([(cve(gone), "CLOSED"), (cve(withdrawn), "CLOSED")])
    answer = ecr.describe_image_scan_findings(repositoryName=continuous, imageId={"imageTag": "v1"}, maxResults=1)
    names = names_of(answer)
    while "nextToken" in answer:
        answer = ecr.describe_image_scan_findings(
            repositoryName=continuous, imageId={"imageTag": "v1"}, maxResults=1, nextToken=answer["nextToken"]
        )
        names += names_of(answer)
    assert names == ["CVE-2026-10001", cve(withdrawn), cve(gone)]

    vulnerabilities.publish(gone)

    found = findings(ecr, continuous)
    assert found["counts"] == {"CRITICAL": 1, "HIGH": 1}
    assert (found[cve(gone)]["status"], found[cve(withdrawn)]["status"]) == ("ACTIVE", "CLOSED")
    assert told(server, continuous)[-1] == (cve(gone), "ACTIVE")


def test_an_advisory_changes(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    item = hole("changes", urgency="low")
    vulnerabilities.publish(item)
    push(docker, continuous, "a", "v1", layers=(debian(changes="1.0"),))
    settled(ecr, continuous, imageTag="v1")
    before = findings(ecr, continuous)
    assert before["counts"] == {"LOW": 1}

    vulnerabilities.publish(hole("changes", urgency="not yet assigned", vector=CRITICAL, fixed="1.1"))

    found = findings(ecr, continuous)
    assert found["counts"] == {"CRITICAL": 1}
    one, was = found[cve(item)], before[cve(item)]
    assert (one["severity"], one["score"], one["fixAvailable"], one["status"]) == ("CRITICAL", 9.8, "YES", "ACTIVE")
    assert one["firstObservedAt"] == was["firstObservedAt"]
    assert one["findingArn"] == was["findingArn"]
    assert one["updatedAt"] > was["updatedAt"]
    assert told(server, continuous) == [(cve(item), "ACTIVE")]
    assert len(found) == 2  # nothing is listed as closed that goes on

    again = hole("changes", urgency="not yet assigned", vector=CRITICAL, fixed="1.1", details="Said otherwise.")
    vulnerabilities.publish(again)

    assert findings(ecr, continuous)[cve(item)]["description"] == "Said otherwise."
    assert told(server, continuous) == [(cve(item), "ACTIVE")]  # words are told, and are no news


def test_images_that_are_not_scanned_continuously_stay_as_they_were(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    new, gone, other = hole("stays"), hole("stays", 2), hole("stays", 3, urgency="low")
    vulnerabilities.publish(gone, other)
    layers = (debian(stays="1.0"),)
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "a", "v1", layers=layers)
        once = members_of(settled(ecr, repository, imageTag="v1"))
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    push(docker, repository, "b", "v2", layers=layers)
    basic = members_of(settled(ecr, repository, imageTag="v2"))
    assert names_of(once) == names_of(basic) == [cve(gone), cve(other)]

    vulnerabilities.publish(new, hole("stays", 3, urgency="high"))

    def again(tag: str) -> dict[str, Any]:
        return members_of(ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": tag}))

    assert again("v2") == basic
    with enhanced(ecr, on_push=[repository]):
        assert again("v1") == once
    assert told(server, repository) == []
    ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": "v2"})
    found = settled(ecr, repository, imageTag="v2")
    assert names_of(found) == [cve(other), cve(new)]
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 2}


def test_images_without_the_package_are_left_alone(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    push(docker, continuous, "a", "v1", layers=(debian(zlib="1:1.2.13.dfsg-1"),))
    before = members_of(settled(ecr, continuous, imageTag="v1"))

    vulnerabilities.publish(hole("elsewhere"))

    after = members_of(ecr.describe_image_scan_findings(repositoryName=continuous, imageId={"imageTag": "v1"}))
    assert after == before
    assert told(server, continuous) == []


def test_an_index_follows_with_its_members(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    first, second = hole("platform-a"), hole("platform-b")
    members = [
        push(docker, continuous, about, layers=(debian(**{f"platform_{about}": "1.0"}),)) for about in ("a", "b")
    ]
    described = [
        descriptor(item.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": architecture})
        for item, architecture in zip(members, ("amd64", "arm64"), strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": described}).encode()
    digest = push_manifest(docker, continuous, index, "v1", media_type=OCI_INDEX)
    assert names_of(settled(ecr, continuous, imageTag="v1")) == []

    vulnerabilities.publish(first, second)

    found = findings(ecr, continuous)
    assert found["counts"] == {"HIGH": 2}
    assert {cve(first), cve(second)} == found.keys() - {"counts"}
    resources = [
        (event["resources"][0].rpartition("/")[2], event["detail"]["title"])
        for event in events_of(server, "Inspector2 Finding", continuous)
    ]
    assert sorted(resources) == sorted(
        [
            (members[0].digest, f"{cve(first)} - platform-a"),
            (members[1].digest, f"{cve(second)} - platform-b"),
            (digest, f"{cve(first)} - platform-a"),
            (digest, f"{cve(second)} - platform-b"),
        ]
    )


@contextmanager
def held_rematch(server: Server) -> Iterator[None]:
    """As long as no re-match is made: another process seems to be at one."""
    server.execute(
        "INSERT INTO job (queue, kind, args, dedup, state, due_us, worker, lease_until_us, attempt, max_attempts,"
        " created_us) VALUES ('default', 'rematch-packages', '{}', 'rematch-packages', 'running', 0, 'elsewhere',"
        " 9000000000000000, 1, 5, 0)"
    )
    try:
        yield
    finally:
        server.execute("DELETE FROM job WHERE worker = 'elsewhere'")


@ON_ONE_PLACE
def test_data_that_is_replaced_before_images_follow_it_is_not_passed_over(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    """The newest data may differ in nothing from the one before it, which no image was matched with."""
    new = hole("passed-over")
    push(docker, continuous, "a", "v1", layers=(debian(passed_over="1.0"),))
    settled(ecr, continuous, imageTag="v1")
    with held_rematch(server):
        for _ in range(3):
            vulnerabilities.publish(new, waits=False)
        assert server.rows("SELECT COUNT(*) FROM vulnerability_data")[0][0] == 3
        assert findings(ecr, continuous)["counts"] == {}

    vulnerabilities.wait()

    assert findings(ecr, continuous)["counts"] == {"HIGH": 1}
    assert told(server, continuous) == [(cve(new), "ACTIVE")]
    assert server.rows("SELECT COUNT(*) FROM vulnerability_data")[0][0] == 1


@ON_ONE_PLACE
def test_a_scan_that_comes_before_the_rematch_takes_nothing_from_others(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    """It brings the verdicts of a package to the new data; another image with the package has to hear of it."""
    new = hole("forestalled")
    layers = (debian(forestalled="1.0"),)
    push(docker, continuous, "a", "v1", layers=layers)
    settled(ecr, continuous, imageTag="v1")
    with held_rematch(server):
        vulnerabilities.publish(new, waits=False)
        push(docker, continuous, "b", "v2", layers=layers)
        assert names_of(settled(ecr, continuous, imageTag="v2")) == [cve(new)]

    vulnerabilities.wait()

    assert findings(ecr, continuous, "v1")["counts"] == findings(ecr, continuous, "v2")["counts"] == {"HIGH": 1}
    assert told(server, continuous) == [(cve(new), "ACTIVE")]  # of the first image: the other's scan knew it


def test_what_failed_for_want_of_data_is_scanned_with_it(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, continuous: str
) -> None:
    with vulnerabilities.none():
        push(docker, continuous, "a", "v1", layers=(debian(zlib="1:1.2.13.dfsg-1"),))
        assert settled(ecr, continuous, imageTag="v1")["imageScanStatus"]["status"] == "FAILED"

    vulnerabilities.publish()

    found = settled(ecr, continuous, imageTag="v1")
    assert status_of(found) == ("ACTIVE", "Continuous scan is selected for image.")
    assert names_of(found) == ["CVE-2026-10001"]


def test_images_that_are_there_already_follow_the_registrys_new_rules(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    new = hole("already-there")
    push(docker, repository, "a", "v1", layers=(debian(already_there="1.0", zlib="1:1.2.13.dfsg-1"),))
    with enhanced(ecr, continuous=[repository]):
        wait_until(
            lambda: ecr.describe_images(repositoryName=repository)["imageDetails"][0].get("imageScanStatus"), "it"
        )
        assert names_of(settled(ecr, repository, imageTag="v1")) == ["CVE-2026-10001"]
        (change,) = (
            item
            for event in events_of(server, "ECR Scan Resource Change", repository)
            for item in event["detail"]["repositories"]
            if item["repository-name"] == repository
        )
        assert change == {
            "repository-name": repository,
            "repository-arn": arn_of(repository),
            "scan-frequency": "CONTINUOUS_SCAN",
            "previous-scan-frequency": "MANUAL",
        }

        ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[])
        wait_until(lambda: not server.rows("SELECT 1 FROM job WHERE kind = 'apply-scanning'"), "the rules are applied")
        vulnerabilities.publish(new)

        found = settled(ecr, repository, imageTag="v1")
        assert found["imageScanStatus"]["status"] == "COMPLETE"
        assert names_of(found) == ["CVE-2026-10001"]
