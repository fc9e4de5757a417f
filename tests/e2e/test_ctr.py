"""containerd by its own client."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.images import push_busybox, push_two_platforms
from tests.e2e.repositories import Repository
from tests.e2e.shell import Shell
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import OCI_INDEX, RegistryClient


@dataclass(frozen=True)
class Containerd:
    """A running containerd."""

    address: Path
    login: tuple[str, ...]

    def __call__(self, *arguments: str) -> str:
        """Run ctr."""
        return Shell().run("/usr/bin/ctr", "--address", self.address, "--connect-timeout", "30s", *arguments)

    def images(self, command: str, *arguments: str) -> str:
        """Pull or push."""
        return self("images", command, "--plain-http", *self.login, *arguments)


@pytest.fixture(scope="module")
def ctr(debian: None, password: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """Debian's containerd without the plugin for Kubernetes."""
    folder = tmp_path_factory.mktemp("ctr")
    (folder / "config.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    command: list[str | Path] = [
        "/usr/bin/containerd",
        "--config",
        folder / "config.toml",
        "--address",
        folder / "sock",
    ]
    command += ["--root", folder / "root", "--state", folder / "state"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ) as daemon,
    ):
        try:
            started = Containerd(folder / "sock", ("--user", f"AWS:{password}"))
            started("version")  # waits for the socket
            yield started
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)


@ON_AN_OBJECT_STORE_TOO
def test_pull_run_and_push(ctr: Containerd, new_repository: NewRepository, registry: RegistryClient) -> None:
    source, target = new_repository("source"), new_repository("target")
    digest = push_busybox(registry, source.name, "v1", "hello from containerd")
    ctr.images("pull", "--snapshotter", "native", f"{source.reference}:v1")
    assert digest in ctr("images", "list", f"name=={source.reference}:v1")
    run = ("run", "--rm", "--snapshotter", "native", "--net-host", f"{source.reference}:v1", "hello")
    assert ctr(*run) == "hello from containerd"
    ctr("images", "tag", f"{source.reference}:v1", f"{target.reference}:pushed")
    ctr.images("push", f"{target.reference}:pushed")
    assert target.digest("pushed") == digest


def test_all_platforms_of_an_index(ctr: Containerd, new_repository: NewRepository, registry: RegistryClient) -> None:
    source, target = new_repository("source"), new_repository("target")
    digest, members = push_two_platforms(registry, source.name, "v1")
    ctr.images("pull", "--all-platforms", "--snapshotter", "native", f"{source.reference}:v1")
    ctr("images", "tag", f"{source.reference}:v1", f"{target.reference}:v1")
    ctr.images("push", f"{target.reference}:v1")
    described = target.image("v1")
    assert (described["imageDigest"], described["imageManifestMediaType"]) == (digest, OCI_INDEX)
    assert {image["imageDigest"] for image in target.images()} == {digest, *members}


def test_an_image_by_digest(ctr: Containerd, repository: Repository, registry: RegistryClient) -> None:
    digest = push_busybox(registry, repository.name, "v1", "by digest")
    ctr.images("pull", "--snapshotter", "native", f"{repository.reference}@{digest}")
    assert digest in ctr("images", "list", f"name=={repository.reference}@{digest}")
