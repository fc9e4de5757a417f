"""Daemons, programs and repositories for the tests with real clients."""

import contextlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.docker import Docker, start_daemon, stop_daemon
from tests.e2e.repositories import Repository
from tests.e2e.shell import TOOLS, Shell
from tests.registry_client import RegistryClient
from tests.running import Server
from tests.waiting import wait_until

NewRepository = Callable[..., Repository]


def _need_debian() -> None:
    """Clients come as Debian packages, and daemons want root; everywhere else the other suites have to do."""
    if platform.system() != "Linux" or shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip("real clients are tested as root on Debian, which .ci/run sets up")


@pytest.fixture(scope="session")
def ecr(server: Server) -> Any:
    """The default account's ECR."""
    return server.client("ecr")


@pytest.fixture(scope="session")
def password(server: Server) -> str:
    """The default account's registry password."""
    return server.password()


@pytest.fixture
def new_repository(server: Server, ecr: Any, request: pytest.FixtureRequest) -> NewRepository:
    """Makes repositories whose names begin with the test's."""
    test = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower()).strip("-")
    prefix = "-".join(part for part in test.split("-") if part)

    def make(name: str = "image", **settings: Any) -> Repository:
        full = f"{prefix}/{name}"
        ecr.create_repository(repositoryName=full, **settings)
        return Repository(ecr, full, f"{server.host}/{full}")

    return make


@pytest.fixture
def repository(new_repository: NewRepository) -> Repository:
    """One repository with the defaults."""
    return new_repository()


@pytest.fixture(scope="session")
def docker(server: Server, password: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Debian's Docker with its classic image store, logged in."""
    _need_debian()
    folder = tmp_path_factory.mktemp("docker")
    try:
        started = start_daemon(folder)
        started.login(server.host, password)
        yield started
    finally:
        stop_daemon(folder)


@pytest.fixture(scope="session")
def newer_programs() -> Path:
    """The folder with the next Debian's docker, buildx, containerd, oras and cosign."""
    _need_debian()
    return Path(Shell().run(TOOLS / "newer-clients.sh", "bin").strip())


@pytest.fixture(scope="session")
def newer_root_programs() -> Path:
    """The folder with the next Debian's podman, skopeo, buildah, AWS CLI 2 and credential helper."""
    _need_debian()
    return Path(Shell().run(TOOLS / "newer-clients.sh", "root").strip())


@pytest.fixture(scope="session")
def docker_containerd(
    server: Server, password: str, newer_programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Docker]:
    """The newer Docker with the containerd image store and buildx, logged in."""
    folder = tmp_path_factory.mktemp("dockerc")
    try:
        started = start_daemon(folder, "containerd", newer_programs)
        started.login(server.host, password)
        yield started
    finally:
        stop_daemon(folder)


@pytest.fixture(scope="session")
def debian() -> None:
    """Skips where Debian's clients cannot be had."""
    _need_debian()


@pytest.fixture(scope="session")
def aws_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``aws``, the AWS CLI of the environment that the tests run in."""
    folder = tmp_path_factory.mktemp("aws")
    program = folder / "aws"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m awscli "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.fixture
def clean_shell(tmp_path: Path) -> Shell:
    """A shell whose home, Docker configuration and registry logins are the test's own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    home = str(tmp_path / "home")
    variables = {
        "HOME": home,
        "DOCKER_CONFIG": f"{home}/.docker",
        "REGISTRY_AUTH_FILE": f"{home}/auth.json",
        "PATH": f"/usr/sbin:/usr/bin:{os.environ['PATH']}",
    }
    return Shell(variables, tmp_path / "work")


@pytest.fixture(scope="session")
def registry(server: Server, password: str) -> RegistryClient:
    """A plain client, to put images there that others pull."""
    return RegistryClient(server.port, password)


@pytest.fixture(params=["debian", "newer"])
def containers_shell(request: pytest.FixtureRequest, debian: None, clean_shell: Shell) -> Iterator[Shell]:
    """A shell for podman, buildah and skopeo, this Debian's and the next one's, with image storage of its own."""
    # a short name: conmon's sockets lie there, and with a long one podman waits 20 s for a container's end
    with tempfile.TemporaryDirectory(prefix="oe-", dir="/tmp") as folder:
        configuration = Path(folder) / "storage.conf"
        folders = f'graphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
        configuration.write_text(f'[storage]\ndriver = "vfs"\n{folders}')
        shell = clean_shell.with_variables(CONTAINERS_STORAGE_CONF=str(configuration), DOCKER="podman")
        if request.param == "newer":
            programs = request.getfixturevalue("newer_root_programs")
            path = f"{programs}:{clean_shell.variables['PATH']}"
            shell = shell.with_variables(PATH=path, PODMAN_IGNORE_CGROUPSV1_WARNING="1")
        yield shell
        # a container's monitor cleans up after podman has ended, and makes files again in what is being removed
        wait_until(lambda: not _commands_that_name(folder), f"nothing works in {folder}")


def _commands_that_name(folder: str) -> list[str]:
    """The command lines of running processes that name a folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [command for command in found if folder in command]


@pytest.fixture
def podman_shell(containers_shell: Shell, server: Server, password: str) -> Shell:
    """The shell with a login of podman's and ``localhost/busybox``."""
    containers_shell.run(TOOLS / "base-image.sh", "tiny")
    login = ("login", "--tls-verify=false", "--username", "AWS", "--password-stdin", server.host)
    assert "Login Succeeded" in containers_shell.run("podman", *login, stdin=password)
    return containers_shell


@pytest.fixture
def helm(debian: None, clean_shell: Shell) -> Shell:
    """A shell that has Helm."""
    if platform.machine() != "x86_64":
        pytest.skip("the package that carries Helm has it for x86_64 alone")
    program = Path(Shell({"PYTHON": sys.executable}).run(TOOLS / "helm.sh").strip())
    return clean_shell.with_variables(PATH=f"{program.parent}:{clean_shell.variables['PATH']}")
