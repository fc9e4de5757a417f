"""Which networks may be a node's, which of them an address is in, and when a session makes place for the next. Pure."""

import ipaddress
import re
from collections.abc import Mapping

TASK_SERVICE = "ecs-tasks.amazonaws.com"
NODE_SERVICE = "ec2.amazonaws.com"
"""Whom a role must trust, so that tasks or nodes may have it; as on AWS, the role's trust policy decides."""
LEAST_SESSION_SECONDS, USUAL_SESSION_SECONDS, MOST_SESSION_SECONDS = 900, 3600, 43_200
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,63}")
"""A workload's name is its sessions' name, which IAM wants to be so (API reference of AssumeRole)."""
_PLACED_BY_PROXY = frozenset((b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"))


class NoNetwork(ValueError):
    """The text cannot be a node's network; it is one sentence with the remedy."""


def node_network(text: str) -> str:
    """A node's address or network, in its one spelling.

    Raises:
        NoNetwork: it is none, or it is everyone.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise NoNetwork(f"{text} is no network: {error}") from None
    if network.prefixlen == 0:
        raise NoNetwork(f"{text} is everyone; give the addresses of the nodes, such as 10.0.7.0/24")
    return str(network)


def networks_of(source: str) -> list[str]:
    """Every network that an address is in, the narrowest first; none where the text is no address."""
    try:
        found = ipaddress.ip_address(source)
    except ValueError:
        return []
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.IPv6Address(
            int(found)
        )  # without a scope, which is another machine's word
    return [str(ipaddress.ip_network((found, length), strict=False)) for length in range(found.max_prefixlen, 0, -1)]


def names_this_machine(host: str) -> bool:
    """Whether a Host header is an address, or localhost: a name could be one that an attacker's DNS points here, to
    make a browser ask."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() == "localhost"
    return True


def was_forwarded(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a proxy, which cannot be the node, passed the request on. EC2 looks at X-Forwarded-For (Amazon EC2 User
    Guide, "Use the Instance Metadata Service")."""
    return not _PLACED_BY_PROXY.isdisjoint(headers)


def renews_at_us(issued_us: int, session_seconds: int) -> int:
    """From when on the next session is handed out: half of this one is left then, for those who hold it."""
    return issued_us + session_seconds * 500_000
