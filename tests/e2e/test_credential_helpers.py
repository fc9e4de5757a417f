"""Docker, Podman and skopeo without a login: ``docker-credential-openecr`` with the role of a workload."""

import json
import tempfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest

from openecr.services.workloads import declaring
from tests.credential_helper import CLIENTS
from tests.e2e.docker import Docker
from tests.e2e.images import push_busybox
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.identities import make_role, policy, statement, trusts
from tests.registry_client import RegistryClient
from tests.running import Server

READ = policy(
    statement("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", Resource="*"),
)
_numbers = count(1)


@pytest.fixture
def workload(server: Server) -> Mapping[str, str]:
    """The environment of a task whose role may pull."""
    name = f"helped-{next(_numbers)}"
    role = make_role(server, name, trust=trusts({"Service": "ecs-tasks.amazonaws.com"}), allowed=READ)
    declared = server.write(lambda db: declaring.declare(db, name, role, (), 3600, db.clock_us()))
    assert declared.token is not None
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": declared.token,
    }


@pytest.fixture
def helped(clean_shell: Shell, server: Server, workload: Mapping[str, str]) -> Shell:
    """A shell of that task, whose clients ask the helper for this registry alone."""
    configuration = json.dumps({"credHelpers": {server.host: "openecr"}})
    for variable in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        path = Path(clean_shell.variables[variable])
        if variable == "DOCKER_CONFIG":
            path.mkdir()
            path /= "config.json"
        path.write_text(configuration)
    return clean_shell.with_variables(**workload, PATH=f"{CLIENTS}:{clean_shell.variables['PATH']}")


def test_skopeo_reads_and_may_not_write(
    debian: None, helped: Shell, repository: Repository, registry: RegistryClient
) -> None:
    digest = push_busybox(registry, repository.name, "v1", "helped")
    source = f"docker://{repository.reference}:v1"

    seen = json.loads(helped.run("skopeo", "inspect", "--tls-verify=false", source))
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    refused = helped.fail("skopeo", "copy", *plain, source, f"docker://{repository.reference}:v2")

    assert seen["Digest"] == digest
    assert "403 (Forbidden)" in refused


def test_podman_pulls(debian: None, helped: Shell, repository: Repository, registry: RegistryClient) -> None:
    push_busybox(registry, repository.name, "v1", "helped")
    with tempfile.TemporaryDirectory(prefix="oe-", dir="/tmp") as folder:  # podman wants a short name
        storage = ("--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver=vfs")
        image_id = helped.run("podman", *storage, "pull", "--quiet", "--tls-verify=false", f"{repository.reference}:v1")

    assert len(image_id.strip()) == 64


def test_docker_pulls_and_an_unhelped_docker_does_not(
    docker: Docker, helped: Shell, repository: Repository, registry: RegistryClient, tmp_path: Path
) -> None:
    digest = push_busybox(registry, repository.name, "v1", "helped")
    wanted = ("DOCKER_CONFIG", "HOME", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
    task = {name: helped.variables[name] for name in wanted}

    pulled = docker.with_variables(**task, PATH=f"{CLIENTS}:{docker.shell.variables['PATH']}")(
        "pull", f"{repository.reference}:v1"
    )
    unhelped = docker.with_configuration(tmp_path / "nobody").fails("pull", f"{repository.reference}:v1")

    assert f"Digest: {digest}" in pulled
    assert "no basic auth credentials" in unhelped


def test_docker_is_told_why_the_helper_has_nothing(docker: Docker, helped: Shell, repository: Repository) -> None:
    task = {
        "DOCKER_CONFIG": helped.variables["DOCKER_CONFIG"],
        "HOME": helped.variables["HOME"],
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": helped.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "another",
        "PATH": f"{CLIENTS}:{docker.shell.variables['PATH']}",
    }

    told = docker.with_variables(**task).fails("pull", f"{repository.reference}:v1")

    assert "gave no credentials: 401 InvalidToken" in told
