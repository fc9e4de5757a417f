"""What the process tests ask of the system, and how they wait for it."""

import json
import os
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from openecr.processes.lock import is_alive, named_pids
from tests.waiting import wait_until

T = TypeVar("T")
PATIENCE_SECONDS = 40.0


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Poll until the condition holds; its value."""
    return wait_until(condition, what, seconds)


def role(pid: int) -> str:
    """``worker`` or ``job`` for a child of a server; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1].decode()
    except OSError:
        return ""


def children(data_dir: Path, wanted: str | None = None) -> list[int]:
    """The living children of the server, all or of one role."""
    pids = [pid for pid in named_pids(data_dir)[1:] if is_alive(pid)]
    return [pid for pid in pids if wanted is None or role(pid) == wanted]


def answers(port: int, path: str = "/readyz", seconds: float = 15.0) -> bool:
    """Whether the server answers 200 on a new connection."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def server_json(data_dir: Path) -> dict[str, object] | None:
    """The address that a running server left."""
    try:
        found: dict[str, object] = json.loads((data_dir / "server.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def niceness(pid: int) -> int:
    """A process's nice value."""
    return os.getpriority(os.PRIO_PROCESS, pid)


def trusting(ca: Path) -> ssl.SSLContext:
    """A client that trusts this CA alone."""
    return ssl.create_default_context(cafile=str(ca))
