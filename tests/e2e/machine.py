"""A machine with Docker for which a registry stands in for AWS: the real host names, on 443, over TLS."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.docker import debian_path
from tests.e2e.shell import TOOLS, Shell
from tests.running import DEFAULT_ACCOUNT, openecr

REGION = "us-east-1"
REGISTRY = f"{DEFAULT_ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
HOSTS = (
    REGISTRY,
    f"api.ecr.{REGION}.amazonaws.com",
    f"sts.{REGION}.amazonaws.com",
    f"ec2.{REGION}.amazonaws.com",
    f"prod-{REGION}-starport-layer-bucket.s3.{REGION}.amazonaws.com",
)
START_LINE = "openecr listens on "


@dataclass(frozen=True)
class Machine:
    """A network namespace with its own hosts file and Docker; commands in it find AWS's names at the registry."""

    name: str
    shell: Shell
    ca: Path

    def run(self, *command: str | Path, folder: Path | None = None, stdin: str | None = None) -> str:
        """Run a command there that must succeed; everything it printed."""
        return self.shell.both(TOOLS / "netns-docker.sh", "exec", self.name, *command, folder=folder, stdin=stdin)

    def fail(self, *command: str | Path, folder: Path | None = None, stdin: str | None = None) -> str:
        """Run a command there that must fail; what it printed."""
        return self.shell.fail(TOOLS / "netns-docker.sh", "exec", self.name, *command, folder=folder, stdin=stdin)

    def as_account(self, account_id: str) -> "Machine":
        """The same machine in the hands of another account's administrator, with logins of its own."""
        data_dir = self.ca.parents[1]
        openecr("account", "create", account_id, "--data-dir", str(data_dir))
        variables = _environment(data_dir, account_id) | {"DOCKERD_LOGINS": str(data_dir / f"docker-{account_id}")}
        return replace(self, shell=self.shell.with_variables(**variables))

    def trust(self) -> None:
        """Let the machine's Docker trust the registry's CA."""
        self.shell.run(TOOLS / "netns-docker.sh", "ca", self.name, self.ca, REGISTRY)


@contextmanager
def machine(
    data_dir: Path, number: int, aws: Path, store: str = "classic", programs: Path | None = None
) -> Iterator[Machine]:
    """A machine, and a registry at its network's first address.

    Args:
        number: which of this test run's machines; another run beside it has other names and networks.
        aws: a folder with the AWS CLI.
        programs: a folder with another Docker than Debian's.
    """
    name = f"oe{number}x{os.getpid() % 100_000}"
    network = f"10.{192 + 16 * number + os.getpid() // 250 % 16}.{os.getpid() % 250}"
    path = f"{aws}:{debian_path()}"
    variables = {"DOCKERD_STORE": store, "PATH": f"{programs}:{path}" if programs is not None else path}
    if programs is not None:
        variables["DOCKERD_BIN"] = str(programs)
    shell = Shell(variables)
    shell.run(TOOLS / "netns-docker.sh", "up", name, network, *HOSTS)
    try:
        with _registry(data_dir, f"{network}.1"):
            yield Machine(name, shell.with_variables(**_environment(data_dir)), data_dir / "tls" / "ca.pem")
    finally:
        shell.run(TOOLS / "netns-docker.sh", "down", name)


@contextmanager
def _registry(data_dir: Path, address: str) -> Iterator[None]:
    command = [sys.executable, "-m", "openecr", "serve", "--data-dir", str(data_dir), "--host", address]
    command += ["--domain", "amazonaws.com", "--tls", "--port", "443"]
    with (
        (data_dir / "test-server.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True) as process,
    ):
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first.startswith(START_LINE), (data_dir / "test-server.log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def _environment(data_dir: Path, account_id: str = DEFAULT_ACCOUNT) -> dict[str, str]:
    """The keys and the CA bundle, as ``openecr env`` prints them, and no endpoint: AWS's own names are served."""
    flags = ("--data-dir", str(data_dir), "--account", account_id, "--shell", "bash")
    printed = openecr("env", *flags).stdout
    found = dict(re.findall(r"^export (AWS_\w+)='?([^'\n]*)'?;?$", printed, re.MULTILINE))
    wanted = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE")
    assert ssl.create_default_context(cafile=found["AWS_CA_BUNDLE"]).get_ca_certs()
    return {name: found[name] for name in wanted} | {"HOME": str(data_dir), "AWS_EC2_METADATA_DISABLED": "true"}
