"""How tests wait: for a condition, in bounded time, and never for time itself."""

import socket
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = 180) -> T:
    """Poll a condition until it holds; its value. Fails the test where it does not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.02)
    return found


def wait_until_it_listens(process: "subprocess.Popen[bytes]", address: tuple[str, int], log: Callable[[], str]) -> None:
    """Wait for a program's port; where the program ends first, the test says what it logged."""

    def listens() -> bool:
        assert process.poll() is None, log()
        try:
            socket.create_connection(address, timeout=2).close()
        except OSError:
            return False
        return True

    wait_until(listens, f"{address} listens", 120)
