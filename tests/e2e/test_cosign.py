"""cosign with a key of its own and no transparency log."""

import json
from pathlib import Path

import pytest

from tests.e2e.images import push_busybox
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import RegistryClient
from tests.running import Server

PLAIN = ("--allow-insecure-registry", "--allow-http-registry")


@pytest.fixture
def cosign(newer_programs: Path, clean_shell: Shell, server: Server, password: str) -> Shell:
    """A shell that is logged in and has a key pair."""
    path = f"{newer_programs}:{clean_shell.variables['PATH']}"
    shell = clean_shell.with_variables(PATH=path, COSIGN_PASSWORD="", COSIGN_EXPERIMENTAL="1")
    shell.run("cosign", "login", server.host, "--username", "AWS", "--password-stdin", stdin=password)
    shell.run("cosign", "generate-key-pair")
    return shell


def verify(cosign: Shell, reference: str, *more: str) -> str:
    command = ("cosign", "verify", "--insecure-ignore-tlog", *PLAIN, "--key", "cosign.pub", *more, reference)
    return str(json.loads(cosign.run(*command))[0]["critical"]["image"]["docker-manifest-digest"])


@ON_AN_OBJECT_STORE_TOO
def test_signatures_under_a_tag(cosign: Shell, repository: Repository, registry: RegistryClient) -> None:
    digest = push_busybox(registry, repository.name, "v1", "signed")
    reference = f"{repository.reference}@{digest}"
    cosign.run("cosign", "sign", "--yes", "--tlog-upload=false", *PLAIN, "--key", "cosign.key", reference)
    tag = digest.replace(":", "-") + ".sig"
    assert repository.tags() == {"v1", tag}
    assert verify(cosign, reference) == digest


def test_signatures_as_referrers(cosign: Shell, repository: Repository, registry: RegistryClient) -> None:
    digest = push_busybox(registry, repository.name, "v1", "signed")
    reference = f"{repository.reference}@{digest}"
    mode = ("--registry-referrers-mode", "oci-1-1")
    cosign.run("cosign", "sign", "--yes", "--tlog-upload=false", *PLAIN, *mode, "--key", "cosign.key", reference)
    assert repository.tags() == {"v1"}
    listed = repository.ecr.list_image_referrers(repositoryName=repository.name, subjectId={"imageDigest": digest})
    (referrer,) = listed["referrers"]
    assert referrer["artifactType"] == "application/vnd.dev.cosign.artifact.sig.v1+json"
    assert verify(cosign, reference, "--experimental-oci11") == digest


def test_a_changed_image_does_not_verify(cosign: Shell, repository: Repository, registry: RegistryClient) -> None:
    other = push_busybox(registry, repository.name, "v2", "not signed")
    command = ("cosign", "verify", "--insecure-ignore-tlog", *PLAIN, "--key", "cosign.pub")
    assert "no signatures found" in cosign.fail(*command, f"{repository.reference}@{other}")
