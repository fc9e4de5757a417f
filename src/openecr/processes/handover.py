"""How a worker goes that another one replaces: it stops accepting, and serves what it accepted.

granian closes a connection whose request has not arrived when it is stopped. A client that had just connected would be
told nothing, although another worker listens on the same sockets.
"""

import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

HANDOVER_SECONDS = 1.0
"""How long the requests of connections that were accepted may take to arrive: clients send them with the connection."""


def stop_accepting(listeners: Iterable[int]) -> None:
    """Leave connections that come from now on to the others that listen on these sockets.

    granian has no call for it, and closing would leave it with descriptors of nothing: each of its descriptors of a
    listener becomes one of a socket that nobody can reach. Elsewhere than on Linux nothing is done.
    """
    if sys.platform != "linux":
        return
    sockets = {_file_of(descriptor) for descriptor in listeners}
    with socket.socket(socket.AF_UNIX) as unreachable:
        unreachable.bind("")  # a name that the kernel chooses
        unreachable.listen()
        unreachable.setblocking(False)
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the descriptor that lists the folder is gone by now
                if _file_of(int(entry.name)) in sockets:
                    os.dup2(unreachable.fileno(), int(entry.name), inheritable=False)


def _file_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
