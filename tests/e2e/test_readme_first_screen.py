"""The README's first screen, as it is written, in a shell."""

from pathlib import Path

from tests.e2e.docker import Docker
from tests.e2e.shell import REPOSITORY, Shell
from tests.running import Server

ADDRESS = "localhost:5050"


def first_screen() -> list[str]:
    """The lines of the README's second block of commands."""
    block = (REPOSITORY / "README.md").read_text().split("```sh\n")[2].split("```")[0]
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


def test_the_first_screen(docker: Docker, server: Server, aws_programs: Path, tmp_path: Path) -> None:
    """Only the port is another, and busybox is there already: there is no internet to pull it from."""
    evaluation, *commands = first_screen()
    assert evaluation == 'eval "$(.venv/bin/openecr env)"'
    commands.remove("docker pull busybox")
    script = "\n".join(["set -eu", "set -o pipefail", *commands]).replace(ADDRESS, server.host)
    assert server.host in script
    own = docker.with_configuration(tmp_path / "docker").shell.variables
    path = f"{aws_programs}:{own['PATH']}"
    shell = Shell({**server.environment(), **own, "PATH": path, "HOME": str(tmp_path)})
    said = shell.run("bash", "-c", script)
    assert "Login Succeeded" in said
    digest = server.client("ecr").describe_images(repositoryName="hello")["imageDetails"][0]["imageDigest"]
    assert f"v1: digest: {digest}" in said
    assert f"Digest: {digest}" in said
