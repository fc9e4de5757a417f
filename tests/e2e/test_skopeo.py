"""skopeo."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.images import push_busybox, push_two_platforms
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import RegistryClient, digest_of
from tests.running import DEFAULT_ACCOUNT, OTHER_ACCOUNT, Server

PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def skopeo(containers_shell: Shell, server: Server, password: str) -> Shell:
    """A shell that is logged in."""
    login = ("login", "--tls-verify=false", "--username", "AWS", "--password-stdin", server.host)
    assert "Login Succeeded" in containers_shell.run("skopeo", *login, stdin=password)
    return containers_shell


def test_inspect_list_tags_and_delete(skopeo: Shell, repository: Repository, registry: RegistryClient) -> None:
    digest = push_busybox(registry, repository.name, "v1", "one")
    push_busybox(registry, repository.name, "v2", "two")
    source = f"docker://{repository.reference}"
    seen = json.loads(skopeo.run("skopeo", "inspect", "--tls-verify=false", f"{source}:v1"))
    assert (seen["Digest"], sorted(seen["RepoTags"])) == (digest, ["v1", "v2"])
    listed = json.loads(skopeo.run("skopeo", "list-tags", "--tls-verify=false", source))
    assert sorted(listed["Tags"]) == ["v1", "v2"]
    skopeo.run("skopeo", "delete", "--tls-verify=false", f"{source}:v1")
    assert repository.tags() == {"v2"}


@ON_AN_OBJECT_STORE_TOO
def test_copy_an_index_with_all_its_images(
    skopeo: Shell, new_repository: NewRepository, registry: RegistryClient, tmp_path: Path
) -> None:
    source, target = new_repository("source"), new_repository("target")
    digest, members = push_two_platforms(registry, source.name, "v1")
    references = (f"docker://{source.reference}:v1", f"docker://{target.reference}:copied")
    skopeo.run("skopeo", "copy", "--all", *PLAIN, *references)
    assert target.digest("copied") == digest
    assert {image["imageDigest"] for image in target.images()} == {digest, *members}

    skopeo.run("skopeo", "copy", "--all", "--src-tls-verify=false", references[1], f"dir:{tmp_path}/copy")
    skopeo.run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"dir:{tmp_path}/copy", f"{references[1]}-back")
    assert target.digest("copied-back") == digest


def test_copy_as_docker_schema_2_and_with_zstd(
    skopeo: Shell, new_repository: NewRepository, registry: RegistryClient, tmp_path: Path
) -> None:
    repository, target = new_repository(), new_repository("target")
    push_busybox(registry, repository.name, "v1", "converted")
    source = f"docker://{repository.reference}"
    skopeo.run("skopeo", "copy", "--format", "v2s2", *PLAIN, f"{source}:v1", f"{source}:docker")
    assert repository.image("docker")["imageManifestMediaType"].startswith("application/vnd.docker.")
    skopeo.run("skopeo", "copy", *PLAIN, "--dest-decompress", f"{source}:v1", f"dir:{tmp_path}/plain")
    said = tmp_path / "digest"
    zstd = ("--dest-tls-verify=false", "--dest-compress-format", "zstd", "--digestfile", said)
    skopeo.run("skopeo", "copy", *zstd, f"dir:{tmp_path}/plain", f"docker://{target.reference}:zstd")
    assert target.digest("zstd") == said.read_text()
    layers = target.manifest("zstd")["layers"]
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}


def test_a_wrong_password(skopeo: Shell, repository: Repository) -> None:
    said = skopeo.fail(
        "skopeo", "inspect", "--tls-verify=false", "--creds", "AWS:wrong", f"docker://{repository.reference}:v1"
    )
    assert "denied" in said or "unauthorized" in said


def test_another_account_copies_what_is_shared_with_it(
    containers_shell: Shell, server: Server, repository: Repository, registry: RegistryClient, tmp_path: Path
) -> None:
    """By the registry's path on a plain host; with the sentence of the denial before it is shared."""
    digest = push_busybox(registry, repository.name, "v1", "shared")
    source = f"docker://{server.host}/{DEFAULT_ACCOUNT}.us-east-1/{repository.name}:v1"
    credentials = ("--src-creds", f"AWS:{server.password(OTHER_ACCOUNT)}")
    copy = ("skopeo", "copy", "--src-tls-verify=false", *credentials, source, f"dir:{tmp_path}/copy")
    said = containers_shell.fail(*copy)
    assert f"User: arn:aws:iam::{OTHER_ACCOUNT}:user/administrator is not authorized" in said
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in said

    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
        "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    repository.ecr.set_repository_policy(repositoryName=repository.name, policyText=text)
    containers_shell.run(*copy)
    assert digest_of((tmp_path / "copy" / "manifest.json").read_bytes()) == digest
