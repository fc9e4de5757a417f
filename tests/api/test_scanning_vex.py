"""VEX: what an administrator's rules and attached documents suppress, what they never do, and that it is undone."""

import asyncio
import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openecr.composition import composed
from openecr.services.ecr.scanning import suppressing
from openecr.services.ecr.scanning.vex_documents import VexDocuments
from openecr.settings import Settings
from tests.api.support import Image, make_image, push, push_manifest, upload
from tests.places import ON_DATABASES, ON_EVERY_PLACE
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient, descriptor, digest_of
from tests.running import Server
from tests.scanned_images import OLD_ROOT, VulnerabilityData, debian, debian_record, enhanced, settled
from tests.vex_makers import cyclonedx_vex, openvex, statement
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("vulnerabilities")
OPENVEX, CYCLONEDX = "application/vnd.openvex+json", "application/vnd.cyclonedx+json"
ZLIB, CRITICAL = "pkg:deb/debian/zlib", "CVE-2026-10001"


@pytest.fixture
def followed(ecr: Any, repository: str) -> Iterator[str]:
    """A repository that is scanned continuously."""
    with enhanced(ecr, continuous=[repository]):
        yield repository


@pytest.fixture
def vex(server: Server, tmp_path: Path, repository_name: str) -> Iterator["Rules"]:
    """The VEX rules of the registry, those of this test taken away in the end."""
    rules = Rules(server, tmp_path, repository_name)
    yield rules
    for name in rules.names:
        server.command("vex", "remove", name, check=False)


class Rules:
    def __init__(self, server: Server, folder: Path, prefix: str) -> None:
        self.server, self.folder, self.prefix = server, folder, prefix
        self.names: set[str] = set()

    def add(self, document: str, repository: str, name: str = "rule") -> str:
        file = self.folder / f"{name}.json"
        file.write_text(document)
        self.names.add(f"{self.prefix}-{name}")
        done = self.server.command("vex", "add", f"{self.prefix}-{name}", str(file), "--repository", repository)
        self.applied()
        return done.stdout

    def trust(self, repository: str) -> None:
        self.names.add(f"{self.prefix}-trust")
        self.server.command("vex", "trust", f"{self.prefix}-trust", "--repository", repository)
        self.applied()

    def remove(self, name: str = "rule") -> None:
        self.server.command("vex", "remove", f"{self.prefix}-{name}")
        self.applied()

    def applied(self) -> None:
        """Wait until images follow their rules, and what is attached to them."""

        def is_applied() -> bool:
            owed = self.server.rows("SELECT state FROM job WHERE kind = 'apply-vex'")
            assert all(state != "dead" for (state,) in owed), self.server.log()
            return not owed

        wait_until(is_applied, "images follow VEX statements")


def old_root(docker: RegistryClient, name: str, *tags: str, **more: Any) -> Image:
    return push(docker, name, f"{name} {more}", *(tags or ("v1",)), layers=(debian(**OLD_ROOT, **more),))


def attach(docker: RegistryClient, name: str, subject: Image, content: str, kind: str = OPENVEX) -> str:
    """Attach a document to an image, as its clients do; the artifact's digest."""
    layer = content.encode()
    for blob in (b"{}", layer):
        docker.push_blob(name, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(layer, kind)],
        "subject": descriptor(subject.manifest, OCI_MANIFEST),
    }
    return push_manifest(docker, name, json.dumps(manifest).encode())


def findings(ecr: Any, name: str, **image_id: str) -> dict[str, tuple[str, str]]:
    """(status, remediation) of each enhanced finding."""
    told = settled(ecr, name, **(image_id or {"imageTag": "v1"}))["imageScanFindings"]["enhancedFindings"]
    return {
        item["packageVulnerabilityDetails"]["vulnerabilityId"]: (
            item["status"],
            item["remediation"]["recommendation"]["text"],
        )
        for item in told
    }


def counts(ecr: Any, name: str, **image_id: str) -> dict[str, int]:
    answer = settled(ecr, name, **(image_id or {"imageTag": "v1"}))
    found: dict[str, int] = answer["imageScanFindings"]["findingSeverityCounts"]
    return found


def gate(server: Server, image: str) -> int:
    return server.command("gate", image, check=False).returncode


@ON_DATABASES
def test_a_rule_suppresses_with_its_reason_and_its_removal_ends_that(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    old_root(docker, followed)
    assert counts(ecr, followed)["CRITICAL"] == 1
    assert gate(server, f"{followed}:v1") == 3

    said = vex.add(openvex(statement(CRITICAL, ZLIB, impact_statement="we never inflate")), followed)

    assert f"{followed}-rule counts on images of {followed}: 1 statements, of which 1 suppress" in said
    why = "not_affected: vulnerable_code_not_in_execute_path: we never inflate"
    status, remediation = findings(ecr, followed)[CRITICAL]
    assert status == "SUPPRESSED"
    assert remediation == f"None needed: {why}. Source: rule {followed}-rule (https://example.com/vex/1 by Example)."
    assert {name: found[0] for name, found in findings(ecr, followed).items() if name != CRITICAL} == dict.fromkeys(
        ("CVE-2026-10002", "CVE-2026-10003", "CVE-2026-10004", "CVE-2026-10005", "CVE-2026-10006"), "ACTIVE"
    )
    assert "CRITICAL" not in counts(ecr, followed)
    assert gate(server, f"{followed}:v1") == 0
    holders = json.loads(server.command("vulns", CRITICAL, "--json").stdout)
    assert [item["suppressed"] for item in holders if item["repository"] == followed] == [why]

    vex.remove()

    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"
    assert counts(ecr, followed)["CRITICAL"] == 1
    assert gate(server, f"{followed}:v1") == 3


def test_inspectors_events_tell_of_what_is_suppressed(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    image = old_root(docker, followed)
    findings(ecr, followed)

    vex.add(openvex(statement(CRITICAL, ZLIB)), followed)
    vex.remove()

    printed = server.command("events", "--type", "Inspector2 Finding").stdout.splitlines()
    about = [json.loads(line)["detail"] for line in printed if image.digest in line]
    assert [(item["packageVulnerabilityDetails"]["vulnerabilityId"], item["status"]) for item in about] == [
        (CRITICAL, "SUPPRESSED"),
        (CRITICAL, "ACTIVE"),
    ]


def test_a_rule_counts_on_an_image_that_is_pushed_after_it(
    ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    vex.add(cyclonedx_vex(CRITICAL, ZLIB), f"{followed[:8]}*")

    old_root(docker, followed)

    status, remediation = findings(ecr, followed)[CRITICAL]
    assert status == "SUPPRESSED"
    assert "not_affected: code_not_reachable: never called" in remediation
    assert "CRITICAL" not in counts(ecr, followed)


def test_a_rule_is_for_its_repositories_alone(ecr: Any, docker: RegistryClient, followed: str, vex: Rules) -> None:
    vex.add(openvex(statement(CRITICAL, ZLIB)), f"{followed}x")

    old_root(docker, followed)

    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (openvex(statement("CVE-2026-10002", "pkg:deb/debian/openssl@3.0.11-1~deb12u1")), "SUPPRESSED"),
        (openvex(statement("CVE-2026-10002", "pkg:deb/debian/openssl@3.0.12")), "ACTIVE"),
        (openvex(statement("CVE-2026-10002", "pkg:deb/debian/libssl3")), "ACTIVE"),
        (openvex(statement("CVE-2026-10002", "pkg:deb/debian/openssl", status="affected")), "ACTIVE"),
        (openvex(statement("CVE-2026-10002", "pkg:deb/debian/openssl", status="fixed")), "SUPPRESSED"),
        (openvex(statement("CVE-2026-10009", "pkg:deb/debian/openssl")), "ACTIVE"),
        (
            openvex(
                statement("CVE-2026-10002", "pkg:deb/debian/openssl", timestamp="2026-03-02T00:00:00Z"),
                statement("CVE-2026-10002", "pkg:deb/debian/openssl", status="affected"),
            ),
            "SUPPRESSED",
        ),
        (
            openvex(
                statement("CVE-2026-10002", "pkg:deb/debian/openssl"),
                statement(
                    "CVE-2026-10002", "pkg:deb/debian/openssl", status="affected", timestamp="2026-03-02T00:00:00Z"
                ),
            ),
            "ACTIVE",
        ),
    ],
)
def test_what_a_statement_says_is_what_it_does(
    ecr: Any, docker: RegistryClient, followed: str, vex: Rules, document: str, status: str
) -> None:
    old_root(docker, followed)
    findings(ecr, followed)

    vex.add(document, followed)

    assert findings(ecr, followed)["CVE-2026-10002"][0] == status


def test_a_statement_on_the_image_itself(ecr: Any, docker: RegistryClient, followed: str, vex: Rules) -> None:
    meant = old_root(docker, followed, "v1")
    other = old_root(docker, followed, "v2", base="1")
    url = f"pkg:oci/{followed.rpartition('/')[2]}@{meant.digest}"

    vex.add(openvex(statement(CRITICAL, url)), followed)

    assert findings(ecr, followed, imageDigest=meant.digest)[CRITICAL][0] == "SUPPRESSED"
    assert findings(ecr, followed, imageDigest=other.digest)[CRITICAL][0] == "ACTIVE"


def test_under_basic_scanning_the_finding_says_it(
    ecr: Any, docker: RegistryClient, repository: str, vex: Rules
) -> None:
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    old_root(docker, repository)
    assert counts(ecr, repository)["CRITICAL"] == 1

    vex.add(openvex(statement(CRITICAL, ZLIB)), repository)

    answer = settled(ecr, repository, imageTag="v1")["imageScanFindings"]
    found = next(item for item in answer["findings"] if item["name"] == CRITICAL)
    attributes = {item["key"]: item["value"] for item in found["attributes"]}
    assert attributes["vex_statement"] == "not_affected: vulnerable_code_not_in_execute_path"
    assert attributes["vex_source"] == f"rule {repository}-rule (https://example.com/vex/1 by Example)"
    assert "CRITICAL" not in answer["findingSeverityCounts"]
    summary = ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imageScanFindingsSummary"]
    assert summary["findingSeverityCounts"] == answer["findingSeverityCounts"]


@ON_EVERY_PLACE
def test_what_is_attached_counts_only_where_a_rule_trusts_it(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    image = old_root(docker, followed)
    findings(ecr, followed)
    vex.add(openvex(statement("CVE-2026-10002", "pkg:deb/debian/openssl")), followed)

    attached = attach(docker, followed, image, openvex(statement(CRITICAL, ZLIB)))

    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"
    assert gate(server, f"{followed}:v1") == 3

    vex.trust(followed)
    status, remediation = findings(ecr, followed)[CRITICAL]
    assert status == "SUPPRESSED"
    assert f"Source: attached {attached} (https://example.com/vex/1 by Example)." in remediation
    assert gate(server, f"{followed}:v1") == 0

    ecr.batch_delete_image(repositoryName=followed, imageIds=[{"imageDigest": attached}])
    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"
    assert counts(ecr, followed)["CRITICAL"] == 1

    server.command("undelete", f"{followed}@{attached}")
    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"


def test_a_rule_wins_over_what_is_attached(ecr: Any, docker: RegistryClient, followed: str, vex: Rules) -> None:
    vex.trust(followed)
    vex.add(openvex(statement(CRITICAL, ZLIB, status="affected"), at="2026-01-01T00:00:00Z"), followed)
    image = old_root(docker, followed)
    findings(ecr, followed)

    attach(docker, followed, image, openvex(statement(CRITICAL, ZLIB), at="2026-03-01T00:00:00Z"))

    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"


@pytest.mark.parametrize("form", ["cyclonedx", "in-toto", "dsse", "without products"])
def test_what_may_be_attached(ecr: Any, docker: RegistryClient, followed: str, vex: Rules, form: str) -> None:
    vex.trust(followed)
    image = old_root(docker, followed)
    findings(ecr, followed)
    document = openvex(statement(CRITICAL, ZLIB))
    attestation = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "v1", "digest": {"sha256": image.digest.partition(":")[2]}}],
        "predicateType": "https://openvex.dev/ns/v0.2.0",
        "predicate": json.loads(document),
    }
    payload = base64.b64encode(json.dumps(attestation).encode()).decode()
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []}
    kind, content = {
        "cyclonedx": (CYCLONEDX, cyclonedx_vex(CRITICAL, ZLIB)),
        "in-toto": ("application/vnd.in-toto+json", json.dumps(attestation)),
        "dsse": ("application/vnd.in-toto+json", json.dumps(envelope)),
        "without products": (OPENVEX, openvex(statement(CRITICAL))),
    }[form]

    attach(docker, followed, image, content, kind)

    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"


@pytest.mark.parametrize("content", ["{", "[]", '{"predicateType": "https://slsa.dev/provenance/v1"}', "[" * 5000])
def test_what_is_attached_and_is_no_vex_does_nothing(
    ecr: Any, docker: RegistryClient, followed: str, vex: Rules, content: str
) -> None:
    vex.trust(followed)
    image = old_root(docker, followed)
    before = findings(ecr, followed)

    attach(docker, followed, image, content)

    vex.applied()
    assert findings(ecr, followed) == before


@ON_DATABASES
def test_what_new_data_finds_is_suppressed_at_once(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules, vulnerabilities: VulnerabilityData
) -> None:
    image = old_root(docker, followed)
    vex.add(openvex(statement("CVE-2026-30001", ZLIB)), followed)
    before = counts(ecr, followed)

    vulnerabilities.publish(debian_record("CVE-2026-30001", "zlib", urgency="high"))

    assert findings(ecr, followed)["CVE-2026-30001"][0] == "SUPPRESSED"
    assert counts(ecr, followed) == before
    printed = server.command("events", "--type", "Inspector2 Finding").stdout.splitlines()
    told = [
        json.loads(line)["detail"]["status"] for line in printed if image.digest in line and "CVE-2026-30001" in line
    ]
    assert told == ["SUPPRESSED"]
    vulnerabilities.publish()


@ON_DATABASES
def test_an_index_suppresses_what_all_its_members_do(
    ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    root = debian(**OLD_ROOT)
    members = [upload(docker, followed, make_image(about, root)) for about in ("amd64", "arm64")]
    for member in members:
        push_manifest(docker, followed, member.manifest)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            descriptor(member.manifest, OCI_MANIFEST, platform={"os": "linux", "architecture": name})
            for member, name in zip(members, ("amd64", "arm64"), strict=True)
        ],
    }
    push_manifest(docker, followed, json.dumps(index).encode(), "v1", media_type=OCI_INDEX)
    short = followed.rpartition("/")[2]

    def statement_on(*digests: str) -> str:
        return openvex(statement(CRITICAL, *(f"pkg:oci/{short}@{digest}" for digest in digests)))

    vex.add(statement_on(members[0].digest), followed)
    assert findings(ecr, followed)[CRITICAL][0] == "ACTIVE"
    assert counts(ecr, followed)["CRITICAL"] == 1

    vex.add(statement_on(*(member.digest for member in members)), followed)
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"
    assert "CRITICAL" not in counts(ecr, followed)

    vex.add(statement_on(digest_of(json.dumps(index).encode())), followed)
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"


def test_a_pull_gate_opens_for_what_a_rule_suppresses(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    old_root(docker, followed)
    findings(ecr, followed)
    server.command("pull-gate", "set", followed, "--severity", "CRITICAL")
    path = f"{docker.path(followed)}/manifests/v1"
    assert docker.request("GET", path).status == 403

    vex.add(openvex(statement(CRITICAL, ZLIB)), followed)

    assert docker.request("GET", path).status == 200
    vex.remove()
    assert docker.request("GET", path).status == 403
    server.command("pull-gate", "unset", followed)


def test_a_repository_that_comes_back_follows_the_rules_of_its_name(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    old_root(docker, followed)
    findings(ecr, followed)
    ecr.delete_repository(repositoryName=followed, force=True)
    vex.add(openvex(statement(CRITICAL, ZLIB)), followed)

    server.command("undelete", followed)

    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"


def test_rules_are_listed_and_refused(server: Server, repository: str, vex: Rules, tmp_path: Path) -> None:
    vex.add(openvex(statement(CRITICAL, ZLIB)), "team/*")
    vex.trust("other/*")

    listed = json.loads(server.command("vex", "list", "--json").stdout)
    mine = {item["name"]: item for item in listed if item["name"].startswith(repository)}
    assert [(item["repositories"], item["trustsAttached"]) for _, item in sorted(mine.items())] == [
        ("team/*", False),
        ("other/*", True),
    ]
    for content, why in (
        ("{}", "this is no VEX document: neither OpenVEX nor CycloneDX"),
        (openvex(), "this document states nothing that can be used"),
    ):
        file = tmp_path / "bad.json"
        file.write_text(content)
        done = server.command("vex", "add", "bad", str(file), "--repository", "*", check=False)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    gone = server.command("vex", "remove", "absent", check=False)
    assert gone.returncode == 1
    assert "there is no VEX rule absent" in gone.stderr


def test_what_was_gathered_before_a_rule_came_is_not_written(
    server: Server, ecr: Any, docker: RegistryClient, followed: str, vex: Rules
) -> None:
    image = old_root(docker, followed)
    findings(ecr, followed)
    ((key,),) = server.rows("SELECT id FROM image WHERE digest = :digest", digest=stored(image.digest))

    async def race() -> None:
        async with composed(Settings(data_dir=server.data_dir)) as deployment:
            documents = VexDocuments(deployment)
            gathered = await suppressing.gather(deployment, documents, key)
            server.command("vex", "trust", f"{followed}-trust", "--repository", followed)
            attach(docker, followed, image, openvex(statement(CRITICAL, ZLIB)))
            with pytest.raises(suppressing.Outdated):
                await deployment.database.write(partial(suppressing.settle, gathered=gathered))

    vex.names.add(f"{followed}-trust")
    asyncio.run(race())
    vex.applied()
    assert findings(ecr, followed)[CRITICAL][0] == "SUPPRESSED"


def stored(digest: str) -> bytes:
    return b"\x01" + bytes.fromhex(digest.partition(":")[2])
