"""PgBouncer in transaction mode, as operators put it before PostgreSQL."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import Cluster
from tests.waiting import wait_until_it_listens

_CONFIGURATION = """
[databases]
* = host={host} port={database_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
max_client_conn = 500
default_pool_size = 8
logfile = {folder}/log
pidfile = {folder}/pid
"""
PORT = 6432


@contextmanager
def pooler(cluster: Cluster) -> Iterator[None]:
    """PgBouncer on the database's host, with fewer connections than its clients have; it does not run as root."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    assert program is not None, "pgbouncer is missing; .ci/run installs it"
    folder = Path(tempfile.mkdtemp(prefix="openecr-pooler-"))
    try:
        (folder / "users").write_text('"openecr" ""\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(host=cluster.host, database_port=cluster.port, port=PORT, folder=folder)
        )
        folder.chmod(0o777)
        process = subprocess.Popen(
            [*cluster.inside, program, "-u", "postgres", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            log = folder / "log"
            wait_until_it_listens(
                process, (cluster.host, PORT), lambda: log.read_text() if log.exists() else "pgbouncer did not start"
            )
            yield
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)
