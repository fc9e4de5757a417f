"""A plain nginx in front of the servers, as an operator would have it: round robin, nothing sticky."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format served '$upstream_addr $upstream_status "$request"';
    access_log {folder}/access.log served;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream registry {{
{servers}
    }}
    server {{
        listen {address}:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://registry;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_connect_timeout 2s;
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""
PORT = 5000


@contextmanager
def proxy(folder: Path, inside: Sequence[str], address: str, servers: Sequence[str]) -> Iterator[Path]:
    """nginx on a host, before servers (``address:port``); the log that says which server answered what."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program is not None, "nginx is missing; .ci/run installs it"
    folder.mkdir()
    configuration = folder / "nginx.conf"
    listed = "\n".join(f"        server {server};" for server in servers)
    configuration.write_text(_CONFIGURATION.format(folder=folder, servers=listed, address=address, port=PORT))
    process = subprocess.Popen(
        [*inside, program, "-c", str(configuration), "-e", str(folder / "start.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(process, address, folder / "start.log")
        yield folder / "access.log"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection((address, PORT), timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not listen")
