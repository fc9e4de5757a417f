"""What operators and pipelines ask of scans: ``openecr gate``, ``pull-gate``, ``vulns`` and ``events``."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openecr.services.ecr.scanning import requests
from tests.api.support import ACCOUNT, Image, push, push_manifest
from tests.object_store import ObjectStore
from tests.postgres import Cluster
from tests.registry_client import OCI_MANIFEST, RegistryClient, descriptor
from tests.running import Server, environment, running
from tests.scanned_images import (
    FIXED_ROOT,
    OLD_ROOT,
    VulnerabilityData,
    debian,
    enhanced,
    layer,
    node,
    settled,
)
from tests.waiting import wait_until

DAY_US = 86_400 * 1_000_000
PASSES, FAILED, WRONG, REFUSED = 0, 1, 2, 3


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with two workers: a gate is in force on each of them."""
    database = None
    flags: tuple[str, ...] = ("--workers", "2")
    variables: dict[str, str] = {}
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        store: ObjectStore = request.getfixturevalue("object_store")
        database, variables = cluster.create_database(), store.credentials
        flags += ("--blobs", store.url(store.new_bucket()))
    with running(tmp_path_factory.mktemp("gates"), *flags, database=database, variables=variables) as started:
        yield started


@pytest.fixture(scope="module")
def vulnerabilities(server: Server, tmp_path_factory: pytest.TempPathFactory) -> VulnerabilityData:
    data = VulnerabilityData(server, tmp_path_factory.mktemp("vulnerabilities"))
    data.publish()
    return data


@pytest.fixture(scope="module")
def ecr(server: Server) -> Any:
    return server.client("ecr")


@pytest.fixture(scope="module")
def docker(server: Server) -> RegistryClient:
    return RegistryClient(server.port, server.password())


@pytest.fixture
def repository(vulnerabilities: VulnerabilityData, ecr: Any, repository_name: str) -> str:
    """One that scans what is pushed."""
    ecr.create_repository(repositoryName=repository_name, imageScanningConfiguration={"scanOnPush": True})
    return repository_name


def scanned(ecr: Any, docker: RegistryClient, name: str, tag: str, *layers: bytes) -> Image:
    image = push(docker, name, tag, tag, layers=layers)
    settled(ecr, name, imageTag=tag)
    return image


def gate(server: Server, image: str, *flags: str) -> tuple[int, str]:
    """Exit status and what was said."""
    done = server.command("gate", image, *flags, check=False)
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def change_scan(server: Server, name: str, change: str) -> None:
    assert server.execute(
        f"UPDATE image_scan SET {change} WHERE image_key IN"
        " (SELECT i.id FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = :name)",
        name=name,
    )


def test_a_gate_counts(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    scanned(ecr, docker, repository, "old", debian(**OLD_ROOT))
    image = scanned(ecr, docker, repository, "latest", debian(bash="5.2.15-2", openssl="3.0.11-1~deb12u1"))
    scanned(ecr, docker, repository, "good", debian(**FIXED_ROOT))

    assert gate(server, f"{repository}:old") == (
        REFUSED,
        f"{repository}:old is not let through: 1 CRITICAL findings, at most 0 are allowed",
    )
    assert gate(server, f"{repository}:old", "--max-critical", "1")[0] == PASSES
    assert gate(server, f"{repository}:old", "--max-critical", "1", "--max-high", "0", "--max-low", "0") == (
        REFUSED,
        (
            f"{repository}:old is not let through: 1 HIGH findings, at most 0 are allowed; "
            "1 LOW findings, at most 0 are allowed"
        ),
    )
    counts = "1 HIGH, 1 MEDIUM, 1 LOW, 1 INFORMATIONAL, 1 UNDEFINED"
    for asked in (repository, f"{repository}@{image.digest}"):
        assert gate(server, asked, "--max-high", "1") == (PASSES, f"{asked} passes: {counts}")
    assert gate(server, f"{repository}:good", "--max-high", "0") == (PASSES, f"{repository}:good passes: no findings")
    status, text = gate(server, f"{repository}:old", "--json")
    told = json.loads(text)
    assert (status, told["passes"], told["counts"]["CRITICAL"]) == (REFUSED, False, 1)
    assert told["reasons"] == ["1 CRITICAL findings, at most 0 are allowed"]


def test_a_gate_closes_on_what_is_not_known(
    server: Server, vulnerabilities: VulnerabilityData, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={})
    push(docker, repository, "a", "latest", layers=(debian(**FIXED_ROOT),))
    assert gate(server, repository) == (REFUSED, f"{repository} is not let through: it was never scanned")

    ((key,),) = server.rows(
        "SELECT i.id FROM image i JOIN repository r ON r.id = i.repository_key WHERE r.name = :name", name=repository
    )

    def owe(db: Any) -> None:
        requests.owe(db, key, "BASIC", db.clock_us())
        db.run("UPDATE job SET due_us = due_us + 3600000000 WHERE dedup = :key", key=requests.job_key(key))

    server.write(owe)
    assert gate(server, repository) == (
        REFUSED,
        f"{repository} is not let through: its scan is IN_PROGRESS: The scan is in progress.",
    )
    server.execute("UPDATE job SET state = 'dead' WHERE dedup = :key", key=requests.job_key(key))
    assert gate(server, repository)[1].endswith(
        "its scan is FAILED: ScanError: the scan did not end; openecr jobs says why."
    )
    with vulnerabilities.none():
        ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": "latest"})
        settled(ecr, repository, imageTag="latest")
        told = "its scan is FAILED: ScanError: there is no vulnerability data; run openecr vulndb update"
        assert gate(server, repository) == (REFUSED, f"{repository} is not let through: {told}")
    assert gate(server, repository, "--accept-gaps")[0] == REFUSED
    ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": "latest"})
    settled(ecr, repository, imageTag="latest")
    assert gate(server, repository)[0] == PASSES
    assert gate(server, "not/there")[0] == gate(server, f"{repository}:not-there")[0] == FAILED
    assert gate(server, "NOT A NAME")[0] == FAILED
    assert gate(server, repository, "--max-critical", "-1")[0] == WRONG


def test_a_gate_closes_on_gaps_unless_told_otherwise(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    broken = layer({"app/node_modules/leftish/package.json": "{not json"})
    scanned(ecr, docker, repository, "latest", debian(**FIXED_ROOT), broken)

    status, text = gate(server, repository)

    assert status == REFUSED
    assert "1 files could not be read: app/node_modules/leftish/package.json: " in text
    assert gate(server, repository, "--accept-gaps")[0] == PASSES


@pytest.mark.parametrize("kind", ["scanned with old data", "scanned with data that grew old", "continuous"])
def test_a_gate_closes_on_old_data(
    server: Server,
    vulnerabilities: VulnerabilityData,
    ecr: Any,
    docker: RegistryClient,
    repository: str,
    kind: str,
) -> None:
    told = f"{repository} is not let through: The vulnerability data is 9 days old; run openecr vulndb update."
    if kind == "scanned with old data":
        vulnerabilities.publish_old(days=9)
        try:
            scanned(ecr, docker, repository, "latest", debian(**FIXED_ROOT))
        finally:
            vulnerabilities.publish()
        assert gate(server, repository) == (REFUSED, told)
        assert gate(server, repository, "--accept-gaps")[0] == PASSES
        return
    if kind == "scanned with data that grew old":
        scanned(ecr, docker, repository, "latest", debian(**FIXED_ROOT))
        assert gate(server, repository)[0] == PASSES
        change_scan(server, repository, f"data_built_us = data_built_us - {9 * DAY_US + DAY_US // 2}")
        assert gate(server, repository) == (REFUSED, told)
        return
    with enhanced(ecr, continuous=[repository]):
        scanned(ecr, docker, repository, "latest", debian(**FIXED_ROOT))
        change_scan(server, repository, f"data_built_us = data_built_us - {9 * DAY_US + DAY_US // 2}")
        assert gate(server, repository)[0] == PASSES  # it follows the data, which is new
        vulnerabilities.publish_old(days=9)
        try:
            assert gate(server, repository) == (REFUSED, told)
        finally:
            vulnerabilities.publish()


def pull_gate(server: Server, *arguments: str, check: bool = True) -> str:
    done = server.command("pull-gate", *arguments, check=check)
    return done.stdout.strip() if check else done.stderr.strip()


def refusals(server: Server, ecr: Any, docker: RegistryClient, name: str, image: Image, tag: str) -> set[str]:
    """What a pull is told, on both planes and by tag and digest, many times so that every worker answers; empty where
    it is served."""
    told = set()
    for reference in (tag, image.digest):
        for _ in range(3):
            answer = docker.request("GET", f"{docker.path(name)}/manifests/{reference}")
            assert answer.status in (200, 403)
            told.add("" if answer.status == 200 else answer.error[2])
            assert answer.status == 200 or answer.error[1] == "DENIED"
            asked = {"imageTag": tag} if reference == tag else {"imageDigest": image.digest}
            got = ecr.batch_get_image(repositoryName=name, imageIds=[asked])
            for failure in got["failures"]:
                assert failure["failureCode"] == "ImageInaccessible"
                told.add(failure["failureReason"])
            told |= {""} if got["images"] else set()
    return told


def test_a_pull_gate_refuses_at_once_what_it_is_told_to(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    old = scanned(ecr, docker, repository, "old", debian(**OLD_ROOT))
    good = scanned(ecr, docker, repository, "good", debian(**FIXED_ROOT))
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={})
    unscanned = push(docker, repository, "unscanned", "unscanned", layers=(debian(**FIXED_ROOT),))
    images = {"old": old, "good": good, "unscanned": unscanned}

    def all_refusals() -> dict[str, str]:
        found = {tag: refusals(server, ecr, docker, repository, image, tag) for tag, image in images.items()}
        assert all(len(told) == 1 for told in found.values()), found
        return {tag: told.pop() for tag, told in found.items()}

    def refusal(tag: str, reason: str) -> str:
        return (
            f"The pull gate of the repository with name '{repository}' in the registry with id '{ACCOUNT}' refuses "
            f"the image with digest '{images[tag].digest}': {reason}"
        )

    served = {"old": "", "good": "", "unscanned": ""}
    assert all_refusals() == served

    said = pull_gate(server, "set", repository, "--severity", "HIGH")
    assert said == f"{repository} refuses HIGH findings and worse and unscanned images"
    too_bad = refusal("old", "1 CRITICAL findings, at most 0 are allowed; 1 HIGH findings, at most 0 are allowed")
    assert all_refusals() == {
        "old": too_bad,
        "good": "",
        "unscanned": refusal("unscanned", "it was never scanned"),
    }

    pull_gate(server, "set", repository, "--severity", "critical", "--no-unscanned")
    assert all_refusals() == served | {"old": refusal("old", "1 CRITICAL findings, at most 0 are allowed")}
    pull_gate(server, "set", repository)
    assert all_refusals() == served | {"unscanned": refusal("unscanned", "it was never scanned")}
    ecr.start_image_scan(repositoryName=repository, imageId={"imageTag": "unscanned"})
    settled(ecr, repository, imageTag="unscanned")
    assert all_refusals() == served

    pull_gate(server, "set", repository, "--severity", "LOW")
    assert all_refusals()["old"]
    said = pull_gate(server, "unset", repository)
    assert said == f"the pull gate of {repository} is lifted"
    assert all_refusals() == served


def test_a_refused_pull_is_in_the_audit_trail(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    scanned(ecr, docker, repository, "v1", debian(**OLD_ROOT))
    pull_gate(server, "set", repository, "--severity", "CRITICAL")

    refused = docker.request("GET", f"{docker.path(repository)}/manifests/v1")

    assert refused.status == 403
    wanted = refused.headers["x-amzn-requestid"]

    def recorded() -> dict[str, Any] | None:
        printed = server.command("audit", "--cloudtrail", "--resource", repository).stdout
        found = [item for item in json.loads(printed)["Records"] if item["requestID"] == wanted]
        return found[0] if found else None

    record = wait_until(recorded, "the refusal is recorded")
    assert record["eventName"] == "BatchGetImage"
    assert "The pull gate of the repository" in record["errorMessage"]


def test_artifacts_pass_a_pull_gate(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    image = scanned(ecr, docker, repository, "v1", debian(**OLD_ROOT))
    empty = b"{}"
    signature = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": descriptor(empty, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(empty, "application/vnd.oci.empty.v1+json")],
        "subject": descriptor(image.manifest, OCI_MANIFEST),
    }
    docker.push_blob(repository, empty)
    push_manifest(docker, repository, json.dumps(signature).encode(), "sig")

    pull_gate(server, "set", repository, "--severity", "INFORMATIONAL", check=False)
    pull_gate(server, "set", repository, "--severity", "LOW")

    assert docker.request("GET", f"{docker.path(repository)}/manifests/sig").status == 200
    assert docker.request("GET", f"{docker.path(repository)}/manifests/v1").status == 403
    assert docker.request("HEAD", f"{docker.path(repository)}/manifests/v1").status == 200
    assert docker.request("GET", f"{docker.path(repository)}/referrers/{image.digest}").status == 200


def test_a_registrys_gate_is_of_those_that_have_none_of_their_own(
    server: Server, ecr: Any, docker: RegistryClient, repository: str
) -> None:
    own = f"{repository}-own"
    ecr.create_repository(repositoryName=own, imageScanningConfiguration={"scanOnPush": True})
    digests = {
        name: scanned(ecr, docker, name, "v1", debian(openssl="3.0.11-1~deb12u1")).digest for name in (repository, own)
    }

    def served() -> tuple[bool, bool]:
        one, two = (
            {
                docker.request("GET", f"{docker.path(name)}/manifests/{reference}").status == 200
                for reference in ("v1", digests[name])
                for _ in range(4)
            }
            for name in (repository, own)
        )
        assert len(one) == len(two) == 1
        return one.pop(), two.pop()

    assert served() == (True, True)
    try:
        said = pull_gate(server, "set", "--severity", "HIGH")
        assert said == (
            f"every repository of {ACCOUNT}.us-east-1 without a gate of its own refuses HIGH findings and worse and "
            "unscanned images"
        )
        assert served() == (False, False)
        pull_gate(server, "set", own, "--severity", "CRITICAL")
        assert served() == (False, True)
        shown = json.loads(pull_gate(server, "show", "--json"))
        assert shown[0] == {
            "of": f"{ACCOUNT}.us-east-1 (every other repository)",
            "severity": "HIGH",
            "unscanned": True,
        }
        assert {"of": own, "severity": "CRITICAL", "unscanned": True} in shown
        assert "CRITICAL findings and worse and unscanned images" in pull_gate(server, "show")
    finally:
        pull_gate(server, "unset")
    assert served() == (True, True)
    pull_gate(server, "unset", own)


def test_gates_that_make_no_sense(server: Server, repository: str) -> None:
    for arguments, status, words in (
        (("set", repository, "--no-unscanned"), WRONG, "this gate refuses nothing"),
        (("set", repository, "--severity", "BAD"), WRONG, "CRITICAL, HIGH, MEDIUM or LOW"),
        (("set", "not/there", "--severity", "LOW"), FAILED, "there is no repository not/there in registry"),
        (("unset", "not/there"), FAILED, "there is no repository not/there in registry"),
    ):
        done = server.command("pull-gate", *arguments, check=False)
        assert done.returncode == status
        assert words in " ".join(done.stderr.replace("│", " ").split())


def test_who_holds_a_vulnerability(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    root = debian(bash="5.2.15-2+b2", about=repository)
    with enhanced(ecr, on_push=[repository]):
        scanned(ecr, docker, repository, "base", root)
        app = scanned(ecr, docker, repository, "app", root, node(leftish="4.17.20"))

    found = json.loads(server.command("vulns", "CVE-2026-20001", "--json").stdout)

    (held,) = [item for item in found if item["repository"] == repository]
    assert (held["digest"], held["tags"], held["severity"]) == (app.digest, ["app"], "HIGH")
    assert held["package"] == {
        "ecosystem": "npm",
        "name": "leftish",
        "version": "4.17.20",
        "fixedVersion": "4.17.21",
    }
    (place,) = held["places"]
    assert (place["path"], place["baseImage"]) == ("app/node_modules/leftish/package.json", None)

    found = json.loads(server.command("vulns", "CVE-2026-10005", "--json").stdout)
    held_by = {item["tags"][0]: item for item in found if item["repository"] == repository}
    assert set(held_by) == {"base", "app"}
    assert held_by["base"]["places"][0]["baseImage"] is None
    assert held_by["app"]["places"][0]["baseImage"] == f"{repository}:base"
    assert "leftish 4.17.20" in server.command("vulns", "CVE-2026-20001").stdout
    assert server.command("vulns", "CVE-1999-0001").stdout == "no scanned image holds CVE-1999-0001\n"

    docker.request("GET", f"{docker.path(repository)}/manifests/app")

    def pulled() -> list[str]:
        told = json.loads(server.command("vulns", "CVE-2026-10005", "--pulled-since", "1h", "--json").stdout)
        return [item["tags"][0] for item in told if item["repository"] == repository]

    wait_until(lambda: pulled() == ["app"], "the pull is recorded", 100)


def test_events_are_followed(server: Server, ecr: Any, docker: RegistryClient, repository: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "openecr", "events", "--follow", "--since", "1s", "--type", "ECR Image Scan"]
    with (tmp_path / "events").open("w") as written:
        following = subprocess.Popen(
            [*command, "--data-dir", str(server.data_dir)], stdout=written, env=environment() | dict(server.variables)
        )
    try:
        image = scanned(ecr, docker, repository, "v1", debian(**FIXED_ROOT))

        def told() -> list[dict[str, Any]]:
            lines = (tmp_path / "events").read_text().splitlines()
            return [event for line in lines if repository in (event := json.loads(line))["detail"]["repository-name"]]

        (event,) = wait_until(told, "the event is printed")
        assert event["detail"]["image-digest"] == image.digest
        assert following.poll() is None
    finally:
        following.kill()
        following.wait(60)
    everything = [json.loads(line) for line in server.command("events", "--since", "1h").stdout.splitlines()]
    assert {"ECR Image Action", "ECR Image Scan"} <= {item["detail-type"] for item in everything}
    assert [item["time"] for item in everything] == sorted(item["time"] for item in everything)
    assert len({item["id"] for item in everything}) == len(everything)
