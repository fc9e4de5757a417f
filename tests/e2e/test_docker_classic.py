"""Docker with its classic image store: manifests of Docker schema 2."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.docker import Docker, write_context
from tests.e2e.repositories import Repository
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.running import OTHER_ACCOUNT, Server

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
HELLO = 'FROM busybox\nCOPY hello.txt /hello.txt\nCMD ["cat", "/hello.txt"]\n'


def build(docker: Docker, folder: Path, hello: str, *references: str) -> None:
    """Build a small image that says hello."""
    context = write_context(folder, HELLO, hello_txt=hello)
    tags = [word for reference in references for word in ("-t", reference)]
    docker("build", "--network", "none", *tags, context)


@ON_AN_OBJECT_STORE_TOO
@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_build_tag_push_pull_and_run(docker: Docker, repository: Repository, tmp_path: Path, buildkit: str) -> None:
    docker = docker.with_variables(DOCKER_BUILDKIT=buildkit)
    local, remote = f"hello:{buildkit}", f"{repository.reference}:v1"
    build(docker, tmp_path, f"hello from {buildkit}", local)
    docker("tag", local, remote)
    digest = docker.push(remote)
    image_id = docker.id(remote)

    described = repository.image("v1")
    manifest = repository.manifest("v1")
    assert described["imageDigest"] == digest
    assert described["imageTags"] == ["v1"]
    assert described["imageManifestMediaType"] == DOCKER_MANIFEST
    assert described["artifactMediaType"] == "application/vnd.docker.container.image.v1+json"
    assert described["imageSizeInBytes"] == sum(part["size"] for part in (manifest["config"], *manifest["layers"]))
    assert manifest["config"]["digest"] == image_id

    docker("rmi", local, remote)
    docker("pull", remote)
    assert docker.id(remote) == image_id
    assert docker.repository_digests(remote) == [f"{repository.reference}@{digest}"]
    assert docker("run", "--rm", "--network", "none", remote) == f"hello from {buildkit}"

    docker("rmi", remote)
    docker("pull", f"{repository.reference}@{digest}")
    assert docker.id(f"{repository.reference}@{digest}") == image_id


def test_pushing_again_prints_the_same_digest_and_changes_nothing(
    docker: Docker, repository: Repository, tmp_path: Path
) -> None:
    remote = f"{repository.reference}:v1"
    build(docker, tmp_path, "again", remote)
    first = docker.push(remote)
    before = repository.image("v1")
    assert docker.push(remote) == first
    assert repository.image("v1") == before


def test_a_tag_that_moves_leaves_the_old_image_untagged(docker: Docker, repository: Repository, tmp_path: Path) -> None:
    remote = f"{repository.reference}:latest"
    build(docker, tmp_path, "one", remote)
    first = docker.push(remote)
    build(docker, tmp_path, "two", remote)
    second = docker.push(remote)
    assert {image["imageDigest"]: image.get("imageTags") for image in repository.images()} == {
        first: None,
        second: ["latest"],
    }


@pytest.mark.parametrize("content", ["the same", "another"])
def test_an_immutable_tag_is_refused_with_the_sentence_of_ecr(
    docker: Docker, new_repository: NewRepository, tmp_path: Path, content: str
) -> None:
    repository = new_repository(imageTagMutability="IMMUTABLE")
    remote = f"{repository.reference}:v1.3.0"
    build(docker, tmp_path, "the same", remote)
    digest = docker.push(remote)
    build(docker, tmp_path, content, remote)
    said = docker.fails("push", remote)
    assert (
        f"tag invalid: The image tag 'v1.3.0' already exists in the '{repository.name}' repository "
        "and cannot be overwritten because the tag is immutable." in said
    )
    assert repository.digest("v1.3.0") == digest


def test_an_account_setting_makes_the_identical_push_succeed_for_retries(
    docker: Docker, server: Server, tmp_path: Path
) -> None:
    """In a region of its own: the setting is the whole registry's."""
    ecr = server.client("ecr", region="eu-west-3")
    ecr.put_account_setting(name="IDENTICAL_IMMUTABLE_PUSH", value="ACCEPTED")
    ecr.create_repository(repositoryName="retries", imageTagMutability="IMMUTABLE")
    remote = f"{server.host}/123456789012.eu-west-3/retries:v1"
    build(docker, tmp_path, "retried", remote)
    assert docker.push(remote) == docker.push(remote)
    build(docker, tmp_path, "something else", remote)
    assert "already exists" in docker.fails("push", remote)


def test_a_missing_repository_and_a_missing_login(
    docker: Docker, repository: Repository, server: Server, tmp_path: Path
) -> None:
    missing = f"{server.host}/nobody/made-this:v1"
    docker("tag", "busybox", missing)
    said = docker.fails("push", missing)
    assert "The repository with name 'nobody/made-this' does not exist in the registry with id '123456789012'" in said

    stranger = docker.with_configuration(tmp_path / "stranger")
    docker("tag", "busybox", f"{repository.reference}:v1")
    assert "no basic auth credentials" in stranger.fails("push", f"{repository.reference}:v1")
    assert "Login Succeeded" not in stranger.fails("login", "-u", "AWS", "--password-stdin", server.host, stdin="wrong")
    assert repository.images() == []


def test_a_layer_of_300_megabytes(docker: Docker, repository: Repository, tmp_path: Path) -> None:
    context = write_context(tmp_path, "FROM scratch\nCOPY large.bin /large.bin\n")
    with (context / "large.bin").open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1_000_000))
    remote = f"{repository.reference}:large"
    docker("build", "-t", remote, context)
    digest = docker.push(remote)
    image_id = docker.id(remote)
    assert repository.digest("large") == digest
    assert repository.image("large")["imageSizeInBytes"] >= 300_000_000
    docker("rmi", remote)
    docker("builder", "prune", "--all", "--force")
    docker("pull", remote)  # which checks every digest on the way
    assert docker.id(remote) == image_id
    docker("rmi", remote)


def test_an_image_of_20_layers(docker: Docker, repository: Repository, tmp_path: Path) -> None:
    files: dict[str, str] = {f"{number}_txt": f"layer {number}\n" for number in range(20)}
    copies = "".join(f"COPY {number}.txt /{number}.txt\n" for number in range(20))
    context = write_context(tmp_path, f"FROM scratch\n{copies}", **files)
    remote = f"{repository.reference}:twenty"
    docker.with_variables(DOCKER_BUILDKIT="1")("build", "-t", remote, context)
    digest = docker.push(remote)
    image_id = docker.id(remote)
    assert len(repository.manifest(digest)["layers"]) == 20
    docker("rmi", remote)
    docker("pull", remote)
    assert docker.id(remote) == image_id


def test_two_accounts_and_two_regions_on_one_port_with_one_docker(
    docker: Docker, server: Server, tmp_path: Path
) -> None:
    """Docker keeps one login per host, so it logs in again between accounts, and not between regions."""
    own = docker.with_configuration(tmp_path / "docker-config")
    digests = {}
    for account, regions in (("123456789012", ("us-east-1", "eu-west-1")), (OTHER_ACCOUNT, ("us-east-1", "eu-west-1"))):
        own.login(server.host, server.password(account))
        for region in regions:
            client = server.client("ecr", account, region)
            client.create_repository(repositoryName="shared/name")
            remote = f"{server.host}/{account}.{region}/shared/name:v1"
            build(own, tmp_path / "context", f"{account} in {region}", remote)
            digest = own.push(remote)
            described = client.describe_images(repositoryName="shared/name")["imageDetails"]
            assert [(image["registryId"], image["imageDigest"]) for image in described] == [(account, digest)]
            digests[remote] = digest
    assert len(set(digests.values())) == 4

    # logged in as the other account: its own images come, the first account's do not
    for remote in digests:
        own("rmi", remote)
        if OTHER_ACCOUNT in remote:
            own("pull", remote)
        else:
            assert "not authorized" in own.fails("pull", remote)
    own.login(server.host, server.password())
    first = f"{server.host}/123456789012.eu-west-1/shared/name:v1"
    own("pull", first)
    assert own("run", "--rm", "--network", "none", first) == "123456789012 in eu-west-1"
    # the default account's default region needs no prefix
    plain = f"{server.host}/shared/name:v1"
    own("pull", plain)
    assert own("run", "--rm", "--network", "none", plain) == "123456789012 in us-east-1"


def test_a_manifest_list(docker: Docker, repository: Repository, tmp_path: Path) -> None:
    docker = docker.with_variables(DOCKER_CLI_EXPERIMENTAL="enabled")
    members: dict[str, Any] = {}
    for architecture in ("amd64", "arm64"):
        remote = f"{repository.reference}:v1-{architecture}"
        build(docker, tmp_path, f"for {architecture}", remote)
        members[architecture] = docker.push(remote)
    together = f"{repository.reference}:v1"
    docker("manifest", "create", "--insecure", together, *(f"{repository.reference}:v1-{name}" for name in members))
    docker("manifest", "annotate", together, f"{repository.reference}:v1-arm64", "--arch", "arm64")
    digest = docker("manifest", "push", "--insecure", "--purge", together).strip().splitlines()[-1]

    described = repository.image("v1")
    assert (described["imageDigest"], described["imageManifestMediaType"]) == (digest, DOCKER_LIST)
    listed = repository.manifest("v1")["manifests"]
    assert {item["platform"]["architecture"]: item["digest"] for item in listed} == members

    docker("rmi", f"{repository.reference}:v1-amd64", f"{repository.reference}:v1-arm64")
    docker("pull", together)
    assert docker("run", "--rm", "--network", "none", together) == "for amd64"
    docker("rmi", together)
    docker("pull", "--platform", "linux/arm64", together)
