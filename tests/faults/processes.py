"""The processes of a running server, as the kernel shows them."""

import os
from pathlib import Path

from tests.running import Server


def children(server: Server) -> dict[int, str]:
    """The parent's live children: process id to role (``worker`` or ``job``)."""
    assert server.process is not None
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent_of(entry) == server.process.pid:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            found[int(entry.name)] = "worker" if b"worker" in words else "job"
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def holders_of(server: Server, folder: Path) -> list[int]:
    """The server's processes that hold a file below a folder open."""
    return [pid for pid in children(server) if any(_is_below(link, folder) for link in _open_files(pid))]


def _parent_of(entry: Path) -> int:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])


def _open_files(pid: int) -> list[str]:
    found: list[str] = []
    folder = Path(f"/proc/{pid}/fd")
    try:
        descriptors = list(folder.iterdir())
    except OSError:
        return []
    for descriptor in descriptors:
        try:
            found.append(os.readlink(descriptor))
        except OSError:
            continue
    return found


def _is_below(link: str, folder: Path) -> bool:
    return link.startswith(f"{folder}/")
