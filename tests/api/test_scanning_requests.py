"""When images are scanned: on push, by StartImageScan, after a restore; and what is never scanned."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from openecr.services.ecr.scanning import requests
from tests.api.support import (
    ABSENT_DIGEST,
    ACCOUNT,
    denied,
    error_of,
    make_image,
    members_of,
    push,
    push_manifest,
    repository_missing,
    upload,
)
from tests.places import ON_EVERY_PLACE, ON_ONE_PLACE
from tests.registry_client import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, RegistryClient, descriptor, digest_of
from tests.running import OTHER_ACCOUNT, Server
from tests.scanned_images import (
    FIXED_ROOT,
    OLD_ROOT,
    VulnerabilityData,
    debian,
    enhanced,
    names_of,
    node,
    settled,
    status_of,
)
from tests.waiting import wait_until

pytestmark = [ON_EVERY_PLACE, pytest.mark.usefixtures("vulnerabilities")]
HOUR_US = 3600 * 1_000_000
COMPLETE = ("COMPLETE", "The scan was completed successfully.")
QUOTA = ("LimitExceededException", "The scan quota per image has been exceeded. Wait and try again.")
DISABLED = ("ValidationException", "This feature is disabled")


def start(ecr: Any, name: str, **image_id: str) -> dict[str, Any]:
    return members_of(ecr.start_image_scan(repositoryName=name, imageId=image_id))


def refusal(ecr: Any, name: str, **image_id: str) -> tuple[str, str]:
    return error_of(ecr.start_image_scan, repositoryName=name, imageId=image_id)


def never_scanned(name: str, digest: str = "null", tag: str = "null") -> tuple[str, str]:
    return (
        "ScanNotFoundException",
        (
            f"Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{tag}'}}' "
            f"in the repository with name '{name}' in the registry with id '{ACCOUNT}'"
        ),
    )


def findings_error(ecr: Any, name: str, **image_id: str) -> tuple[str, str]:
    return error_of(ecr.describe_image_scan_findings, repositoryName=name, imageId=image_id)


def scan_on_push(ecr: Any, name: str) -> None:
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})


def passed(server: Server, name: str, us: int) -> None:
    """Let time have passed since the manual scans of a repository."""
    assert server.execute(
        "UPDATE image_scan SET manual_us = manual_us - :us WHERE manual_us IS NOT NULL AND image_key IN"
        " (SELECT i.id FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = :name)",
        us=us,
        name=name,
    )


def platform_index(*members: tuple[bytes, str, str], **more: Any) -> bytes:
    """An index of (manifest, os, architecture)."""
    described = [
        descriptor(manifest, OCI_MANIFEST, platform={"os": system, "architecture": architecture})
        for manifest, system, architecture in members
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": described, **more}).encode()


def test_a_repository_with_the_flag_scans_what_is_pushed(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)

    image = push(docker, repository, "a", "v1", layers=(debian(**FIXED_ROOT),))

    # Registered in the transaction of the push: the SDKs' waiter gives up on an image without a scan.
    assert status_of(ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"}))[0] in (
        "IN_PROGRESS",
        "COMPLETE",
    )
    found = settled(ecr, repository, imageTag="v1")
    assert status_of(found) == COMPLETE
    assert found["imageId"] == {"imageDigest": image.digest, "imageTag": "v1"}
    assert found["imageScanFindings"]["findingSeverityCounts"] == {}


def test_the_registrys_rule_scans_what_is_pushed(ecr: Any, docker: RegistryClient, repository: str) -> None:
    rule = {
        "scanFrequency": "SCAN_ON_PUSH",
        "repositoryFilters": [{"filter": repository, "filterType": "WILDCARD"}],
    }
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule])
    try:
        push(docker, repository, "a", "v1", layers=(debian(**FIXED_ROOT),))
        assert status_of(settled(ecr, repository, imageTag="v1")) == COMPLETE
    finally:
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])


def test_an_image_that_nobody_scans(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "a", "v1", layers=(debian(**FIXED_ROOT),))

    assert findings_error(ecr, repository, imageTag="v1") == never_scanned(repository, tag="v1")
    assert findings_error(ecr, repository, imageDigest=image.digest) == never_scanned(repository, image.digest)
    (detail,) = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert not {"imageScanStatus", "imageScanFindingsSummary"} & detail.keys()


def test_what_was_pushed_again_keeps_its_scan(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    first = settled(ecr, repository, imageTag="v1")

    push_manifest(docker, repository, image.manifest, "v2")

    again = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v2"})
    assert again["imageScanFindings"] == first["imageScanFindings"]


def test_what_is_pushed_again_and_has_no_scan_gets_one(ecr: Any, docker: RegistryClient, repository: str) -> None:
    """None by the registry's type of scanning, or one that failed: a pipeline that pushes again waits for it."""
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    with enhanced(ecr, on_push=[repository]):
        push_manifest(docker, repository, image.manifest, "v2")
        assert len(names_of(settled(ecr, repository, imageTag="v2"))) == 6
    assert findings_error(ecr, repository, imageTag="v2") == never_scanned(repository, tag="v2")


def test_a_scan_that_failed_is_made_again_by_a_push(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    scan_on_push(ecr, repository)
    with vulnerabilities.none():
        image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
        assert status_of(settled(ecr, repository, imageTag="v1"))[0] == "FAILED"
    push_manifest(docker, repository, image.manifest, "v1")
    assert status_of(settled(ecr, repository, imageTag="v1")) == COMPLETE


def test_a_scan_is_started_by_tag_and_by_digest(ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    other = push(docker, repository, "b", layers=(debian(**OLD_ROOT),))

    answer = start(ecr, repository, imageTag="v1")

    assert answer == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageId": {"imageDigest": image.digest, "imageTag": "v1"},
        "imageScanStatus": {"status": "IN_PROGRESS", "description": "The scan is in progress."},
    }
    assert start(ecr, repository, imageDigest=other.digest)["imageId"] == {"imageDigest": other.digest}
    for digest in (image.digest, other.digest):
        assert status_of(settled(ecr, repository, imageDigest=digest)) == COMPLETE


def test_one_manual_scan_a_day(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")

    start(ecr, repository, imageTag="v1")  # the scan on push does not count

    assert refusal(ecr, repository, imageTag="v1") == QUOTA
    settled(ecr, repository, imageTag="v1")
    assert refusal(ecr, repository, imageTag="v1") == QUOTA
    passed(server, repository, 24 * HOUR_US - 60_000_000)
    assert refusal(ecr, repository, imageTag="v1") == QUOTA
    passed(server, repository, 60_000_000)
    start(ecr, repository, imageTag="v1")


def test_each_image_has_a_scan_of_its_own_a_day(ecr: Any, docker: RegistryClient, repository: str) -> None:
    for tag in ("v1", "v2"):
        push(docker, repository, tag, tag, layers=(debian(**OLD_ROOT),))
        start(ecr, repository, imageTag=tag)
    assert refusal(ecr, repository, imageTag="v1") == refusal(ecr, repository, imageTag="v2") == QUOTA


def test_newer_data_allows_another_scan(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    start(ecr, repository, imageTag="v1")
    settled(ecr, repository, imageTag="v1")
    assert refusal(ecr, repository, imageTag="v1") == QUOTA

    vulnerabilities.publish()

    start(ecr, repository, imageTag="v1")
    settled(ecr, repository, imageTag="v1")
    assert refusal(ecr, repository, imageTag="v1") == QUOTA


def test_a_scan_that_failed_does_not_count(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    with vulnerabilities.none():
        start(ecr, repository, imageTag="v1")
        assert status_of(settled(ecr, repository, imageTag="v1"))[0] == "FAILED"
        start(ecr, repository, imageTag="v1")
        settled(ecr, repository, imageTag="v1")

    start(ecr, repository, imageTag="v1")
    assert status_of(settled(ecr, repository, imageTag="v1")) == COMPLETE
    assert refusal(ecr, repository, imageTag="v1") == QUOTA


def test_what_is_not_there_is_not_scanned(ecr: Any, docker: RegistryClient, repository: str) -> None:
    def missing(digest: str = "null", tag: str = "null") -> tuple[str, str]:
        return (
            "ImageNotFoundException",
            (
                f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the "
                f"repository with name '{repository}' in the registry with id '{ACCOUNT}'"
            ),
        )

    push(docker, repository, "a", "v1")
    for refused in (refusal, findings_error):
        assert refused(ecr, repository, imageTag="v9") == missing(tag="v9")
        assert refused(ecr, repository, imageDigest=ABSENT_DIGEST) == missing(ABSENT_DIGEST)
        assert refused(ecr, "not/there", imageTag="v1") == repository_missing("not/there")


def test_artifacts_are_not_scanned(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    subject = push(docker, repository, "a", "v1", layers=(debian(**FIXED_ROOT),))
    content, empty = b"signature", b"{}"
    artifact = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example+json",
            "config": descriptor(empty, "application/vnd.oci.empty.v1+json"),
            "layers": [descriptor(content, "application/vnd.example+json")],
            "subject": descriptor(subject.manifest, OCI_MANIFEST),
        }
    ).encode()
    attestation = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(empty, OCI_CONFIG),
            "layers": [descriptor(content, "application/vnd.in-toto+json")],
        }
    ).encode()
    for blob in (content, empty):
        docker.push_blob(repository, blob)

    for tag, manifest in (("sig", artifact), ("att", attestation)):
        digest = push_manifest(docker, repository, manifest, tag)
        unsupported = "The image with imageId {imageDigest:'%s', imageTag:'%s'} is of a type that cannot be scanned"
        for image_id, shown in (({"imageTag": tag}, tag), ({"imageDigest": digest}, "null")):
            assert refusal(ecr, repository, **image_id) == (
                "UnsupportedImageTypeException",
                unsupported % (digest, shown),
            )
        assert findings_error(ecr, repository, imageTag=tag) == never_scanned(repository, tag=tag)


def test_an_index_answers_with_its_platforms(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    one = push(docker, repository, "one", layers=(debian(zlib="1:1.2.13.dfsg-1"),))
    two = push(docker, repository, "two", layers=(debian(zlib="1:1.2.13.dfsg-1", bash="5.2.15-2"),))
    attestation = push(docker, repository, "att")  # a layer of another kind would be told apart by that alone
    index = platform_index(
        (one.manifest, "linux", "amd64"), (two.manifest, "linux", "arm64"), (attestation.manifest, "unknown", "unknown")
    )

    digest = push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)

    found = settled(ecr, repository, imageTag="all")
    assert status_of(found) == COMPLETE
    assert found["imageId"] == {"imageDigest": digest, "imageTag": "all"}
    assert names_of(found) == ["CVE-2026-10001", "CVE-2026-10005", "CVE-2026-10006"]
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "INFORMATIONAL": 1, "UNDEFINED": 1}
    (detail,) = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "all"}])["imageDetails"]
    assert detail["imageScanStatus"]["status"] == "COMPLETE"
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == {
        "CRITICAL": 1,
        "INFORMATIONAL": 1,
        "UNDEFINED": 1,
    }
    assert names_of(settled(ecr, repository, imageDigest=one.digest)) == ["CVE-2026-10001"]
    assert start(ecr, repository, imageTag="all")["imageScanStatus"]["status"] == "IN_PROGRESS"
    assert names_of(settled(ecr, repository, imageTag="all")) == names_of(found)


def test_an_index_fails_where_a_member_does(ecr: Any, docker: RegistryClient, repository: str) -> None:
    good = push(docker, repository, "good", layers=(debian(**FIXED_ROOT),))
    bad = push(docker, repository, "bad", layers=(b"no archive",))
    index = platform_index((good.manifest, "linux", "amd64"), (bad.manifest, "linux", "arm64"))
    push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)

    start(ecr, repository, imageTag="all")

    status, description = status_of(settled(ecr, repository, imageTag="all"))
    assert status == "FAILED"
    assert description.startswith("ScanError: ")
    assert description.endswith(f"(member {bad.digest})")


def test_an_index_without_platforms_is_told(ecr: Any, docker: RegistryClient, repository: str) -> None:
    attestation = push(docker, repository, "att", layers=(debian(**OLD_ROOT),))
    index = platform_index((attestation.manifest, "unknown", "unknown"))
    push_manifest(docker, repository, index, "all", media_type=OCI_INDEX)

    start(ecr, repository, imageTag="all")

    assert status_of(settled(ecr, repository, imageTag="all")) == (
        "FAILED",
        "UnsupportedImageError: The operating system and/or package manager are not supported.",
    )


def test_an_archived_image(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    image = push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")

    def move(target: str) -> None:
        ecr.update_image_storage_class(
            repositoryName=repository, imageId={"imageDigest": image.digest}, targetStorageClass=target
        )

    move("ARCHIVE")
    archived = ("ImageArchivedException", "The specified image is archived and cannot be scanned.")
    assert refusal(ecr, repository, imageTag="v1") == archived
    found = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
    assert status_of(found) == ("IMAGE_ARCHIVED", "The image is archived.")
    assert found["imageScanFindings"] == {}
    asked = {"repositoryName": repository, "filter": {"imageStatus": "ARCHIVED"}}
    (detail,) = ecr.describe_images(**asked)["imageDetails"]
    assert detail["imageScanStatus"]["status"] == "IMAGE_ARCHIVED"
    assert "imageScanFindingsSummary" not in detail

    move("STANDARD")
    assert refusal(ecr, repository, imageTag="v1") == archived
    assert server.execute("UPDATE job SET due_us = 0 WHERE kind = 'restore-image' AND state = 'ready'")
    active = {"repositoryName": repository, "filter": {"imageStatus": "ACTIVE"}}
    wait_until(lambda: ecr.describe_images(**active)["imageDetails"], "the image is restored")
    again = settled(ecr, repository, imageTag="v1")  # as scan on push applies
    assert (status_of(again), len(names_of(again))) == (COMPLETE, 6)


def test_enhanced_scanning_takes_no_orders(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    with enhanced(ecr, on_push=[repository]):
        assert refusal(ecr, repository, imageTag="v1") == DISABLED
    start(ecr, repository, imageTag="v1")


def test_enhanced_scanning_by_rule_alone(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    with enhanced(ecr, on_push=["another"]):
        push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
        assert findings_error(ecr, repository, imageTag="v1") == never_scanned(repository, tag="v1")
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "b", "v2", layers=(debian(**OLD_ROOT),))
        told = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v2"})
        assert status_of(told) in (
            ("PENDING", "The initial scan is pending."),
            ("COMPLETE", "Scan on push is selected for image."),
        )
        assert status_of(settled(ecr, repository, imageTag="v2")) == (
            "COMPLETE",
            "Scan on push is selected for image.",
        )
    with enhanced(ecr, on_push=[repository], continuous=[repository]):
        push(docker, repository, "c", "v3", layers=(debian(**OLD_ROOT),))
        assert status_of(settled(ecr, repository, imageTag="v3")) == (
            "ACTIVE",
            "Continuous scan is selected for image.",
        )


def test_the_other_types_scans_are_hidden_and_come_back(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT), node(leftish="4.17.20")))
    basic = settled(ecr, repository, imageTag="v1")

    with enhanced(ecr, on_push=[repository]):
        assert findings_error(ecr, repository, imageTag="v1") == never_scanned(repository, tag="v1")
        (detail,) = ecr.describe_images(repositoryName=repository)["imageDetails"]
        assert not {"imageScanStatus", "imageScanFindingsSummary"} & detail.keys()
        push(docker, repository, "b", "v2", layers=(debian(**OLD_ROOT), node(leftish="4.17.20")))
        assert len(names_of(settled(ecr, repository, imageTag="v2"))) == 8

    again = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
    assert members_of(again) == members_of(basic)
    assert findings_error(ecr, repository, imageTag="v2") == never_scanned(repository, tag="v2")


def test_deleted_images_and_repositories(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    before = settled(ecr, repository, imageTag="v1")

    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert findings_error(ecr, repository, imageTag="v1")[0] == "ImageNotFoundException"
    server.command("undelete", f"{repository}:v1")
    after = settled(ecr, repository, imageTag="v1")  # what was found went with the image: it is scanned like a push
    assert after["imageScanFindings"]["findings"] == before["imageScanFindings"]["findings"]

    ecr.delete_repository(repositoryName=repository, force=True)
    assert findings_error(ecr, repository, imageTag="v1") == repository_missing(repository)
    server.command("undelete", repository)
    again = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
    assert members_of(again) == members_of(after)


def test_a_scan_that_met_its_repository_in_the_trash_is_made_when_it_is_back(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    scan_on_push(ecr, repository)
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")
    ((image_key,),) = server.rows(
        "SELECT i.id FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = :name", name=repository
    )
    ecr.delete_repository(repositoryName=repository, force=True)
    server.write(lambda db: requests.owe(db, image_key, "BASIC", db.clock_us()))
    key = requests.job_key(image_key)
    wait_until(
        lambda: not server.rows("SELECT 1 FROM job WHERE dedup = :key", key=key), "the job found it in the trash"
    )

    server.command("undelete", repository)

    assert status_of(settled(ecr, repository, imageTag="v1")) == COMPLETE


@ON_ONE_PLACE
def test_rights(ecr: Any, other_ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    calls: dict[str, Callable[..., Any]] = {
        "ecr:StartImageScan": other_ecr.start_image_scan,
        "ecr:DescribeImageScanFindings": other_ecr.describe_image_scan_findings,
    }
    for action, call in calls.items():
        resource = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"
        refused = error_of(call, registryId=ACCOUNT, repositoryName=repository, imageId={"imageTag": "v1"})
        assert refused == denied(OTHER_ACCOUNT, action, resource)


def test_the_waiter_of_the_sdk_returns(ecr: Any, docker: RegistryClient, repository: str) -> None:
    scan_on_push(ecr, repository)
    image = upload(docker, repository, make_image("a", debian(**OLD_ROOT)))
    push_manifest(docker, repository, image.manifest, "v1")
    waiter = ecr.get_waiter("image_scan_complete")

    waiter.wait(repositoryName=repository, imageId={"imageTag": "v1"}, WaiterConfig={"Delay": 1})

    assert digest_of(image.manifest) == image.digest
    found = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
    assert status_of(found) == COMPLETE
