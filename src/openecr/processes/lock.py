"""One server per data directory: a lock that the parent takes and every process it starts inherits.

The lock belongs to the open file, so it is free only when the last of them is gone: orphans that still live count.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

_DYING_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class AlreadyServed(Exception):
    """Live processes hold the data directory; the text names them and the remedy."""


class ServeLock:
    """The held lock; its file names the processes for whoever finds it taken."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, data_dir: Path) -> "ServeLock":
        """Take the lock; what only dies still is waited for, so that whoever starts a killed server anew need not.

        Raises:
            AlreadyServed: a server, or a worker that outlived one, is at work here.
        """
        path = lock_path(data_dir)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor, data_dir):
            os.close(descriptor)
            pids = [pid for pid in named_pids(data_dir) if is_alive(pid)]
            named = f"process {pids[0]}" if pids else "another process"
            stop = f"stop it first (kill {pids[0]})" if pids else "stop it first"
            raise AlreadyServed(
                f"{named} already serves the data directory {data_dir}; {stop}, or choose another with --data-dir"
            ) from None
        return cls(descriptor)

    def name(self, parent: int, children: list[int]) -> None:
        """Write down who holds the lock."""
        text = json.dumps({"pid": parent, "children": children}).encode() + b"\n"
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))

    def close(self) -> None:
        """Let go of this process's hold."""
        os.close(self.descriptor)


def _locked(descriptor: int, data_dir: Path) -> bool:
    """Take the lock of an open file; False where somebody is at work, or does not end dying.

    A killed process is dead to its parent before the last of its threads lets go of its files, and a child that was
    being started is not named yet.
    """
    until = time.monotonic() + _DYING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until or any(is_alive(pid) for pid in named_pids(data_dir)):
                return False
            time.sleep(_LOOK_SECONDS)
        else:
            return True


def lock_path(data_dir: Path) -> Path:
    """The lock's file."""
    return data_dir / "serve.lock"


def is_held(data_dir: Path) -> bool:
    """Whether any process of a server lives on the data directory."""
    try:
        descriptor = os.open(lock_path(data_dir), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def named_pids(data_dir: Path) -> list[int]:
    """The processes that the lock's file names, the parent first; some may be gone."""
    try:
        found: dict[str, Any] = json.loads(lock_path(data_dir).read_text())
        return [int(found["pid"]), *map(int, found["children"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    except ProcessLookupError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
