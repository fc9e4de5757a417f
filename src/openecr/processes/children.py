"""The inside of the processes that work: a serving worker, and a job process."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from openecr import logs
from openecr.application import Application, build
from openecr.asgi import Receive, Scope, Send
from openecr.db.connection import DatabaseUnusable
from openecr.keyring import KeyringUnusable
from openecr.processes.handover import HANDOVER_SECONDS, stop_accepting
from openecr.processes.startup import Startup
from openecr.settings import SettingsError

log = structlog.get_logger("openecr.processes")

DRAIN_SECONDS = 30.0
"""How long requests in flight may take to end; uploads that are cut then can be resumed."""
CLOSE_SECONDS = 10.0
READY = b"ready\n"
_BACKPRESSURE = 1_000_000
"""Above this many requests granian would let others wait unserved behind slow uploads; the app has its own limits."""
_BACKLOG = 1024
_TICKS_TO_START = 10
_JOB_NICENESS = 10


_Answer = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


class _SlotServer(Server):
    """granian's embedded server, accepting on a socket that the parent bound and keeps (see ``listeners``)."""

    def __init__(self, answer: _Answer, descriptor: int, startup: Startup, *, tls: bool = True) -> None:
        super().__init__(
            answer,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
            backlog=_BACKLOG,
            backpressure=_BACKPRESSURE,
            ssl_cert=startup.certificate if tls else None,
            ssl_key=startup.certificate_key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._descriptor = descriptor

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._shd = holder(self._descriptor, False, _BACKLOG)


def run_worker(startup: Startup) -> int:
    """Serve until SIGTERM, then finish what is in flight; the exit status."""
    return _run(startup, _serve(startup))


def run_job_process(startup: Startup, *, supervised: bool = True) -> int:
    """Do background work until SIGTERM; the exit status."""
    os.nice(_JOB_NICENESS)
    return _run(startup, _work(startup, supervised=supervised))


def _run(startup: Startup, main: Coroutine[Any, Any, int]) -> int:
    logs.configure(startup.log_format)
    _allow_many_files()
    try:
        return uvloop.run(main)
    except (SettingsError, KeyringUnusable, DatabaseUnusable) as error:
        log.error("cannot start", reason=str(error))
    except Exception:
        log.exception("ended by an unexpected error")
    return 1


async def _serve(startup: Startup) -> int:
    stop = _stop_on_signals(startup.listeners)
    application = await build(startup.settings, base_url=startup.base_url)
    nodes = len(startup.settings.metadata_listen)
    registry, metadata = (
        startup.listeners[: len(startup.listeners) - nodes],
        startup.listeners[-nodes:] if nodes else (),
    )
    servers = [_SlotServer(application, descriptor, startup) for descriptor in registry]
    servers += [_SlotServer(application.answer_node, descriptor, startup, tls=False) for descriptor in metadata]
    serving = [asyncio.create_task(server.serve()) for server in servers]
    for _ in range(_TICKS_TO_START):
        await asyncio.sleep(0)
    stopped = asyncio.create_task(stop.wait())
    if not any(task.done() for task in serving):
        _tell_parent(READY)
    await asyncio.wait({stopped, *serving}, return_when=asyncio.FIRST_COMPLETED)
    failed = not stop.is_set()
    application.let_go()
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]
    _, cut = await asyncio.wait(serving, timeout=DRAIN_SECONDS)
    if cut:
        log.warning("requests were cut at the end of the drain time", drain_seconds=DRAIN_SECONDS)
    await _close(application)
    stopped.cancel()
    if cut:
        sys.stderr.flush()
        os._exit(0)  # what still runs would hold the process
    return 1 if failed else 0


async def _work(startup: Startup, *, supervised: bool) -> int:
    stop = _stop_on_signals()
    application = await build(startup.settings, base_url=startup.base_url)
    if supervised:
        _tell_parent(READY)
    try:
        await application.run_jobs(stop)
    finally:
        await _close(application)
    return 0 if stop.is_set() else 1


async def _close(application: Application) -> None:
    try:
        await asyncio.wait_for(application.close(), CLOSE_SECONDS)
    except TimeoutError:
        log.warning("closing took too long", close_seconds=CLOSE_SECONDS)


def _stop_on_signals(listeners: Sequence[int] = ()) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    callback: Callable[[], None] = stop.set
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, callback)

    def hand_over() -> None:
        stop_accepting(listeners)
        loop.call_later(HANDOVER_SECONDS if listeners else 0, stop.set)

    loop.add_signal_handler(signal.SIGUSR2, hand_over)
    return stop


def _tell_parent(line: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(1, line)


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
