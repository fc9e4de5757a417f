"""The README's table of what each client needs, row by row: its flags are read from the table and used."""

import re
from pathlib import Path

import pytest

from tests.e2e.conftest import NewRepository
from tests.e2e.docker import Docker
from tests.e2e.images import push_busybox
from tests.e2e.repositories import Repository
from tests.e2e.shell import REPOSITORY, Shell
from tests.registry_client import RegistryClient
from tests.running import Server

TITLE = "## What each client needs on plain `localhost:5050`"
RUN_HERE = {"docker", "podman", "buildah", "skopeo", "ctr", "oras", "helm"}
NOT_PACKAGED = {"crane", "regctl"}
"""Debian, PyPI and npm do not have them; they were run by hand."""


def table() -> dict[str, str]:
    """Client → what it needs, of the rows that do not say by a ¹ that they were not run."""
    section = (REPOSITORY / "README.md").read_text().split(TITLE)[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    assert rows[0] == [" client ", " what it needs "]
    run = [row for row in rows[1:] if "¹" not in row[0]]
    return {client.strip(): needs.strip() for clients, needs in run for client in clients.split(",")}


def flags(client: str) -> list[str]:
    """The flags in a row."""
    return [flag for code in re.findall(r"`(--[^`]*)`", table()[client]) for flag in code.split()]


def test_every_row_is_run_here_or_marked() -> None:
    assert set(table()) == RUN_HERE | NOT_PACKAGED


def test_docker(docker: Docker, repository: Repository) -> None:
    assert table()["docker"] == "nothing: `docker push localhost:5050/hello:v1`"
    docker("tag", "busybox", f"{repository.reference}:v1")
    assert docker.push(f"{repository.reference}:v1") == repository.digest("v1")


@pytest.mark.parametrize("client", ["podman", "buildah"])
def test_podman_and_buildah(
    podman_shell: Shell,
    new_repository: NewRepository,
    registry: RegistryClient,
    server: Server,
    password: str,
    client: str,
) -> None:
    repository, needed = new_repository(), flags(client)
    assert all(f"`{command}`" in table()[client] for command in ("login", "pull", "push"))
    push_busybox(registry, repository.name, "v1", "one")
    login = ("--username", "AWS", "--password-stdin", server.host)
    podman_shell.run(client, "login", *needed, *login, stdin=password)
    podman_shell.fail(client, "login", *login, stdin=password)
    podman_shell.run(client, "pull", *needed, f"{repository.reference}:v1")
    podman_shell.run(client, "tag", f"{repository.reference}:v1", f"{repository.reference}:v2")
    podman_shell.run(client, "push", *needed, f"{repository.reference}:v2")
    assert repository.tags() == {"v1", "v2"}
    podman_shell.fail(client, "push", f"{repository.reference}:v2")


def test_skopeo(
    containers_shell: Shell, repository: Repository, registry: RegistryClient, server: Server, password: str
) -> None:
    everywhere, source, destination = flags("skopeo")
    push_busybox(registry, repository.name, "v1", "one")
    reference = f"docker://{repository.reference}"
    containers_shell.run("skopeo", "login", everywhere, "-u", "AWS", "--password-stdin", server.host, stdin=password)
    containers_shell.run("skopeo", "inspect", everywhere, f"{reference}:v1")
    containers_shell.run("skopeo", "copy", source, destination, f"{reference}:v1", f"{reference}:v2")
    containers_shell.fail("skopeo", "copy", f"{reference}:v1", f"{reference}:v3")
    assert repository.tags() == {"v1", "v2"}


def test_oras(newer_programs: Path, clean_shell: Shell, repository: Repository, server: Server, password: str) -> None:
    """With the flag and without it: it assumes HTTP for localhost."""
    shell = clean_shell.with_variables(PATH=f"{newer_programs}:{clean_shell.variables['PATH']}")
    (shell.folder / "data.txt").write_text("data")
    for tag, flag in (("v1", flags("oras")), ("v2", [])):
        shell.run("oras", "login", *flag, "-u", "AWS", "--password-stdin", server.host, stdin=password)
        shell.run("oras", "push", *flag, f"{repository.reference}:{tag}", "data.txt")
        shell.run("oras", "pull", *flag, f"{repository.reference}:{tag}")
    assert repository.tags() == {"v1", "v2"}


def test_helm(helm: Shell, new_repository: NewRepository, server: Server, password: str) -> None:
    repository, needed = new_repository("chart"), flags("helm")
    assert all(f"`{command}`" in table()["helm"] for command in ("registry login", "push", "pull"))
    (helm.folder / "chart").mkdir()
    (helm.folder / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 0.1.0\n")
    helm.run("helm", "package", "chart")
    login = ("registry", "login", *needed, "--username", "AWS", "--password-stdin", server.host)
    helm.run("helm", *login, stdin=password)
    parent = f"oci://{repository.reference.removesuffix('/chart')}"
    helm.run("helm", "push", *needed, "chart-0.1.0.tgz", parent)
    helm.run("helm", "pull", *needed, f"{parent}/chart", "--version", "0.1.0")
    assert repository.tags() == {"0.1.0"}


def test_ctr_is_run_with_the_flags_of_its_row() -> None:
    """tests/e2e/test_ctr.py pulls and pushes with these."""
    assert flags("ctr") == ["--plain-http", "--user", "AWS:PASSWORD"]
    used = (Path(__file__).parent / "test_ctr.py").read_text()
    assert '"--plain-http"' in used
    assert '"--user", f"AWS:{password}"' in used
