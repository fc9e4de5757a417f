"""SBOMs: printed of what is stored, attached as referrers where a repository asks, and once."""

import json
from functools import partial
from typing import Any

import pytest

from openecr.services.ecr.scanning import requests
from tests.api.support import ACCOUNT, Image, make_image, members_of, push, push_manifest, upload
from tests.places import ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, descriptor
from tests.running import Server
from tests.scanned_images import OLD_ROOT, debian, node, python, settled
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("vulnerabilities")
CYCLONEDX, SPDX = "application/vnd.cyclonedx+json", "application/spdx+json"


@pytest.fixture
def scanned(ecr: Any, repository: str) -> str:
    """A repository whose pushes are scanned."""
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    return repository


def image_of(docker: RegistryClient, name: str, about: str = "a", tag: str = "v1") -> Image:
    return push(docker, name, about, tag, layers=(debian(**OLD_ROOT), node(leftish="4.0.0"), python(vessel="2.0.0")))


def settled_jobs(server: Server) -> None:
    def is_done() -> bool:
        owed = server.rows("SELECT state FROM job WHERE kind = 'attach-sbom'")
        assert all(state != "dead" for (state,) in owed), server.log()
        return not owed

    wait_until(is_done, "SBOMs are attached")


def scan_again(server: Server, image: Image) -> None:
    """Owe another scan of an image, as new data would."""
    digest = b"\x01" + bytes.fromhex(image.digest.partition(":")[2])
    for (key,) in server.rows("SELECT id FROM image WHERE digest = :digest", digest=digest):
        server.write(partial(requests.owe, image_key=key, scan_type="BASIC", now_us=image_clock_us(server)))


def image_clock_us(server: Server) -> int:
    return server.write(lambda db: db.clock_us())


def referrers(ecr: Any, name: str, digest: str) -> list[dict[str, Any]]:
    answer = members_of(ecr.list_image_referrers(repositoryName=name, subjectId={"imageDigest": digest}))
    found: list[dict[str, Any]] = answer["referrers"]
    return found


def document_of(docker: RegistryClient, name: str, artifact: str) -> tuple[Any, bytes]:
    """(manifest, document) of an attached artifact."""
    manifest = docker.request("GET", f"{docker.path(name)}/manifests/{artifact}").json
    (layer,) = manifest["layers"]
    return manifest, docker.pull_blob(name, layer["digest"]).body


def purls(document: Any) -> set[str]:
    if document.get("bomFormat") == "CycloneDX":
        return {item["purl"].partition("?")[0] for item in document["components"] if "purl" in item}
    references = [reference for package in document["packages"] for reference in package.get("externalRefs", ())]
    return {item["referenceLocator"].partition("?")[0] for item in references}


HELD = {"pkg:deb/debian/zlib@1:1.2.13.dfsg-1", "pkg:npm/leftish@4.0.0", "pkg:pypi/vessel@2.0.0"}


@ON_EVERY_PLACE
@pytest.mark.parametrize(("kind", "media_type"), [("cyclonedx", CYCLONEDX), ("spdx", SPDX)])
def test_an_sbom_is_attached_to_what_is_scanned_once(
    server: Server, ecr: Any, docker: RegistryClient, scanned: str, kind: str, media_type: str
) -> None:
    server.command("sbom", "attach", scanned, "--format", kind)
    image = image_of(docker, scanned)
    settled(ecr, scanned, imageTag="v1")
    settled_jobs(server)

    (attached,) = referrers(ecr, scanned, image.digest)

    assert (attached["artifactType"], attached["mediaType"]) == (media_type, OCI_MANIFEST)
    manifest, content = document_of(docker, scanned, attached["digest"])
    assert manifest["subject"] == descriptor(image.manifest, OCI_MANIFEST)
    document = json.loads(content)
    assert {item.replace("%3A", ":") for item in purls(document)} >= HELD
    assert image.digest in content.decode()

    scan_again(server, image)
    settled(ecr, scanned, imageTag="v1")
    settled_jobs(server)
    assert [item["digest"] for item in referrers(ecr, scanned, image.digest)] == [attached["digest"]]


def test_images_that_were_scanned_get_theirs_at_once_and_none_after_off(
    server: Server, ecr: Any, docker: RegistryClient, scanned: str
) -> None:
    first = image_of(docker, scanned)
    settled(ecr, scanned, imageTag="v1")
    assert referrers(ecr, scanned, first.digest) == []

    said = server.command("sbom", "attach", scanned, "--format", "cyclonedx").stdout
    settled_jobs(server)

    assert said == f"{scanned} attaches an SBOM (cyclonedx) to every image that is scanned\n"
    assert len(referrers(ecr, scanned, first.digest)) == 1
    server.command("sbom", "attach", scanned, "--off")
    second = image_of(docker, scanned, "b", "v2")
    settled(ecr, scanned, imageTag="v2")
    settled_jobs(server)
    assert referrers(ecr, scanned, second.digest) == []
    assert len(referrers(ecr, scanned, first.digest)) == 1


def test_members_of_an_index_get_their_own(server: Server, ecr: Any, docker: RegistryClient, scanned: str) -> None:
    server.command("sbom", "attach", scanned, "--format", "spdx")
    members = [upload(docker, scanned, make_image(about, debian(**OLD_ROOT))) for about in ("one", "two")]
    for member in members:
        push_manifest(docker, scanned, member.manifest)
    named = [
        descriptor(member.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": name})
        for member, name in zip(members, ("amd64", "arm64"), strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}).encode()
    digest = push_manifest(docker, scanned, index, "v1", media_type=OCI_INDEX)
    settled(ecr, scanned, imageTag="v1")
    settled_jobs(server)

    assert [len(referrers(ecr, scanned, member.digest)) for member in members] == [1, 1]
    assert referrers(ecr, scanned, digest) == []


def test_a_quota_holds_for_what_is_attached(server: Server, ecr: Any, docker: RegistryClient, scanned: str) -> None:
    image = image_of(docker, scanned)
    settled(ecr, scanned, imageTag="v1")
    quota = f"{ACCOUNT}/{scanned}"
    server.command("quota", "set", quota, "10")
    server.command("sbom", "attach", scanned, "--format", "cyclonedx")
    settled_jobs(server)
    assert referrers(ecr, scanned, image.digest) == []
    assert "no SBOM is attached" in server.log()
    assert settled(ecr, scanned, imageTag="v1")["imageScanStatus"]["status"] == "COMPLETE"

    server.command("quota", "unset", quota)
    scan_again(server, image)

    settled(ecr, scanned, imageTag="v1")
    settled_jobs(server)
    (attached,) = referrers(ecr, scanned, image.digest)
    pushes = server.command("events", "--type", "ECR Image Action", "--type", "ECR Referrer Action").stdout
    assert attached["digest"] in pushes


def test_the_command_prints_what_is_attached(server: Server, ecr: Any, docker: RegistryClient, scanned: str) -> None:
    server.command("sbom", "attach", scanned, "--format", "cyclonedx")
    image = image_of(docker, scanned)
    settled(ecr, scanned, imageTag="v1")
    settled_jobs(server)
    (attached,) = referrers(ecr, scanned, image.digest)
    _, content = document_of(docker, scanned, attached["digest"])

    for which in (f"{scanned}:v1", f"{scanned}@{image.digest}"):
        assert server.command("sbom", which).stdout.encode() == content + b"\n"
    assert json.loads(server.command("sbom", "show", f"{scanned}:v1", "--format", "spdx").stdout)["spdxVersion"]


def test_findings_are_in_the_sbom_on_demand(server: Server, ecr: Any, docker: RegistryClient, scanned: str) -> None:
    image_of(docker, scanned)

    document = json.loads(server.command("sbom", f"{scanned}:v1", "--findings").stdout)

    found = {item["id"] for item in document["vulnerabilities"]}
    assert found >= {"CVE-2026-10001", "CVE-2026-20001", "CVE-2026-20004"}
    for command, status, why in (
        (("sbom", f"{scanned}:v1", "--findings", "--format", "spdx"), 2, "SPDX 2.3 has no place for findings"),
        (("sbom", f"{scanned}:absent"), 1, f"there is no image {scanned}:absent"),
        (("sbom", "attach", scanned), 2, "give --format cyclonedx, --format spdx, or --off"),
        (("sbom", "attach", "absent", "--off"), 1, "there is no repository absent"),
        (("sbom", f"{scanned}:v1", "--format", "html"), 2, "a format is cyclonedx or spdx"),
    ):
        done = server.command(*command, check=False)
        assert (done.returncode, why in done.stderr) == (status, True), done.stderr


def test_an_index_has_no_sbom_of_its_own(server: Server, ecr: Any, docker: RegistryClient, repository: str) -> None:
    members = [upload(docker, repository, make_image(about, debian(**OLD_ROOT))) for about in ("one", "two")]
    for member in members:
        push_manifest(docker, repository, member.manifest)
    named = [
        descriptor(member.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": name})
        for member, name in zip(members, ("amd64", "arm64"), strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}).encode()
    push_manifest(docker, repository, index, "v1", media_type=OCI_INDEX)

    done = server.command("sbom", f"{repository}:v1", check=False)

    assert done.returncode == 1
    assert "an SBOM is of one image, and these are 2" in done.stderr
    assert all(member.digest in done.stderr for member in members)
