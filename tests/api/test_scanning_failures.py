"""What a scan could not judge is FAILED with its reason, or told as a gap: an unknown never reads as clean."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from openecr.services.ecr.scanning import requests
from tests.api.support import make_image, push, push_manifest, upload
from tests.places import ON_AN_OBJECT_STORE_TOO, ON_ONE_PLACE
from tests.registry_client import OCI_MANIFEST, RegistryClient, descriptor, digest_of
from tests.running import Server
from tests.scanned_images import (
    OLD_ROOT,
    VulnerabilityData,
    alpine,
    debian,
    enhanced,
    layer,
    names_of,
    node,
    python,
    record,
    settled,
    status_of,
    unknown_distribution,
)

pytestmark = [ON_AN_OBJECT_STORE_TOO, pytest.mark.usefixtures("vulnerabilities")]
UNSUPPORTED = (
    "FAILED",
    "UnsupportedImageError: The operating system and/or package manager are not supported.",
)
NO_DATA = ("FAILED", "ScanError: there is no vulnerability data; run openecr vulndb update")
ON_PUSH = "Scan on push is selected for image."


@pytest.fixture
def repository(ecr: Any, repository_name: str) -> str:
    """One that scans what is pushed."""
    ecr.create_repository(repositoryName=repository_name, imageScanningConfiguration={"scanOnPush": True})
    return repository_name


@pytest.fixture
def scanned_in_full(ecr: Any, repository: str) -> Iterator[None]:
    """Enhanced scanning of that repository."""
    with enhanced(ecr, on_push=[repository]):
        yield


def require_nothing_told(ecr: Any, name: str, found: dict[str, Any]) -> None:
    """A scan that failed has no findings, and no summary that would read as clean."""
    assert found["imageScanFindings"] == {}
    (detail,) = ecr.describe_images(repositoryName=name, imageIds=[found["imageId"]])["imageDetails"]
    assert detail["imageScanStatus"] == found["imageScanStatus"]
    assert "imageScanFindingsSummary" not in detail


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param((layer({"app/program": b"\x7fELF"}),), id="from scratch"),
        pytest.param((python(vessel="3.0.0"),), id="a language alone"),
        pytest.param((layer({"etc/os-release": 'ID=debian\nVERSION_ID="12"\n'}),), id="no package manager"),
        pytest.param(
            (layer({"var/lib/dpkg/status": "Package: a\nStatus: a b installed\nVersion: 1\n"}),), id="no system"
        ),
    ],
)
def test_basic_scanning_needs_a_system(
    ecr: Any, docker: RegistryClient, repository: str, layers: tuple[bytes, ...]
) -> None:
    push(docker, repository, "a", "v1", layers=layers)

    found = settled(ecr, repository, imageTag="v1")

    assert status_of(found) == UNSUPPORTED
    require_nothing_told(ecr, repository, found)


@pytest.mark.usefixtures("scanned_in_full")
def test_enhanced_scanning_needs_anything(ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "a", "v1", layers=(layer({"app/program": b"\x7fELF"}),))
    found = settled(ecr, repository, imageTag="v1")
    assert status_of(found) == ("UNSUPPORTED_IMAGE", "The image is not supported.")
    require_nothing_told(ecr, repository, found)

    push(docker, repository, "b", "v2", layers=(python(vessel="3.0.0"),))
    found = settled(ecr, repository, imageTag="v2")
    assert (status_of(found), names_of(found)) == (("COMPLETE", ON_PUSH), ["CVE-2026-20004"])


@pytest.mark.parametrize("kind", ["basic", "enhanced"])
def test_a_distribution_that_there_is_no_data_of(
    ecr: Any, docker: RegistryClient, repository: str, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "enhanced":
        request.getfixturevalue("scanned_in_full")
    newer = layer(
        {"etc/os-release": "ID=alpine\nVERSION_ID=3.99.0\n", "lib/apk/db/installed": "P:busybox\nV:1\nA:x86_64\n"}
    )
    for tag, root, name in (("v1", unknown_distribution(zlib="1"), "Example 1"), ("v2", newer, "alpine 3.99.0")):
        push(docker, repository, tag, tag, layers=(root, python(vessel="3.0.0")))
        found = settled(ecr, repository, imageTag=tag)
        told = f"ScanError: there is no vulnerability data for {name}; run openecr vulndb update"
        assert status_of(found) == ("FAILED", told)
        require_nothing_told(ecr, repository, found)


def test_without_data_a_scan_fails_and_with_it_succeeds_by_itself(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    with vulnerabilities.none():
        push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
        found = settled(ecr, repository, imageTag="v1")
        assert status_of(found) == NO_DATA
        require_nothing_told(ecr, repository, found)

    vulnerabilities.publish()

    found = settled(ecr, repository, imageTag="v1")
    assert (found["imageScanStatus"]["status"], len(names_of(found))) == ("COMPLETE", 6)


def test_a_scan_that_fails_after_one_that_did_not_tells_nothing_of_it(
    vulnerabilities: VulnerabilityData, server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    """Neither when it failed nor while it is made again: counts without findings would read as clean."""
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")
    with vulnerabilities.none():
        ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": "v1"})
        found = settled(ecr, repository, imageTag="v1")
        assert status_of(found) == NO_DATA
        require_nothing_told(ecr, repository, found)
    with held_scans(server, repository, ecr):
        found = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
        assert status_of(found) == ("IN_PROGRESS", "The scan is in progress.")
        require_nothing_told(ecr, repository, found)


def test_findings_of_the_last_scan_stay_readable_while_another_is_made(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    before = settled(ecr, repository, imageTag="v1")
    with held_scans(server, repository, ecr):
        found = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})
        assert status_of(found) == ("IN_PROGRESS", "The scan is in progress.")
        assert found["imageScanFindings"] == before["imageScanFindings"]


class held_scans:  # noqa: N801 - reads as a context
    """As long as the scan of v1 is owed and none is made."""

    def __init__(self, server: Server, name: str, ecr: Any) -> None:
        self._server, self._name, self._ecr = server, name, ecr

    def __enter__(self) -> None:
        (self._key,) = self._server.rows(
            "SELECT i.id FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = :name",
            name=self._name,
        )[0]

        def owe(db: Any) -> None:
            requests.owe(db, self._key, "BASIC", db.clock_us())
            db.run("UPDATE job SET due_us = due_us + 3600000000 WHERE dedup = :key", key=requests.job_key(self._key))

        self._server.write(owe)

    def __exit__(self, *_: object) -> None:
        self._server.execute("UPDATE job SET due_us = 0 WHERE dedup = :key", key=requests.job_key(self._key))
        settled(self._ecr, self._name, imageTag="v1")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no archive", ""), (debian(**OLD_ROOT)[:-40], ""), (b"\x1f\x8b\x08" + b"\0" * 40, "")],
    ids=["no archive", "cut", "no stream"],
)
def test_a_layer_that_cannot_be_read(
    ecr: Any, docker: RegistryClient, repository: str, content: bytes, reason: str
) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT), content))

    found = settled(ecr, repository, imageTag="v1")

    status, description = status_of(found)
    assert status == "FAILED"
    assert description.startswith(f"ScanError: {reason}")
    assert len(description) > len("ScanError: ")
    require_nothing_told(ecr, repository, found)


def test_files_that_cannot_be_read_are_told(ecr: Any, docker: RegistryClient, repository: str) -> None:
    broken = layer({"app/node_modules/leftish/package.json": "{not json", "app/some.jar": b"PK\x03\x04nothing"})
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT), broken))
        found = settled(ecr, repository, imageTag="v1")

    status, description = status_of(found)
    assert (status, len(names_of(found))) == ("COMPLETE", 6)
    assert description.startswith(f"{ON_PUSH} 2 files could not be read: ")
    assert "app/node_modules/leftish/package.json: " in description
    assert "app/some.jar: " in description


def test_languages_that_there_is_no_data_of_are_told(ecr: Any, docker: RegistryClient, repository: str) -> None:
    crates = layer({"app/Gemfile.lock": "GEM\n  remote: https://gems.example/\n  specs:\n    rack (2.0.0)\n"})
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT), crates))
    assert status_of(settled(ecr, repository, imageTag="v1")) == ("COMPLETE", "The scan was completed successfully.")
    with enhanced(ecr, on_push=[repository]):
        push(docker, repository, "b", "v2", layers=(debian(**OLD_ROOT), crates, node(leftish="4.17.20")))
        found = settled(ecr, repository, imageTag="v2")
    assert status_of(found) == ("COMPLETE", f"{ON_PUSH} There is no vulnerability data for RubyGems.")


def test_data_that_is_too_old_is_told(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    vulnerabilities.publish_old(days=9)
    try:
        push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
        found = settled(ecr, repository, imageTag="v1")
    finally:
        vulnerabilities.publish()

    assert status_of(found) == (
        "COMPLETE",
        "The scan was completed successfully. The vulnerability data is 9 days old; run openecr vulndb update.",
    )
    assert len(names_of(found)) == 6


def test_a_disabled_key_fails_the_scan(ecr: Any, kms: Any, docker: RegistryClient, repository_name: str) -> None:
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    ecr.create_repository(
        repositoryName=repository_name, encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key}
    )
    image = push(docker, repository_name, "a", "v1", layers=(debian(bash="5.2.15-2", about="a key of its own"),))
    kms.disable_key(KeyId=key)
    try:
        ecr.start_image_scan(repositoryName=repository_name, imageId={"imageTag": "v1"})
        found = settled(ecr, repository_name, imageTag="v1")
        status, description = status_of(found)
        assert status == "FAILED"
        assert description.startswith("ScanError: ")
        assert key in description
        assert "disabled" in description.lower()
    finally:
        kms.enable_key(KeyId=key)

    ecr.start_image_scan(repositoryName=repository_name, imageId={"imageDigest": image.digest})
    assert len(names_of(settled(ecr, repository_name, imageTag="v1"))) == 2


@ON_ONE_PLACE
def test_damaged_bytes_fail_the_scan(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    content = debian(bash="5.2.15-2", about="to be damaged")
    image = upload(docker, repository, make_image("a", content))
    ((object_id,),) = server.rows(
        "SELECT b.object_id FROM layer l JOIN blob b ON b.id = l.blob_key WHERE l.digest = :digest",
        digest=bytes([1]) + bytes.fromhex(digest_of(content).partition(":")[2]),
    )
    server.swap_object(object_id, lambda stored: stored[:20] + bytes(len(stored) - 20))
    push_manifest(docker, repository, image.manifest, "v1")

    status, description = status_of(settled(ecr, repository, imageTag="v1"))

    assert status == "FAILED"
    assert description.startswith("ScanError: ")


@ON_ONE_PLACE
def test_damaged_data_fails_the_scan(
    vulnerabilities: VulnerabilityData, server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    # A build that no process has opened, nor a copy of: the object is all there is.
    vulnerabilities.publish()
    ((object_id,),) = server.rows("SELECT object_id FROM vulnerability_data ORDER BY generation DESC LIMIT 1")
    server.execute(
        "UPDATE vulnerability_data SET generation = generation + 1 WHERE object_id = :object", object=object_id
    )
    kept = server.swap_object(object_id, lambda stored: bytes(len(stored)))
    try:
        push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
        found = settled(ecr, repository, imageTag="v1")
        told = "ScanError: the vulnerability data cannot be read; run openecr vulndb update"
        assert status_of(found) == ("FAILED", told)
    finally:
        server.swap_object(object_id, lambda _: kept)
        vulnerabilities.publish()


@ON_ONE_PLACE
def test_a_scan_whose_job_is_dead_has_failed(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    push(docker, repository, "a", "v1", layers=(debian(**OLD_ROOT),))
    settled(ecr, repository, imageTag="v1")
    server.execute(
        "UPDATE image_scan SET status = 'IN_PROGRESS' WHERE image_key IN (SELECT i.id FROM image i"
        " JOIN repository r ON r.id = i.repository_key WHERE r.name = :name)",
        name=repository,
    )

    found = ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": "v1"})

    assert status_of(found) == ("FAILED", "ScanError: the scan did not end; openecr jobs says why.")
    assert found["imageScanFindings"] == {}


@ON_ONE_PLACE
def test_configs_that_say_nothing_cost_nothing(ecr: Any, docker: RegistryClient, repository: str) -> None:
    content = debian(**OLD_ROOT)
    docker.push_blob(repository, content)
    for number, config in enumerate(
        (b"not json", b"[]", json.dumps({"architecture": 7, "author": "x" * 9999}).encode())
    ):
        docker.push_blob(repository, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(content, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        push_manifest(docker, repository, json.dumps(manifest).encode(), f"v{number}")
        assert len(names_of(settled(ecr, repository, imageTag=f"v{number}"))) == 6


@ON_ONE_PLACE
def test_an_alpine_and_its_data(
    vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    never = record("ALPINE-CVE-2026-30300", "Alpine:v3.19", "musl", "0", upstream=["CVE-2026-30300"])
    vulnerabilities.publish(never)
    push(docker, repository, "a", "v1", layers=(alpine(musl="1.2.4-r2", busybox="1.36.1-r16"),))
    assert names_of(settled(ecr, repository, imageTag="v1")) == []
