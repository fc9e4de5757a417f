"""A real openecr server for tests: its own data directory, its own port, its own processes."""

import asyncio
import base64
import fcntl
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from openecr.blobs.opening import open_stores
from openecr.db.connection import Connection, Row
from openecr.db.engines import open_database
from openecr.settings import Settings, load
from tests.forked_commands import Forked, run_forked, start_forked

T = TypeVar("T")

DEFAULT_ACCOUNT = "123456789012"
OTHER_ACCOUNT = "999988887777"
START_SECONDS = 180
_held_ports: deque[int] = deque()
_MOST_HELD = 200


def free_port() -> int:
    """A port that nobody listens on, and that no other test of this machine is given for a good while.

    Below those that the kernel gives to clients: a connection that goes out may not take it before it is listened on.
    """
    folder = Path(tempfile.gettempdir()) / "openecr-test-ports"
    folder.mkdir(exist_ok=True)
    for port in random.sample(range(20_000, 32_000), 12_000):
        held = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("0.0.0.0", port))
        except OSError:
            os.close(held)
            continue
        _held_ports.append(held)
        if len(_held_ports) > _MOST_HELD:
            os.close(_held_ports.popleft())
        return port
    raise AssertionError("no port is free")


def environment() -> dict[str, str]:
    """This process's variables without those that steer the tests: a server refuses settings it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENECR_TEST_")}


def openecr(
    *arguments: str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run an openecr command to its end; where it must succeed and does not, the test says what it said."""
    done = run_forked(arguments, environment() if env is None else env, cwd, timeout)
    assert not check or done.returncode == 0, f"openecr {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
    return done


@dataclass
class Server:
    """A running ``openecr serve``."""

    data_dir: Path
    port: int
    flags: tuple[str, ...] = ()
    database: str | None = None
    """Where the metadata is, if not in the data directory."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside this process's own."""
    address: str = "localhost"
    """The host that it is reached at."""
    inside: tuple[str, ...] = ()
    """What starts a program on that host, where it is not this machine."""
    forked: bool = True
    """Whether the parent is spared Python's start; not where what it was started with is looked at from outside."""
    process: "subprocess.Popen[bytes] | Forked | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://{self.address}:{self.port}"

    @property
    def host(self) -> str:
        """The server's address as image names begin with it."""
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        """Start the processes and wait until they are ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the processes."""
        command = ["serve", "--data-dir", str(self.data_dir)]
        if self.database is not None:
            command += ["--database", self.database]
        command += ["--port", str(self.port), *self.flags]
        variables = environment() | dict(self.variables)
        with (self.data_dir / "test-server.log").open("ab") as log:
            if self.forked and not self.inside:
                self.process = start_forked(tuple(command), variables, log, log)
                return
            self.process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", "openecr", *command],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=variables,
            )

    def wait_until_ready(self) -> None:
        """Poll the readiness address until it answers and commands find the server, or the server has ended.

        One worker may answer while another still starts; the address is left once all do.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                    if answer.status == 200 and (self.data_dir / "server.json").exists():
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server was not ready after {START_SECONDS} s:\n{self.log()}")

    def log(self) -> str:
        """What the server logged."""
        return (self.data_dir / "test-server.log").read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the parent and wait for its end; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def environment(self, account_id: str = DEFAULT_ACCOUNT) -> dict[str, str]:
        """The shell environment that ``openecr env`` prints, on top of this process's own."""
        flags = ("--data-dir", str(self.data_dir), "--account", account_id, "--shell", "bash")
        # no aws on the path: its version is asked for where there is one, which takes longer than all the rest
        variables = environment() | dict(self.variables) | {"PATH": str(self.data_dir)}
        printed = openecr("env", *flags, env=variables).stdout
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | dict(re.findall(r"^export (AWS_\w+)='?([^'\n]*)'?;?$", printed, re.MULTILINE))

    def client(self, service: str, account_id: str = DEFAULT_ACCOUNT, region: str = "us-east-1") -> Any:
        """A boto3 client of an account's administrator, without retries."""
        variables = self.environment(account_id)
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )

    def command(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an openecr command beside the server, as its operator does."""
        variables = environment() | dict(self.variables)
        return openecr(name, *arguments, "--data-dir", str(self.data_dir), check=check, env=variables)

    def swap_object(self, object_id: str, change: Callable[[bytes], bytes]) -> bytes:
        """Put other bytes into an object of the blob store, past the server; those that it had."""

        async def swap() -> bytes:
            running = json.loads((self.data_dir / "server.json").read_text())
            stores = open_stores(load(running["stores"] | {"data_dir": self.data_dir}, {}))
            before = b"".join([piece async for piece in stores.read(object_id, 0, await stores.size_bytes(object_id))])
            writer = await stores.open_writer(object_id, 0)
            writer.write(change(before))
            await writer.close()
            await stores.seal(object_id, len(before))
            return before

        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.variables.items():
                patch.setenv(variable, value)
            return asyncio.run(swap())

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change in a transaction of its own, past the server's planes."""

        async def once() -> T:
            database = await open_database(Settings(data_dir=self.data_dir, database=self.database))
            try:
                return await database.write(change)
            finally:
                await database.close()

        return asyncio.run(once())

    def execute(self, sql: str, **params: Any) -> int:
        """Change the database behind the server, for states that no client can make quickly; how many rows."""
        return self.write(lambda db: db.run(sql, **params))

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """Read the database behind the server."""
        return self.write(lambda db: db.rows(sql, **params))

    def password(self, account_id: str = DEFAULT_ACCOUNT) -> str:
        """A registry password for the user AWS."""
        data = self.client("ecr", account_id).get_authorization_token()["authorizationData"][0]
        return base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")


@contextmanager
def running(
    data_dir: Path,
    *flags: str,
    accounts: Sequence[str] = (),
    database: str | None = None,
    variables: Mapping[str, str] | None = None,
    forked: bool = True,
) -> Iterator[Server]:
    """A server on a fresh port, with more accounts where asked, stopped at the end."""
    server = Server(data_dir, free_port(), flags, database, variables or {}, forked=forked)
    server.start()
    try:
        for account_id in accounts:
            openecr("account", "create", account_id, "--data-dir", str(data_dir))
        yield server
    finally:
        server.stop()


def is_refused(url: str) -> bool:
    """Whether nobody listens at an address."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return False
    except OSError:
        return True
    return False
