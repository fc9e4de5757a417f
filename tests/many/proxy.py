"""A plain nginx in front of the servers, as an operator would have it: round robin, nothing sticky."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until_it_listens

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
        wait_until_it_listens(process, (address, PORT), (folder / "start.log").read_text)
        yield folder / "access.log"
    finally:
        process.terminate()
        process.wait(timeout=30)
