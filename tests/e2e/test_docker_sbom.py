"""Docker with the containerd image store on a machine of its own, where builds have a bridge network: an SBOM made by
a scanner image that the registry holds, over TLS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.docker import write_context
from tests.e2e.machine import REGION, REGISTRY, Machine, machine
from tests.e2e.shell import TOOLS

STATEMENT = {
    "_type": "https://in-toto.io/Statement/v0.1",
    "predicateType": "https://spdx.dev/Document",
    "subject": [],
    "predicate": {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "test",
        "dataLicense": "CC0-1.0",
        "documentNamespace": "https://example.com/sbom",
        "creationInfo": {"creators": ["Tool: test"], "created": "2026-01-01T00:00:00Z"},
        "packages": [],
    },
}
SCANNER = """FROM busybox
COPY statement.json /statement.json
ENTRYPOINT ["sh", "-c", "cp /statement.json $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"]
"""


@pytest.fixture(scope="module")
def builder(newer_programs: Path, aws_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("sbom")
    with machine(folder, 1, aws_programs, "containerd", newer_programs) as started:
        started.trust()
        password = aws(started, "get-login-password", "--region", REGION)
        started.run("docker", "login", "--username", "AWS", "--password-stdin", REGISTRY, stdin=password)
        started.run(TOOLS / "base-image.sh", "tiny")
        yield started


def aws(builder: Machine, *arguments: str) -> str:
    return builder.run("aws", "ecr", *arguments)


def stored(builder: Machine, name: str, reference: str) -> dict[str, Any]:
    """A manifest as the registry has it."""
    key = "imageDigest" if ":" in reference else "imageTag"
    query = "images[0].imageManifest"
    printed = aws(
        builder, "batch-get-image", "--repository-name", name, "--image-ids", f"{key}={reference}",
        "--query", query, "--output", "text",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(printed)
    return document


def test_an_sbom_by_an_own_generator(builder: Machine, tmp_path: Path) -> None:
    for name in ("tools/scanner", "myapp/scanned"):
        aws(builder, "create-repository", "--repository-name", name)
    scanner = write_context(tmp_path / "scanner", SCANNER, statement_json=json.dumps(STATEMENT))
    build = ("docker", "buildx", "build", "--push")
    builder.run(*build, "-t", f"{REGISTRY}/tools/scanner:1", scanner)

    context = write_context(tmp_path / "app", "FROM busybox\nCOPY data.txt /data.txt\n", data_txt="scanned")
    remote = f"{REGISTRY}/myapp/scanned:v1"
    sbom = f"--sbom=generator={REGISTRY}/tools/scanner:1"
    builder.run(*build, sbom, "--provenance=mode=max", "-t", remote, context)
    index = stored(builder, "myapp/scanned", "v1")
    (attestation,) = [member for member in index["manifests"] if member["platform"]["os"] == "unknown"]
    layers = stored(builder, "myapp/scanned", attestation["digest"])["layers"]
    kinds = {layer["annotations"]["in-toto.io/predicate-type"] for layer in layers}
    assert kinds == {"https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"}

    builder.run("docker", "rmi", remote)
    builder.run("docker", "pull", remote)
    assert builder.run("docker", "run", "--rm", remote, "cat", "/data.txt") == "scanned"
