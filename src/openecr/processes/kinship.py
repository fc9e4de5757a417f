"""A child process dies with its parent, however the parent dies."""

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int) -> None:
    """End this process at once when its parent ends.

    A worker without a parent would go on serving a port that nobody supervises. What it was doing is lost as in a
    power cut, and as safe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Elsewhere, and as a second rope: the parent holds the other end of standard input until it is gone.
    threading.Thread(target=_wait_for_end_of_input, name="openecr-lifeline", daemon=True).start()
    if os.getppid() != parent_pid:
        os._exit(1)  # it died before the first line had an effect


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
