"""Docker without `docker login`: Amazon's credential helper asks the API by AWS's own name."""

import json
from pathlib import Path

import pytest

from tests.e2e.machine import REGION, REGISTRY, Machine
from tests.e2e.shell import TOOLS


@pytest.fixture
def with_helper(untrusting: Machine, newer_root_programs: Path, tmp_path: Path) -> list[str]:
    """The words before a docker command that make it use the helper."""
    untrusting.trust()
    untrusting.run(TOOLS / "base-image.sh", "tiny")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {REGISTRY: "ecr-login"}}))
    path = untrusting.shell.variables["PATH"]
    return ["env", f"PATH={newer_root_programs}:{path}", f"DOCKER_CONFIG={tmp_path}", f"HOME={tmp_path}"]


def test_push_and_pull_without_a_login(untrusting: Machine, with_helper: list[str]) -> None:
    remote = f"{REGISTRY}/helped:v1"
    untrusting.run("aws", "ecr", "create-repository", "--repository-name", "helped", "--region", REGION)
    untrusting.run("docker", "tag", "busybox", remote)
    pushed = untrusting.run(*with_helper, "docker", "push", remote)
    untrusting.run("docker", "rmi", remote)
    pulled = untrusting.run(*with_helper, "docker", "pull", remote)
    digest = pulled.split("Digest: ")[1].split()[0]
    assert f"digest: {digest}" in pushed
