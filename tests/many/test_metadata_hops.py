"""How far the instance metadata's answers travel: to the machine next to it, not to one behind that."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from openecr.services.workloads import declaring
from tests.identities import make_role, trusts
from tests.many.network import Network, network
from tests.running import Server, free_port

_PORT = 1338
_SECONDS = 3


def inside(hosts: Network, host: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*hosts.inside(host), *command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Network]:
    """A server, a node beside it, and a pod that is reached by way of the node alone."""
    with network("hops", "10.98.7", "server", "node", "pod") as made:
        for host, other in (("pod", "server"), ("server", "pod")):
            route = ("ip", "route", "replace", f"{made.addresses[other]}/32", "via", made.addresses["node"])
            assert inside(made, host, *route).returncode == 0
        # A router that tells of a shorter way would be passed by.
        for setting in ("ip_forward=1", "conf.all.send_redirects=0", "conf.default.send_redirects=0"):
            inside(made, "node", "sysctl", "-qw", f"net.ipv4.{setting}")
        for host in ("server", "pod"):
            inside(made, host, "sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=0")
        yield made


@contextmanager
def serving(hosts: Network, folder: Path, hops: int) -> Iterator[Server]:
    address = hosts.addresses["server"]
    server = Server(
        folder,
        free_port(),
        ("--host", "0.0.0.0", "--workers", "1", "--metadata-listen", f"{address}:{_PORT}"),
        variables={"OPENECR_METADATA_HOP_LIMIT": str(hops)},
        address=address,
        inside=hosts.inside("server"),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def asks(hosts: Network, host: str) -> str:
    """The status of the answer to a host's PUT; 000 where none arrives."""
    url = f"http://{hosts.addresses['server']}:{_PORT}/latest/api/token"
    words = ("-s", "-m", str(_SECONDS), "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT")
    return inside(hosts, host, "curl", *words, "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", url).stdout


def test_what_is_behind_a_node_is_reached_by_a_higher_limit_alone(hosts: Network, tmp_path: Path) -> None:
    with serving(hosts, tmp_path, hops=1) as server:
        role = make_role(server, "hops", trust=trusts({"Service": "ec2.amazonaws.com"}))
        sources = (hosts.addresses["node"], hosts.addresses["pod"])
        server.write(lambda db: declaring.declare(db, "hops", role, sources, 3600, db.clock_us()))
        near = {host: asks(hosts, host) for host in ("node", "pod")}
    with serving(hosts, tmp_path, hops=2):
        far = {host: asks(hosts, host) for host in ("node", "pod")}

    assert near == {"node": "200", "pod": "000"}
    assert far == {"node": "200", "pod": "200"}
