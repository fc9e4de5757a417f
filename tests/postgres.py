"""A PostgreSQL cluster for tests, and databases in it."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

_SCRIPT = Path(__file__).parent / "tools" / "postgres.sh"
_numbers = count(1)


@dataclass
class Cluster:
    """A running PostgreSQL."""

    folder: Path
    port: int
    host: str = "127.0.0.1"
    inside: tuple[str, ...] = ()
    """What starts a program on that host, where it is not this machine."""

    @property
    def address(self) -> str:
        """Its address without a database."""
        return f"postgresql://postgres@{self.host}:{self.port}"

    def run(self, command: str, *arguments: str | Path, **variables: str) -> None:
        """A command of postgres.sh."""
        done = subprocess.run(
            [*self.inside, _SCRIPT, command, self.folder, *arguments],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PG_PORT": str(self.port), "PG_HOST": self.host} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"postgres.sh {command}: {done.stderr}"

    def create_database(self, fill: Callable[[str], object] | None = None) -> str:
        """A new database, filled once for all that are made so, else empty; its address."""
        name = f"openecr_{next(_numbers)}"
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            template = "template1"
            if fill is not None:
                template = f"filled_by_{fill.__name__}"
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,)).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {template}".encode())
                    fill(f"{self.address}/{template}")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return f"{self.address}/{name}"


@contextmanager
def running_cluster(
    port: int, host: str = "127.0.0.1", inside: tuple[str, ...] = (), follows: Cluster | None = None
) -> Iterator[Cluster]:
    """A cluster that is stopped and removed at the end; a streaming standby of another where it follows one.

    Its folder is not pytest's: that is closed to other users, and PostgreSQL does not run as root.
    """
    folder = Path(tempfile.mkdtemp(prefix="openecr-postgres-"))
    cluster = Cluster(folder, port, host, inside)
    try:
        if follows is None:
            cluster.run("start")
        else:
            cluster.run("standby", follows.folder, PG_FROM=follows.host)
        yield cluster
    finally:
        subprocess.run([_SCRIPT, "crash", folder], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
