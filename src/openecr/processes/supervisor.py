"""The parent of the serving processes: it starts them, starts them again, replaces them and ends them."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from openecr.processes import listeners
from openecr.processes.lock import ServeLock
from openecr.processes.startup import Startup
from openecr.settings import SettingsError
from openecr.tls import Certificate

log = structlog.get_logger("openecr.processes")

READY = b"ready\n"
STOP_SECONDS = 45.0
"""Longer than a worker takes to drain and close; then it is killed."""
START_SECONDS = 60.0
SETTLED_SECONDS = 5.0
"""A child that lived this long did not die at once."""
LONGEST_PAUSE_SECONDS = 30.0
RENEWAL_CHECK_SECONDS = 12 * 3600.0


@dataclass(slots=True)
class _Child:
    process: asyncio.subprocess.Process
    started: float
    ready: asyncio.Event
    watch: "asyncio.Task[None] | None" = None
    """Reads what the child says; kept, because a loop forgets tasks that nobody holds."""


@dataclass(slots=True)
class _Slot:
    """The place of one child; what dies in it is replaced."""

    role: str
    listeners: list[socket.socket] = field(default_factory=list)
    child: _Child | None = None
    quick_deaths: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once any child was ready here."""


class StartFailed(Exception):
    """A child ended before it was ever ready; its reason is in the log."""


class Supervisor:
    """Keeps the children of one ``openecr serve`` running."""

    def __init__(
        self,
        startup: Startup,
        lock: ServeLock,
        *,
        on_ready: Callable[[], None],
        certificate: Callable[[], Certificate | None],
    ) -> None:
        self._startup = startup
        self._lock = lock
        self._on_ready = on_ready
        self._certificate = certificate
        self._stopping = asyncio.Event()
        self._replacing = asyncio.Lock()
        self._slots: list[_Slot] = []

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Raises:
            SettingsError: the port cannot be had.
            StartFailed: a child could not even begin.
        """
        settings = self._startup.settings
        listeners.require_free(settings)
        sockets = listeners.bind(settings, settings.workers)
        self._slots = [*(_Slot("worker", own) for own in sockets), _Slot("job")]
        self._use_certificate()
        self._listen_to_signals()
        keepers = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
        others = [asyncio.create_task(self._announce()), asyncio.create_task(self._renew_certificate())]
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopped, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            for task in others:
                task.cancel()
            await self._end_children()
            failures = await asyncio.gather(*keepers, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, BaseException):
                raise failure

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_or_hurry)
        loop.add_signal_handler(signal.SIGHUP, self._replace_soon)

    def _stop_or_hurry(self) -> None:
        if self._stopping.is_set():
            for child in self._children():
                _signal(child, signal.SIGKILL)
        self._stopping.set()

    def _children(self) -> list[_Child]:
        return [slot.child for slot in self._slots if slot.child is not None]

    async def _announce(self) -> None:
        """Say that the server is there once every worker first answers."""
        for slot in self._slots:
            await slot.answered.wait()
        self._on_ready()

    async def _keep(self, slot: _Slot) -> None:
        """Run a child in the slot, and another when it ends."""
        while not self._stopping.is_set():
            try:
                child = slot.child or await self._start(slot)
            except (OSError, SettingsError) as error:
                if not slot.answered.is_set():
                    raise
                # No process or no port to be had just now; the others serve meanwhile.
                log.error("process cannot be started", role=slot.role, reason=str(error))
                await self._pause(LONGEST_PAUSE_SECONDS)
                continue
            slot.child = child
            self._name_processes()
            if self._stopping.is_set():
                _signal(child, signal.SIGTERM)  # it was being started when the others were told
            status = await child.process.wait()
            if slot.child is not child:
                continue  # replaced on purpose
            slot.child = None
            if self._stopping.is_set():
                return
            if not slot.answered.is_set():
                raise StartFailed(f"the {slot.role} process could not start; the log above says why")
            await self._pause_after_death(slot, child, status)

    async def _pause_after_death(self, slot: _Slot, child: _Child, status: int) -> None:
        """Start again at once what ran for a while; wait longer and longer for what dies at once."""
        lived = time.monotonic() - child.started
        slot.quick_deaths = 0 if lived >= SETTLED_SECONDS else slot.quick_deaths + 1
        pause = 0.0 if slot.quick_deaths <= 1 else min(0.25 * 2.0**slot.quick_deaths, LONGEST_PAUSE_SECONDS)
        log.error("process died", role=slot.role, pid=child.process.pid, status=status, starts_again_seconds=pause)
        if pause and sys.platform == "linux" and self._another_listens(slot):
            # Nobody will accept here for a while: closed, the kernel gives new connections to the other workers.
            for listener in slot.listeners:
                listener.close()
            slot.listeners = []
        await self._pause(pause)

    def _another_listens(self, slot: _Slot) -> bool:
        return any(other is not slot and other.listeners for other in self._slots)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _start(self, slot: _Slot) -> _Child:
        if slot.role == "worker" and not slot.listeners:
            slot.listeners = listeners.bind(self._startup.settings, 1)[0]
        given = tuple(listener.fileno() for listener in slot.listeners)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # what lies in the current folder is not openecr's
            "-m",
            "openecr.processes",
            slot.role,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(*given, self._lock.descriptor),
            process_group=0,  # a Ctrl-C in the terminal reaches the parent alone, which then drains the others
        )
        assert process.stdin is not None  # noqa: S101 - asked for above
        process.stdin.write(replace(self._startup, listeners=given, parent_pid=os.getpid()).to_line())
        child = _Child(process, time.monotonic(), asyncio.Event())
        child.watch = asyncio.create_task(_listen(slot, child))
        return child

    def _name_processes(self) -> None:
        self._lock.name(os.getpid(), [child.process.pid for child in self._children()])

    async def _end_children(self) -> None:
        """Stop listening, let every child drain, kill what does not end."""
        for slot in self._slots:
            for listener in slot.listeners:
                listener.close()
        children = self._children()
        for child in children:
            _signal(child, signal.SIGTERM)
        waits = [asyncio.create_task(child.process.wait()) for child in children]
        if not waits:
            return
        _, left = await asyncio.wait(waits, timeout=STOP_SECONDS)
        if left:
            for child in children:
                _signal(child, signal.SIGKILL)
            await asyncio.wait(left)

    def _replace_soon(self) -> None:
        task = asyncio.create_task(self._replace_all())
        task.add_done_callback(_log_failure)

    async def _replace_all(self) -> None:
        """Replace the children one by one, each only once its successor is ready; they read the certificate anew."""
        async with self._replacing:
            self._use_certificate()
            for slot in self._slots:
                old = slot.child
                if old is None or self._stopping.is_set():
                    continue
                new = await self._start(slot)
                if not await _becomes_ready(new):
                    log.error("replacement did not start, the old process goes on", role=slot.role)
                    _signal(new, signal.SIGKILL)
                    await new.process.wait()
                    continue
                slot.child = new
                self._name_processes()
                await _end(old)
            log.info("processes replaced", count=len(self._slots))

    def _use_certificate(self) -> None:
        certificate = self._certificate()
        if certificate is not None:
            self._startup = replace(
                self._startup, certificate=certificate.chain, certificate_key=certificate.private_key
            )

    async def _renew_certificate(self) -> None:
        """A server that runs for months renews its own certificate."""
        if not self._startup.settings.tls:
            return
        while True:
            await asyncio.sleep(RENEWAL_CHECK_SECONDS)
            try:
                certificate = self._certificate()
            except SettingsError as error:
                log.error("certificate cannot be renewed", reason=str(error))
                continue
            if certificate is not None and certificate.renewed:
                await self._replace_all()


async def _listen(slot: _Slot, child: _Child) -> None:
    """Read what a child says until it ends."""
    assert child.process.stdout is not None  # noqa: S101 - asked for at its start
    while line := await child.process.stdout.readline():
        if line == READY:
            child.ready.set()
            slot.answered.set()


async def _becomes_ready(child: _Child) -> bool:
    ready = asyncio.create_task(child.ready.wait())
    ended = asyncio.create_task(child.process.wait())
    done, _ = await asyncio.wait({ready, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    ended.cancel()
    return ready in done and ended not in done


async def _end(child: _Child) -> None:
    """End a child whose successor is ready; it hands over first, so that no request is lost between them."""
    _signal(child, signal.SIGUSR2)
    try:
        await asyncio.wait_for(child.process.wait(), STOP_SECONDS)
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.process.wait()


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(number)


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("processes could not be replaced", reason=str(task.exception()))
