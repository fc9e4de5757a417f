"""What a server costs: CPU-seconds and memory of a process and all its descendants, read from /proc.

CPU is user plus system time of every living process of the tree, with what it has collected from children that ended.
RSS counts shared pages in every process; PSS divides them among the processes that share them.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of one process at one moment."""

    pid: int
    command: str
    rss_bytes: int
    peak_rss_bytes: int
    """The largest RSS since the process began, or since ``reset_peaks``."""
    pss_bytes: int


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name; None for a process that is gone or dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def tree(root_pid: int) -> list[int]:
    """The living processes of a tree, the root first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _stat(int(entry))
            if stat is not None and stat[0] not in "ZX":
                children.setdefault(int(stat[1]), []).append(int(entry))
    found, todo = [], [root_pid]
    while todo:
        pid = todo.pop(0)
        if is_alive(pid):
            found.append(pid)
            todo.extend(sorted(children.get(pid, [])))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def cpu_seconds(root_pid: int) -> float:
    """CPU-seconds that the tree has used since its start."""
    ticks = 0
    for pid in tree(root_pid):
        stat = _stat(pid)
        if stat is not None:
            ticks += sum(int(value) for value in stat[11:15])
    return ticks / _TICKS_PER_SECOND


def settled_cpu_seconds(root_pid: int, limit_seconds: float = 2.0) -> float:
    """CPU-seconds of the tree once it rests, so that work put off until after the answer is counted too."""
    end = time.monotonic() + limit_seconds
    last = cpu_seconds(root_pid)
    while time.monotonic() < end:
        time.sleep(0.2)
        now = cpu_seconds(root_pid)
        if now - last <= 1 / _TICKS_PER_SECOND:
            return now
        last = now
    return last


def _fields_bytes(path: Path) -> dict[str, int]:
    """The ``Name:  123 kB`` lines of a /proc file, in bytes."""
    values = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if len(parts) == 2 and parts[1] == "kB" and parts[0].isdigit():
            values[name] = int(parts[0]) * 1024
    return values


def memory(root_pid: int) -> list[ProcessMemory]:
    """Memory of each process of the tree, the root first."""
    found = []
    for pid in tree(root_pid):
        base = Path(f"/proc/{pid}")
        try:
            status = _fields_bytes(base / "status")
            pss_bytes = _fields_bytes(base / "smaps_rollup").get("Pss", 0)
            command = base.joinpath("comm").read_text().strip()
        except OSError:
            continue
        rss_bytes = status.get("VmRSS", 0)
        found.append(ProcessMemory(pid, command, rss_bytes, status.get("VmHWM", rss_bytes), pss_bytes))
    return found


def reset_peaks(root_pid: int) -> None:
    """Let the kernel count each process's peak RSS from now."""
    for pid in tree(root_pid):
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            continue


class MemoryWatch:
    """Watches a tree's memory from a thread while the block runs.

    Peak RSS of a process is the kernel's own count, so nothing between two looks is missed; peak PSS of the whole tree
    is the largest of the looks. A process that ends meanwhile is remembered as last seen.
    """

    def __init__(self, root_pid: int, interval_seconds: float = 0.1) -> None:
        self._root_pid = root_pid
        self._interval_seconds = interval_seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.processes: dict[int, ProcessMemory] = {}
        self.peak_pss_bytes = 0

    @property
    def peak_rss_bytes(self) -> int:
        """Peak RSS of the largest process of the tree."""
        return max((process.peak_rss_bytes for process in self.processes.values()), default=0)

    def _look(self) -> None:
        seen = memory(self._root_pid)
        self.processes.update({process.pid: process for process in seen})
        self.peak_pss_bytes = max(self.peak_pss_bytes, sum(process.pss_bytes for process in seen))

    def _watch(self) -> None:
        while not self._end.wait(self._interval_seconds):
            self._look()

    def __enter__(self) -> "MemoryWatch":
        reset_peaks(self._root_pid)
        self._look()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()
        self._look()
