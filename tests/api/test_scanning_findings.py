"""DescribeImageScanFindings in both shapes, and the summary of DescribeImages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.support import ACCOUNT, arn_of, error_of, members_of, push
from tests.places import ON_DATABASES, ON_ONE_PLACE
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server
from tests.scanned_images import (
    CRITICAL,
    HIGH,
    OLD_ROOT,
    VulnerabilityData,
    alpine,
    debian,
    debian_record,
    enhanced,
    events_of,
    jar,
    layer,
    names_of,
    node,
    python,
    settled,
)

pytestmark = [ON_DATABASES, pytest.mark.usefixtures("vulnerabilities")]
OF_SYSTEM = [f"CVE-2026-1000{number}" for number in (1, 2, 3, 4, 5, 6)]
"""What ``OLD_ROOT`` has, the worst first."""
COUNTS = {"CRITICAL": 1, "HIGH": 1, "MEDIUM": 1, "LOW": 1, "INFORMATIONAL": 1, "UNDEFINED": 1}


@pytest.fixture
def repository(ecr: Any, repository_name: str) -> str:
    """One that scans what is pushed."""
    ecr.create_repository(repositoryName=repository_name, imageScanningConfiguration={"scanOnPush": True})
    return repository_name


def findings(ecr: Any, name: str, **more: Any) -> dict[str, Any]:
    return members_of(ecr.describe_image_scan_findings(repositoryName=name, imageId={"imageTag": "v1"}, **more))


def pages(ecr: Any, name: str, size: int) -> list[dict[str, Any]]:
    answers = [findings(ecr, name, maxResults=size)]
    while "nextToken" in answers[-1]:
        answers.append(findings(ecr, name, maxResults=size, nextToken=answers[-1]["nextToken"]))
    return answers


def attributes(finding: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in finding["attributes"]}


def test_the_basic_shape(ecr: Any, docker: RegistryClient, repository: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT), node(leftish="4.17.20")))

    found = settled(ecr, repository, imageTag="v1")

    assert (found["registryId"], found["repositoryName"]) == (ACCOUNT, repository)
    assert found["imageId"] == {"imageDigest": image.digest, "imageTag": "v1"}
    told = found["imageScanFindings"]
    assert told.keys() == {"imageScanCompletedAt", "vulnerabilitySourceUpdatedAt", "findingSeverityCounts", "findings"}
    assert told["findingSeverityCounts"] == COUNTS
    assert list(told["findingSeverityCounts"]) == list(COUNTS)
    assert before <= told["imageScanCompletedAt"] <= datetime.now(UTC)
    assert told["vulnerabilitySourceUpdatedAt"] <= told["imageScanCompletedAt"]
    assert names_of(found) == OF_SYSTEM  # and nothing of the language: that takes the enhanced
    assert [item["severity"] for item in told["findings"]] == list(COUNTS)
    assert told["findings"][1] == {
        "name": "CVE-2026-10002",
        "description": "Whoever sends openssl the right bytes has it do what they want.",
        "uri": "https://security-tracker.debian.org/tracker/CVE-2026-10002",
        "severity": "HIGH",
        "attributes": [
            {"key": "package_name", "value": "openssl"},
            {"key": "package_version", "value": "3.0.11-1~deb12u1"},
            {"key": "fixed_in_versions", "value": "3.0.11-1~deb12u2"},
            {"key": "CVSS3_VECTOR", "value": HIGH},
            {"key": "CVSS3_SCORE", "value": "7.5"},
        ],
    }
    assert "fixed_in_versions" not in attributes(told["findings"][0])


def test_by_digest_the_tag_is_not_told(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))

    assert settled(ecr, repository, imageDigest=image.digest)["imageId"] == {"imageDigest": image.digest}


@pytest.mark.parametrize("kind", ["basic", "enhanced"])
def test_pages_of_every_size(ecr: Any, docker: RegistryClient, repository: str, kind: str) -> None:
    layers = (debian(**OLD_ROOT), node(leftish="4.17.20"))
    with enhanced(ecr, on_push=[repository] if kind == "enhanced" else ["other"]):
        if kind == "basic":
            ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
        push(docker, repository, "a", "v1", layers=layers)
        whole = settled(ecr, repository, imageTag="v1")
        expected = names_of(whole)
        assert len(expected) == len(set(expected)) == (6 if kind == "basic" else 8)

        for size in range(1, len(expected) + 2):
            answers = pages(ecr, repository, size)
            assert [name for answer in answers for name in names_of(answer)] == expected
            assert [len(names_of(answer)) for answer in answers[:-1]] == [size] * (len(answers) - 1)
            for answer in answers:
                counts = answer["imageScanFindings"]["findingSeverityCounts"]
                assert counts == whole["imageScanFindings"]["findingSeverityCounts"]


def test_a_token_is_of_its_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    for tag in ("v1", "v2"):
        push(docker, repository, tag, tag, layers=(debian(**OLD_ROOT),))
        settled(ecr, repository, imageTag=tag)
    token = findings(ecr, repository, maxResults=1)["nextToken"]

    call = ecr.describe_image_scan_findings
    code, _ = error_of(call, repositoryName=repository, imageId={"imageTag": "v2"}, nextToken=token)
    assert code == "InvalidParameterException"
    code, _ = error_of(call, repositoryName=repository, imageId={"imageTag": "v1"}, nextToken="guessed")
    assert code == "InvalidParameterException"


@pytest.mark.parametrize("most", [0, 1001])
def test_the_bounds_of_a_page(unchecked: Any, repository: str, most: int) -> None:
    code, text = error_of(
        unchecked.describe_image_scan_findings,
        repositoryName=repository,
        imageId={"imageTag": "v1"},
        maxResults=most,
    )
    assert code in ("ValidationException", "InvalidParameterException")
    assert "maxResults" in text


def test_within_a_severity_names_go_down(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    vulnerabilities.publish(
        *(debian_record(f"CVE-2026-3010{number}", "ordered", vector=HIGH, urgency="high") for number in range(3))
    )
    push(docker, repository, "a", "v1", layers=(debian(ordered="1.0", openssl="3.0.11-1~deb12u1"),))

    found = names_of(settled(ecr, repository, imageTag="v1"))

    assert found[:4] == ["CVE-2026-30102", "CVE-2026-30101", "CVE-2026-30100", "CVE-2026-10002"]


def test_the_same_hole_of_two_packages_is_two_findings(ecr: Any, docker: RegistryClient, repository: str) -> None:
    status = "\n".join(
        f"Package: {name}\nStatus: a ok installed\nVersion: 3.0.11-1~deb12u1\nArchitecture: amd64\nSource: openssl\n"
        for name in ("libssl3", "libcrypto3")
    )
    root = layer({"etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "var/lib/dpkg/status": status})
    push(docker, repository, "a", "v1", layers=(root,))

    found = settled(ecr, repository, imageTag="v1")

    # Debian's records are of the source: its binaries are one finding under one name and version.
    assert names_of(found) == ["CVE-2026-10002", "CVE-2026-10003", "CVE-2026-10004"]
    assert attributes(found["imageScanFindings"]["findings"][0])["package_name"] == "openssl"


def test_the_enhanced_shape(ecr: Any, docker: RegistryClient, repository: str) -> None:
    root, packages = debian(**OLD_ROOT), node(leftish="4.17.20")
    with enhanced(ecr, on_push=[repository]):
        image = push(docker, repository, "a", "v1", layers=(root, packages))
        found = settled(ecr, repository, imageTag="v1")

    told = found["imageScanFindings"]
    assert "findings" not in told
    assert told["findingSeverityCounts"] == {
        "CRITICAL": 1,
        "HIGH": 2,
        "MEDIUM": 2,
        "LOW": 1,
        "INFORMATIONAL": 1,
        "UNTRIAGED": 1,
    }
    by_name = {item["packageVulnerabilityDetails"]["vulnerabilityId"]: item for item in told["enhancedFindings"]}
    assert set(by_name) == {*OF_SYSTEM, "CVE-2026-20001", "CVE-2026-20002"}
    one = by_name["CVE-2026-20001"]
    instants = [one.pop(name) for name in ("firstObservedAt", "lastObservedAt", "updatedAt")]
    assert all(abs(instant - datetime.now(UTC)) < timedelta(minutes=5) for instant in instants)
    arn = one.pop("findingArn")
    assert arn.startswith(f"arn:aws:inspector2:us-east-1:{ACCOUNT}:finding/")
    assert len({item.get("findingArn", arn) for item in by_name.values()}) == len(by_name)
    details = one.pop("packageVulnerabilityDetails")
    (resource,) = one.pop("resources")
    assert one == {
        "awsAccountId": ACCOUNT,
        "description": "Whoever sends leftish the right bytes has it do what they want.",
        "remediation": {"recommendation": {"text": "Upgrade leftish from 4.17.20 to 4.17.21."}},
        "score": 7.5,
        "scoreDetails": {
            "cvss": {
                "adjustments": [],
                "score": 7.5,
                "scoreSource": "GITHUB",
                "scoringVector": HIGH,
                "version": "3.1",
            }
        },
        "severity": "HIGH",
        "status": "ACTIVE",
        "title": "CVE-2026-20001 - leftish",
        "type": "PACKAGE_VULNERABILITY",
        "fixAvailable": "YES",
        "exploitAvailable": "NO",
    }
    assert details.pop("vendorUpdatedAt") > details.pop("vendorCreatedAt")
    assert details == {
        "vulnerabilityId": "CVE-2026-20001",
        "source": "GITHUB",
        "sourceUrl": "https://github.com/advisories/GHSA-aaaa-bbbb-0001",
        "cvss": [{"baseScore": 7.5, "scoringVector": HIGH, "source": "GITHUB", "version": "3.1"}],
        "referenceUrls": [],
        "relatedVulnerabilities": ["GHSA-aaaa-bbbb-0001"],
        "vulnerablePackages": [
            {
                "name": "leftish",
                "version": "4.17.20",
                "epoch": 0,
                "release": "",
                "packageManager": "NODEPKG",
                "filePath": "app/node_modules/leftish/package.json",
                "sourceLayerHash": digest_of(packages),
                "fixedInVersion": "4.17.21",
            }
        ],
    }
    pushed = resource["details"]["awsEcrContainerImage"].pop("pushedAt")
    assert abs(pushed - datetime.now(UTC)) < timedelta(minutes=5)
    assert resource == {
        "type": "AWS_ECR_CONTAINER_IMAGE",
        "id": f"{arn_of(repository)}/{image.digest}",
        "tags": {},
        "details": {
            "awsEcrContainerImage": {
                "architecture": "amd64",
                "author": "",
                "imageHash": image.digest,
                "imageTags": ["v1"],
                "platform": "DEBIAN_12",
                "registry": ACCOUNT,
                "repositoryName": repository,
            }
        },
    }
    (package,) = by_name["CVE-2026-10001"]["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert package == {
        "name": "zlib",
        "version": "1.2.13.dfsg",
        "epoch": 1,
        "release": "1",
        "arch": "X86_64",
        "packageManager": "OS",
        "sourceLayerHash": digest_of(root),
        "fixedInVersion": "NotAvailable",
    }
    assert by_name["CVE-2026-10001"]["fixAvailable"] == "NO"
    assert by_name["CVE-2026-10001"]["remediation"] == {"recommendation": {"text": "None Provided"}}
    assert by_name["CVE-2026-10006"]["severity"] == "UNTRIAGED"


def test_languages_and_systems_of_an_image(ecr: Any, docker: RegistryClient, repository: str) -> None:
    app = layer({"app/lib/service.jar": jar("org.example", "logs", "2.14.0")})
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "a", "v1", layers=(alpine(busybox="1.36.1-r15"), python(vessel="3.0.0"), app))
        found = settled(ecr, repository, imageTag="v1")

    packages = {
        item["packageVulnerabilityDetails"]["vulnerabilityId"]: item["packageVulnerabilityDetails"][
            "vulnerablePackages"
        ][0]
        for item in found["imageScanFindings"]["enhancedFindings"]
    }
    assert {name: (item["packageManager"], item["fixedInVersion"]) for name, item in packages.items()} == {
        "CVE-2026-10101": ("OS", "0:1.36.1-r16"),
        "CVE-2026-20004": ("PYTHONPKG", "3.0.1"),
        "CVE-2026-20005": ("JAR", "2.17.0"),
    }


def test_three_and_twenty_eight(ecr: Any, docker: RegistryClient, repository: str) -> None:
    """The course's: basic scanning would only catch the three."""
    layers = (debian(zlib="1:1.2.13.dfsg-1", bash="5.2.15-2"), node(leftish="4.17.20"), python(vessel="3.0.0"))
    push(docker, repository, "a", "v1", layers=layers)
    assert len(names_of(settled(ecr, repository, imageTag="v1"))) == 3
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "b", "v2", layers=layers)
        found = settled(ecr, repository, imageTag="v2")
    managers = [
        item["packageVulnerabilityDetails"]["vulnerablePackages"][0]["packageManager"]
        for item in found["imageScanFindings"]["enhancedFindings"]
    ]
    assert sorted(managers) == ["NODEPKG", "NODEPKG", "OS", "OS", "OS", "PYTHONPKG"]


def test_fixed_packages_are_not_found(ecr: Any, docker: RegistryClient, repository: str) -> None:
    fixed = (
        debian(openssl="3.0.11-1~deb12u3"),
        python(vessel="3.0.1"),
        layer({"app/logs.jar": jar("org.example", "logs", "2.17.0")}),
    )
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "a", "v1", layers=fixed)
        found = settled(ecr, repository, imageTag="v1")["imageScanFindings"]
    assert found["findingSeverityCounts"] == {}
    assert found["enhancedFindings"] == []


def test_what_a_higher_layer_removes_is_not_found(ecr: Any, docker: RegistryClient, repository: str) -> None:
    removed = layer({"app/node_modules/.wh.leftish": ""})
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "a", "v1", layers=(debian(openssl="4"), node(leftish="4.17.20"), removed))
        assert names_of(settled(ecr, repository, imageTag="v1")) == []


def test_the_summary_of_describe_images(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    told = settled(ecr, repository, imageTag="v1")["imageScanFindings"]

    (detail,) = ecr.describe_images(repositoryName=repository)["imageDetails"]

    assert detail["imageScanStatus"] == {"status": "COMPLETE", "description": "The scan was completed successfully."}
    assert detail["imageScanFindingsSummary"] == {name: value for name, value in told.items() if name != "findings"}


def test_the_events_of_a_scan(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "a", "v1", "v1.0", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")
    broken = push(docker, repository, "b", layers=(b"no archive",))
    settled(ecr, repository, imageDigest=broken.digest)

    done, failed = events_of(server, "ECR Image Scan", repository)

    assert (done["source"], done["account"], done["region"]) == ("aws.ecr", ACCOUNT, "us-east-1")
    assert done["resources"] == [arn_of(repository)]
    assert done["detail"] == {
        "scan-status": "COMPLETE",
        "repository-name": repository,
        "finding-severity-counts": COUNTS,
        "image-digest": image.digest,
        "image-tags": ["v1", "v1.0"],
    }
    assert failed["detail"] == {
        "scan-status": "FAILED",
        "repository-name": repository,
        "finding-severity-counts": {},
        "image-digest": broken.digest,
        "image-tags": [],
    }


def test_the_events_of_an_enhanced_scan(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    with enhanced(ecr, on_push=[repository]):
        image = push(docker, repository, "a", "v1", layers=(debian(zlib="1:1.2.13.dfsg-1"),))
        settled(ecr, repository, imageTag="v1")

    (done,) = events_of(server, "Inspector2 Scan", repository)
    assert events_of(server, "ECR Image Scan", repository) == []
    assert (done["source"], done["resources"]) == ("aws.inspector2", [arn_of(repository)])
    assert done["detail"] == {
        "scan-status": "INITIAL_SCAN_COMPLETE",
        "repository-name": arn_of(repository),
        "finding-severity-counts": {"CRITICAL": 1, "TOTAL": 1},
        "image-digest": image.digest,
        "image-tags": ["v1"],
    }


@ON_ONE_PLACE
def test_known_exploits_are_told(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    hole = debian_record("CVE-2026-30200", "exploited", vector=CRITICAL)
    catalogue = vulnerabilities.folder / "kev.json"
    catalogue.write_text('{"vulnerabilities": [{"cveID": "CVE-2026-30200", "dateAdded": "2026-03-01"}]}')
    vulnerabilities.publish(hole, flags=("--kev", str(catalogue)))
    try:
        with enhanced(ecr, on_push=[repository]):
            push(docker, repository, "a", "v1", layers=(debian(exploited="1.0", zlib="1:1.2.13.dfsg-1"),))
            found = settled(ecr, repository, imageTag="v1")["imageScanFindings"]["enhancedFindings"]
    finally:
        vulnerabilities.publish()
    told = {item["title"]: item["exploitAvailable"] for item in found}
    assert told == {"CVE-2026-30200 - exploited": "YES", "CVE-2026-10001 - zlib": "NO"}
