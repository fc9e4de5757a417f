"""podman."""

from pathlib import Path

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.docker import write_context
from tests.e2e.images import push_busybox, push_two_platforms
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import OCI_INDEX, OCI_MANIFEST, RegistryClient

RUN = (
    "podman", "--runtime", "runc", "run", "--rm", "--network", "host",
    "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
)  # fmt: skip
"""What runs a container on a machine with both kinds of cgroups, too."""
KINDS = {"oci": OCI_MANIFEST, "docker": "application/vnd.docker.distribution.manifest.v2+json"}


@ON_AN_OBJECT_STORE_TOO
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_build_push_pull_and_run(podman_shell: Shell, repository: Repository, tmp_path: Path, form: str) -> None:
    remote, said = f"{repository.reference}:v1", tmp_path / "digest"
    dockerfile = 'FROM localhost/busybox\nCOPY hello.txt /hello.txt\nCMD ["cat", "/hello.txt"]\n'
    context = write_context(tmp_path / "context", dockerfile, hello_txt="hello from podman")
    podman_shell.run("podman", "build", "--format", form, "-t", remote, context)
    podman_shell.run("podman", "push", "--tls-verify=false", "--digestfile", said, remote)
    described = repository.image("v1")
    assert (described["imageDigest"], described["imageManifestMediaType"]) == (said.read_text(), KINDS[form])

    podman_shell.run("podman", "rmi", remote)
    podman_shell.run("podman", "pull", "--tls-verify=false", remote)
    digest = podman_shell.run("podman", "image", "inspect", "--format", "{{.Digest}}", remote).strip()
    assert digest == described["imageDigest"]
    assert podman_shell.run(*RUN, remote) == "hello from podman"


def test_push_to_an_immutable_tag(
    podman_shell: Shell, new_repository: NewRepository, registry: RegistryClient, tmp_path: Path
) -> None:
    repository = new_repository(imageTagMutability="IMMUTABLE")
    digest = push_busybox(registry, repository.name, "v1", "first")
    podman_shell.run("podman", "tag", "localhost/busybox", f"{repository.reference}:v1")
    said = podman_shell.fail("podman", "push", "--tls-verify=false", f"{repository.reference}:v1")
    assert f"The image tag 'v1' already exists in the '{repository.name}' repository" in said
    assert repository.digest("v1") == digest


def test_a_manifest_of_two_platforms(
    podman_shell: Shell, repository: Repository, registry: RegistryClient, tmp_path: Path
) -> None:
    _, members = push_two_platforms(registry, repository.name, "source")
    podman_shell.run("podman", "manifest", "create", "both")
    for digest in members:
        source = f"docker://{repository.reference}@{digest}"
        podman_shell.run("podman", "manifest", "add", "--tls-verify=false", "both", source)
    said = tmp_path / "digest"
    target = f"docker://{repository.reference}:both"
    podman_shell.run("podman", "manifest", "push", "--all", "--tls-verify=false", "--digestfile", said, "both", target)
    described = repository.image("both")
    assert (described["imageDigest"], described["imageManifestMediaType"]) == (said.read_text(), OCI_INDEX)
    assert [member["digest"] for member in repository.manifest("both")["manifests"]] == members
