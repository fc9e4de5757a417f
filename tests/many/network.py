"""Hosts as network namespaces, with links that can be cut."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).parents[1] / "tools" / "netns-cluster.sh"


@dataclass(frozen=True)
class Network:
    """Some hosts; this machine reaches all of them."""

    name: str
    addresses: dict[str, str]

    def inside(self, host: str) -> tuple[str, ...]:
        """What starts a program on a host."""
        return ("nsenter", f"--net=/run/netns/{self.name}-{host}")

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts; neither is told."""
        _run("cut", self.name, one, other)

    def cut_one_way(self, one: str, other: str) -> None:
        """Let what the first sends to the other vanish."""
        _run("oneway", self.name, one, other)

    def heal(self) -> None:
        """Undo every cut."""
        _run("heal", self.name)


@contextmanager
def network(name: str, net: str, *hosts: str) -> Iterator[Network]:
    """Make hosts at NET.1, NET.2, … and remove them at the end."""
    _run("down", name)
    try:
        _run("up", name, net, *hosts)
        yield Network(name, {host: f"{net}.{number}" for number, host in enumerate(hosts, 1)})
    finally:
        _run("down", name)


def _run(*arguments: str) -> None:
    done = subprocess.run([_SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"netns-cluster.sh {' '.join(arguments)}: {done.stderr}"
