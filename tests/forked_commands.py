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
from typing import IO

_LONGEST_REQUEST_BYTES = 1_000_000
_LONGEST_ANSWER_BYTES = 100
_KILLED = -signal.SIGKILL
_starting = threading.Lock()
_started: "Forker | None" = None


class Forked:
    """A command that runs, with the methods of ``subprocess.Popen`` that the tests use.

    It says its id at once and its status before it ends; nobody waits for it, so its id is gone once it has ended.
    """

    def __init__(self, arguments: tuple[str, ...], asking: socket.socket) -> None:
        self._arguments = arguments
        self._asking = asking
        self._said = asking.recv(_LONGEST_ANSWER_BYTES)
        assert self._said, "the process that forks ended"
        self.pid = int(self._said.split()[0])
        self._is_heard_out = False
        self.returncode: int | None = None

    def __del__(self) -> None:
        self._asking.close()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self._arguments, timeout or 0)
            if self._is_heard_out:
                time.sleep(0.001)
            else:
                select.select([self._asking], [], [], left)
        assert self.returncode is not None
        return self.returncode

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        while not self._is_heard_out and select.select([self._asking], [], [], 0)[0]:
            piece = self._asking.recv(_LONGEST_ANSWER_BYTES)
            self._said += piece
            self._is_heard_out = not piece
        if self.returncode is None and self._is_heard_out and not self._exists():
            words = self._said.split()
            self.returncode = int(words[1]) if len(words) > 1 else _KILLED
            self._asking.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _exists(self) -> bool:
        """Whether its end is still under way: the socket is one of several files that are closed by it."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


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

    def start(
        self, arguments: tuple[str, ...], env: Mapping[str, str], cwd: str, stdout: IO[bytes], stderr: IO[bytes]
    ) -> Forked:
        """Start one command."""
        asking = socket.socket(socket.AF_UNIX)
        asking.connect(self._path)
        with Path(os.devnull).open("rb") as stdin:
            streams = array("i", [stdin.fileno(), stdout.fileno(), stderr.fileno()])
            asking.sendmsg([b"?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        asking.sendall(json.dumps([arguments, dict(env), cwd]).encode() + b"\n")
        return Forked(arguments, asking)


def start_forked(
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    cwd: str | Path | None = None,
) -> Forked:
    """Start ``openecr`` with these arguments and variables, in a session of its own."""
    global _started
    with _starting:
        if _started is None:
            _started = Forker()
    return _started.start(arguments, env, str(cwd or Path.cwd()), stdout, stderr)


def run_forked(
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    cwd: str | Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``openecr`` with these arguments and variables to its end.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was killed.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start_forked(arguments, env, stdout, stderr, cwd)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(arguments, status, stdout.read().decode(), stderr.read().decode())


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
    os.setsid()
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
