"""Layers of images are indexed in a child process: hostile bytes may cost that one, and never who asked."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from openecr.scan.indexing_process import END, FAILED, FRAME, INVENTORY, LIMIT, PART, PART_BYTES, UNREADABLE
from openecr.scan.limits import LIMITS, Limits

_ANSWER_BYTES = 512 << 20
_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
"""Of the environment; secrets stay here."""
_CLOSED = (ConnectionError, RuntimeError)
"""asyncio's and uvloop's words for a pipe that nobody reads."""
_ENDING_SECONDS = 5.0
_MODULE = "openecr.scan.indexing_process"


@dataclass(frozen=True, slots=True)
class _Child:
    process: Process
    parts: asyncio.StreamWriter
    answers: asyncio.StreamReader


class IndexingFailed(Exception):
    """A layer has no inventory: it is unreadable, exceeds a limit, or cost the process that read it; the message says
    which, for the scan's description."""


class Indexer:
    """Indexes the layers of an image, one after another, in one child process, which is replaced when it is lost.

    ``async with Indexer() as indexer: inventory = unpack(await indexer.index(chunks))``
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._child: _Child | None = None

    async def __aenter__(self) -> Self:
        """Nothing is started before the first layer."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        await self._end()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return self._child.process.pid if self._child else None

    async def index(self, chunks: AsyncIterable[bytes]) -> bytes:
        """The inventory of a compressed layer, as ``inventories.pack`` makes it.

        Raises:
            IndexingFailed: there is none, and why.
            Whatever ``chunks`` raises.
        """
        try:
            child = self._child = self._child or await self._start()
            async with asyncio.timeout(self._limits.layer_seconds) as deadline:
                kind, answer = await _converse(child, chunks)
        except _ChildLost as lost:
            raise IndexingFailed(f"the process that read the layer {await self._how_it_ended()}") from lost
        except TimeoutError as error:
            await self._end()
            if not deadline.expired():
                raise
            raise IndexingFailed(f"reading the layer took longer than {self._limits.layer_seconds} seconds") from error
        except BaseException:
            await self._end()
            raise
        if kind == INVENTORY:
            return answer
        reason = answer.decode(errors="backslashreplace")
        if kind in (UNREADABLE, LIMIT):
            raise IndexingFailed(reason)
        await self._end()
        raise IndexingFailed(f"the layer could not be indexed: {reason if kind == FAILED else 'a garbled answer'}")

    async def _start(self) -> _Child:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-B", "-P", "-m", _MODULE, json.dumps(asdict(self._limits)), str(os.getpid())),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            cwd="/",
            start_new_session=True,
        )
        if process.stdin is None or process.stdout is None:
            raise IndexingFailed("the process that reads layers has no pipes")
        # The usual 64 KiB would make two processes wait for each other thousands of times a layer. Loops that do not
        # show their pipes (uvloop's, of the job processes) keep those.
        with contextlib.suppress(OSError, AttributeError, TypeError):
            fcntl.fcntl(process.stdin.get_extra_info("pipe"), fcntl.F_SETPIPE_SZ, PART_BYTES)
        return _Child(process, process.stdin, process.stdout)

    async def _end(self) -> int | None:
        """Kill the child, if it has not ended, and forget it; its status."""
        child, self._child = self._child, None
        if child is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        return await child.process.wait()

    async def _how_it_ended(self) -> str:
        """Why the child is gone: it closed its pipes, so it has ended, or is about to."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._child.process.wait(), timeout=_ENDING_SECONDS)
        status = await self._end() or 0
        if status == -signal.SIGXCPU:
            return f"took more than {self._limits.layer_seconds} seconds of processor time"
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


class _ChildLost(Exception):
    """The other end of a pipe is closed."""


async def _converse(child: _Child, chunks: AsyncIterable[bytes]) -> tuple[bytes, bytes]:
    """Send a layer, and take the answer, which may come before the layer's end: then the rest is not sent."""
    answering = asyncio.create_task(_answer(child.answers))
    sending = asyncio.create_task(_send(child.parts, chunks))
    try:
        await asyncio.wait({answering, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await sending
        kind_and_answer = await answering
    finally:
        for task in (answering, sending):
            task.cancel()
        await asyncio.gather(answering, sending, return_exceptions=True)
    if sending.cancelled():
        _end_layer(child.parts)
    return kind_and_answer


async def _send(pipe: asyncio.StreamWriter, chunks: AsyncIterable[bytes]) -> None:
    """Send a layer's parts; a child that does not take them is noticed where its answer is awaited."""
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(chunks, AsyncGenerator):
            await stack.enter_async_context(contextlib.aclosing(chunks))
        async for chunk in chunks:
            for at in range(0, len(chunk), PART_BYTES):
                part = chunk[at : at + PART_BYTES]
                try:
                    pipe.writelines((FRAME.pack(PART, len(part)), part))
                    await pipe.drain()
                except _CLOSED:
                    return
                await asyncio.sleep(0)  # neither need wait: the answer is to be seen meanwhile, and the deadline
    _end_layer(pipe)


def _end_layer(pipe: asyncio.StreamWriter) -> None:
    """Say that no more parts come; without waiting, so that it is said once, and not cut."""
    with contextlib.suppress(*_CLOSED):
        pipe.write(FRAME.pack(END, 0))


async def _answer(pipe: asyncio.StreamReader) -> tuple[bytes, bytes]:
    try:
        kind, size_bytes = FRAME.unpack(await pipe.readexactly(FRAME.size))
        if size_bytes > _ANSWER_BYTES:
            raise _ChildLost
        return kind, await pipe.readexactly(size_bytes)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise _ChildLost from error
