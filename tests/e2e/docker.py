"""A Docker daemon of the tests' own, and its client."""

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.shell import TOOLS, Shell

_PUSHED = re.compile(r"digest: (sha256:[0-9a-f]{64}) size: [0-9]+")


@dataclass(frozen=True)
class Docker:
    """A daemon of our own, and a client with a configuration of its own."""

    shell: Shell

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run a docker command that must succeed; its standard output."""
        return self.shell.run("docker", *arguments, stdin=stdin)

    def fails(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run a docker command that must fail; what it printed."""
        return self.shell.fail("docker", *arguments, stdin=stdin)

    def with_configuration(self, folder: Path) -> "Docker":
        """The same daemon for somebody who has not logged in."""
        folder.mkdir(parents=True, exist_ok=True)
        return replace(self, shell=self.shell.with_variables(DOCKER_CONFIG=str(folder)))

    def with_variables(self, **variables: str) -> "Docker":
        """The same daemon and client with more variables."""
        return replace(self, shell=self.shell.with_variables(**variables))

    def login(self, host: str, password: str) -> None:
        """Log in as AWS."""
        said = self("login", "--username", "AWS", "--password-stdin", host, stdin=password)
        assert "Login Succeeded" in said

    def push(self, reference: str) -> str:
        """Push a tag; the digest that Docker prints."""
        found = _PUSHED.search(self("push", reference))
        assert found is not None
        return found[1]

    def id(self, reference: str) -> str:
        """The image id."""
        return self("image", "inspect", "--format", "{{.Id}}", reference).strip()

    def repository_digests(self, reference: str) -> list[str]:
        """The registry digests that the daemon knows of an image."""
        form = "{{range .RepoDigests}}{{println .}}{{end}}"
        return self("image", "inspect", "--format", form, reference).split()

    def load_busybox(self) -> None:
        """Make ``busybox:latest`` without any registry."""
        self.shell.run(TOOLS / "base-image.sh", "tiny")


def start_daemon(folder: Path, store: str = "classic", programs: Path | None = None) -> Docker:
    """Start a daemon that keeps everything in the folder."""
    variables = {"DOCKERD_STORE": store}
    if programs is not None:
        variables["DOCKERD_BIN"] = str(programs)
    else:
        variables["PATH"] = debian_path()
    Shell(variables).run(TOOLS / "dockerd.sh", "start", folder)
    client = {"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": f"{folder}/docker-config"}
    path = debian_path()
    client["PATH"] = f"{programs}:{path}" if programs is not None else path
    docker = Docker(Shell(client))
    docker.load_busybox()
    return docker


def stop_daemon(folder: Path) -> None:
    """Stop the daemon and delete its folder."""
    Shell().run(TOOLS / "dockerd.sh", "wipe", folder)


def debian_path() -> str:
    """Debian's own Docker client before any other one on the machine, as client and daemon belong together."""
    assert shutil.which("dockerd", path="/usr/sbin:/usr/bin"), "Debian's docker.io is not installed"
    return "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin"


def write_context(folder: Path, dockerfile: str, **files: str | bytes) -> Path:
    """A build context; file names take underscores for dots."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder
