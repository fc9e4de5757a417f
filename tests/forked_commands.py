"""openecr commands in processes of their own, without Python's start and imports for each.

Half a second a command, of which a test runs several: a process that has imported the commands forks for each. A
command has its own arguments, variables, folder, standard streams and exit status as it has them from a shell.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from array import array
from collections.abc import Mapping
from contextlib import redirect_stderr, suppress
from pathlib import Path

_LONGEST_REQUEST_BYTES = 1_000_000
_KILLED = -signal.SIGKILL
_starting = threading.Lock()
_started: "Forker | None" = None


class Forker:
    """The process that forks, as the tests use it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oef-", dir="/tmp")
        self._path = str(Path(self._folder.name) / "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self._path)
            listening.listen(64)
            command = [sys.executable, "-m", "tests.forked_commands", str(listening.fileno())]
            # Its standard input ends when these tests do, and so does it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            )

    def run(
        self, arguments: tuple[str, ...], env: Mapping[str, str], cwd: str, timeout: float | None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, and was killed.
        """
        with (
            Path(os.devnull).open("rb") as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            socket.socket(socket.AF_UNIX) as asking,
        ):
            asking.connect(self._path)
            streams = array("i", [stdin.fileno(), stdout.fileno(), stderr.fileno()])
            asking.sendmsg([b"?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
            asking.sendall(json.dumps([list(arguments), dict(env), cwd]).encode() + b"\n")
            status = self._wait(asking, arguments, timeout)
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(arguments, status, stdout.read().decode(), stderr.read().decode())

    def _wait(self, asking: socket.socket, arguments: tuple[str, ...], timeout: float | None) -> int:
        """The exit status, after the process has ended: it says its id at once, and its status before it goes."""
        deadline = None if timeout is None else time.monotonic() + timeout
        said = b""
        while True:
            asking.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
            try:
                piece = asking.recv(100)
            except TimeoutError:
                os.kill(int(said.split()[0]), signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, timeout or 0) from None
            if not piece:
                break
            said += piece
        words = said.split()
        assert words, "the process that forks ended"
        return int(words[1]) if len(words) > 1 else _KILLED


def run_forked(
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    cwd: str | Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``openecr`` with these arguments and variables to its end."""
    global _started
    with _starting:
        if _started is None:
            _started = Forker()
    return _started.run(arguments, env, str(cwd or Path.cwd()), timeout)


def _serve(listening: socket.socket) -> int:
    """Fork for each that asks, until the tests end; in the forked process, the command's exit status."""
    from openecr.cli import main

    sys.argv = ["openecr", "env", "--data-dir", "/nonexistent"]
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        main()  # imports what commands need, when they run too

    assert threading.active_count() == 1, "a thread would be lost in every fork"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        asking, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            return _run(asking)
        asking.close()


def _run(asking: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asking.sendall(b"%d " % os.getpid())
    _, rights, _, _ = asking.recvmsg(1, socket.CMSG_SPACE(3 * array("i").itemsize))
    streams = array("i", rights[0][2])
    request = b""
    while not request.endswith(b"\n"):
        request += asking.recv(_LONGEST_REQUEST_BYTES)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    arguments, variables, folder = json.loads(request)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    os.chdir(folder)
    sys.argv = ["openecr", *arguments]
    status = _status_of_main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with suppress(OSError):
        asking.sendall(b"%d " % status)
    return status  # the socket is closed by the process's end, which comes after what the interpreter still does


def _status_of_main() -> int:
    from openecr.cli import main

    try:
        return main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
