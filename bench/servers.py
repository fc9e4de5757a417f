"""Starting and stopping the two registries, each on its own data directory of the same disk and its own port.

Both write no line per request: the peer logs errors only, openecr runs with its access log off. openecr authenticates
every request; the peer is anonymous.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench import processes
from bench.client import Client, free_port, wait_for
from bench.tools import ToolMissingError, find_tool

_START_SECONDS = 60
_STOP_SECONDS = 30


class ServerFailedError(Exception):
    """A server did not start; the text ends with the last lines of its log."""


class Server(ABC):
    """A registry that runs while the ``with`` block does."""

    name: str
    ready_path: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of every request: the credentials."""
        return {}

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The root of the server's process tree."""
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    @abstractmethod
    def description(self) -> str:
        """Version, workers and what matters to whoever reads the numbers."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that serves; it writes what it needs below the folder."""

    @abstractmethod
    def create_repository(self, name: str) -> None:
        """Make a repository, where the registry wants that before the first push."""

    def _environment(self) -> dict[str, str]:
        """The bench's environment without what could point a server or client somewhere else."""
        return {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENECR_", "REGISTRY_"))
        }

    def _after_start(self) -> None:  # noqa: B027 - most servers need nothing
        """Whatever is needed once the server answers."""

    def __enter__(self) -> "Server":
        self.folder.mkdir(parents=True)
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            self._wait_until_ready(log)
            self._after_start()
        except BaseException:
            self.stop()
            raise
        return self

    def _is_ready(self) -> bool:
        return wait_for(self, self.ready_path)

    def _wait_until_ready(self, log: Path) -> None:
        end = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > end:
                said = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise ServerFailedError(f"{self.name} {'ended' if ended else 'is not ready'}; its log ends:\n{said}")
            time.sleep(0.05)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server in good order, or by force if it does not; then remove its data."""
        if self._process is not None:
            family = processes.tree(self._process.pid)
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop in {_STOP_SECONDS} s after SIGTERM: killed", file=sys.stderr)
                self._process.kill()
                self._process.wait()
            for pid in family[1:]:
                if processes.is_alive(pid):
                    print(f"{self.name} left process {pid} behind: killed", file=sys.stderr)
                    os.kill(pid, signal.SIGKILL)
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Peer(Server):
    """Debian's docker-registry (CNCF Distribution 2.8): filesystem driver, Debian's own in-memory descriptor cache."""

    name = "docker-registry"
    ready_path = "/v2/"

    @property
    def description(self) -> str:
        package = subprocess.run(
            ["dpkg-query", "-Wf", "${Version}", "docker-registry"], check=False, capture_output=True, text=True
        ).stdout
        return f"docker-registry {package or '(unpacked)'}, 1 process with all cores, anonymous, no access log"

    def _command(self) -> list[str]:
        config = self.folder / "config.yml"
        config.write_text(
            f"""\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {self.folder / "data"}
  delete:
    enabled: true
http:
  addr: {self.host}:{self.port}
"""
        )
        return [find_tool("docker-registry"), "serve", str(config)]

    def create_repository(self, name: str) -> None:
        pass


class OpenEcr(Server):
    """openecr from the environment that runs the bench: embedded SQLite and filesystem, all else at its defaults."""

    name = "openecr"
    ready_path = "/readyz"

    def __init__(self, folder: Path, workers: int, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.workers = workers
        self._settings = {f"OPENECR_{name.upper()}": value for name, value in (settings or {}).items()}
        self._authorization = ""
        self._variables: dict[str, str] = {}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": self._authorization} if self._authorization else {}

    @property
    def description(self) -> str:
        return f"openecr, {self.workers} workers and its job process, every request authenticated, no access log"

    @property
    def _data_dir(self) -> str:
        return str(self.folder / "data")

    def _command(self) -> list[str]:
        serve = [_openecr(), "serve", "--data-dir", self._data_dir, "--port", str(self.port)]
        return [*serve, "--workers", str(self.workers)]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"OPENECR_ACCESS_LOG": "off"} | self._settings

    def _is_ready(self) -> bool:
        """Its address is left for other commands once every worker answers."""
        return super()._is_ready() and (self.folder / "data" / "server.json").exists()

    def _after_start(self) -> None:
        shown = subprocess.run(
            [_openecr(), "env", "--data-dir", self._data_dir],
            check=True,
            capture_output=True,
            text=True,
            env=super()._environment(),
        ).stdout
        self._variables = _exports(shown)
        data = self._boto3().get_authorization_token()["authorizationData"][0]
        self._authorization = f"Basic {data['authorizationToken']}"

    def command(self, *words: str) -> tuple[str, float, int]:
        """Run an openecr command on the server's data directory: what it prints, its seconds, its peak RSS in bytes."""
        start = time.perf_counter()
        process = subprocess.Popen(
            [_openecr(), *words, "--data-dir", self._data_dir], stdout=subprocess.PIPE, env=self._environment()
        )
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise ServerFailedError(f"openecr {' '.join(words)} ended with {process.returncode}")
        return printed, time.perf_counter() - start, used.ru_maxrss * 1024

    @property
    def data_dir(self) -> Path:
        """Where the server keeps its data."""
        return Path(self._data_dir)

    @property
    def _region(self) -> str:
        return self._variables["AWS_REGION"]

    def _boto3(self) -> Any:
        return boto3.client(
            "ecr",
            region_name=self._region,
            endpoint_url=self._variables["AWS_ENDPOINT_URL_ECR"],
            aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
        )

    def create_repository(self, name: str) -> None:
        self._boto3().create_repository(repositoryName=name)

    def put_lifecycle_policy(self, repository: str, text: str) -> None:
        """Put a policy; its job is due after ``lifecycle_delay``."""
        self._boto3().put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text)

    def sign_api_call(self, operation: str, body: bytes) -> tuple[str, dict[str, str]]:
        """Path and headers of a signed api-plane call, so that only its sending and answer need be timed."""
        endpoint = self._variables["AWS_ENDPOINT_URL_ECR"]
        request = AWSRequest(
            "POST",
            endpoint.rstrip("/") + "/",
            data=body,
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
                "Host": endpoint.partition("://")[2].rstrip("/"),
            },
        )
        keys = Credentials(self._variables["AWS_ACCESS_KEY_ID"], self._variables["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(keys, "ecr", self._region).add_auth(request)
        return "/", dict(request.headers.items())

    def call_api(self, client: Client, operation: str, body: bytes) -> tuple[float, bytes]:
        """One api-plane call over a kept connection: seconds from sending to the whole answer, and the answer."""
        path, headers = self.sign_api_call(operation, body)
        start = time.perf_counter()
        answer = client.request("POST", path, (200,), body, headers)
        return time.perf_counter() - start, answer.body


def _openecr() -> str:
    """The command, from the same environment as the bench."""
    beside = Path(sys.executable).with_name("openecr")
    found = str(beside) if beside.exists() else shutil.which("openecr")
    if not found:
        raise ToolMissingError(
            "the openecr command is not installed beside this Python; run `make bench`, or pip install -e ."
        )
    return found


def _exports(shell: str) -> dict[str, str]:
    """The variables that ``export NAME=value`` lines set."""
    variables = {}
    for line in shell.replace(";", "\n").splitlines():
        words = shlex.split(line, comments=True)
        for word in words[1:] if words[:1] == ["export"] else []:
            name, separator, value = word.partition("=")
            if separator:
                variables[name] = value
    return variables
