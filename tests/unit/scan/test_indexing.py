"""The process that reads layers: it may be lost, and the one that asked goes on."""

import asyncio
import gzip
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.scan.archives import END, files, header, octal

from openecr.scan.indexing import Indexer, IndexingFailed
from openecr.scan.inventories import unpack
from openecr.scan.layers import index_layer
from openecr.scan.limits import Limits
from openecr.scan.packages import LayerInventory

STATUS = "Package: a\nStatus: install ok installed\nVersion: 1\n"
LAYER = gzip.compress(files({"var/lib/dpkg/status": STATUS, "etc/os-release": "ID=debian\n"}))


async def chunks(data: bytes, chunk_bytes: int = 100) -> AsyncIterator[bytes]:
    for at in range(0, len(data), chunk_bytes):
        yield data[at : at + chunk_bytes]


def run(act: Callable[[Indexer], Awaitable[None]], limits: Limits | None = None) -> None:
    async def inside() -> None:
        async with Indexer(limits or Limits()) as indexer:
            await act(indexer)

    asyncio.run(inside())


async def read(indexer: Indexer, data: bytes = LAYER) -> LayerInventory:
    return unpack(await indexer.index(chunks(data, 1 + len(data) // 10)))


async def failure(indexer: Indexer, source: AsyncIterator[bytes]) -> str:
    with pytest.raises(IndexingFailed) as caught:
        await indexer.index(source)
    return str(caught.value)


def test_one_process_reads_the_layers_of_an_image() -> None:
    async def act(indexer: Indexer) -> None:
        assert await read(indexer) == index_layer([LAYER])
        pid = indexer.pid
        assert await read(indexer) == index_layer([LAYER])
        assert await read(indexer, END) == LayerInventory(size_bytes=1024)
        assert indexer.pid == pid

    run(act)


def test_what_is_no_layer_is_a_reason_and_the_process_stays() -> None:
    async def act(indexer: Indexer) -> None:
        assert await failure(indexer, chunks(LAYER[:-20])) == "the gzip stream ends early"
        pid = indexer.pid
        assert await failure(indexer, chunks(b"")) == "the layer is empty"
        assert await failure(indexer, chunks(b"x" * 5_000_000, 1000)) == "not a tar archive"
        many = files({f"{number}.lines": "" for number in range(100)})
        assert await failure(indexer, chunks(many)) == "the archive has more than 50 entries"
        assert [one.name for facts in (await read(indexer)).files.values() for one in facts.packages] == ["a"]
        assert indexer.pid == pid

    run(act, Limits(entries=50))


def test_the_rest_of_a_layer_that_was_refused_is_not_sent() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"no layer" * 100_000

    async def act(indexer: Indexer) -> None:
        assert await failure(indexer, endless()) == "not a tar archive"
        assert await read(indexer) == index_layer([LAYER])

    run(act)
    assert sent < 1000


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_dies_is_a_reason_and_is_replaced(number: signal.Signals) -> None:
    async def act(indexer: Indexer) -> None:
        async def killing() -> AsyncIterator[bytes]:
            yield LAYER[:10]
            assert indexer.pid is not None
            os.kill(indexer.pid, number)
            yield LAYER[10:]

        assert await failure(indexer, killing()) == f"the process that read the layer was killed by {number.name}"
        assert await read(indexer) == index_layer([LAYER])

    run(act)


def test_memory_is_bounded() -> None:
    """The tables of a database of 50 MB do not fit; what the process says, and not the kernel's choice, ends it."""
    line = "F:" + "d" * 2000 + "\nR:f\n"
    database = files({"lib/apk/db/installed": "P:a\nV:1\n" + line * 25_000})
    layer = gzip.compress(database, 1)

    async def act(indexer: Indexer) -> None:
        inventory = await read(indexer, layer)
        assert [warning.reason for warning in inventory.warnings] == ["apk: MemoryError"]
        assert await read(indexer) == index_layer([LAYER])

    run(act, Limits(memory_bytes=150 << 20, text_bytes=1 << 30))


def test_a_process_that_cannot_even_begin_is_a_reason() -> None:
    async def act(indexer: Indexer) -> None:
        reason = await failure(indexer, chunks(LAYER))
        assert "1048576 bytes of memory" in reason or "the process that read the layer" in reason

    run(act, Limits(memory_bytes=1 << 20))


def test_processor_time_is_bounded() -> None:
    """Entries without end cost time and no memory."""
    block = header(b"a.txt", b"0", octal(0)) * 2000

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield block

    async def act(indexer: Indexer) -> None:
        began = time.monotonic()
        reason = await failure(indexer, endless())
        assert reason in (
            "the process that read the layer took more than 1 seconds of processor time",
            "reading the layer took longer than 1 seconds",
        )
        assert time.monotonic() - began < 60
        assert indexer.pid is None

    run(act, Limits(layer_seconds=1, entries=1 << 40, layer_bytes=1 << 60))


def test_a_layer_that_does_not_come_is_a_reason() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield LAYER[:10]
        await asyncio.Event().wait()

    async def act(indexer: Indexer) -> None:
        assert await failure(indexer, stalled()) == "reading the layer took longer than 1 seconds"
        assert indexer.pid is None

    run(act, Limits(layer_seconds=1))


def test_what_the_store_raises_comes_through() -> None:
    class Damaged(Exception):
        pass

    async def damaged() -> AsyncIterator[bytes]:
        yield LAYER[:10]
        raise Damaged

    async def late() -> AsyncIterator[bytes]:
        yield LAYER[:10]
        raise TimeoutError("of the store")

    async def act(indexer: Indexer) -> None:
        with pytest.raises(Damaged):
            await indexer.index(damaged())
        with pytest.raises(TimeoutError, match="of the store"):
            await indexer.index(late())
        assert await read(indexer) == index_layer([LAYER])

    run(act)


def test_who_stops_asking_stops_the_process() -> None:
    async def act(indexer: Indexer) -> None:
        started = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield LAYER[:10]
            started.set()
            await asyncio.Event().wait()

        asking = asyncio.create_task(indexer.index(stalled()))
        await started.wait()
        pid = indexer.pid
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(act)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process may is read from Linux's /proc")
def test_the_process_has_limits_no_secrets_and_a_session_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENECR_SECRET", "s3cret")

    async def act(indexer: Indexer) -> None:
        await read(indexer)
        pid = indexer.pid
        assert pid is not None
        limits = Limits()
        for what, most in {
            resource.RLIMIT_AS: limits.memory_bytes,
            resource.RLIMIT_FSIZE: limits.file_bytes,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_CORE: 0,
        }.items():
            assert resource.prlimit(pid, what) == (most, most)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] <= 64
        assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] <= limits.layer_seconds + 60
        assert b"s3cret" not in _proc(pid, "environ")
        assert os.getsid(pid) == pid
        assert b"NoNewPrivs:\t1" in _proc(pid, "status")

    run(act)


_ASKING = """
import asyncio
from openecr.scan.indexing import Indexer

async def main():
    async def stalled():
        yield b"x"
        print(indexer.pid, flush=True)
        await asyncio.Event().wait()
    async def empty():
        yield bytes(1024)
    indexer = Indexer()
    await indexer.index(empty())
    await indexer.index(stalled())

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process ends when it reads or writes next")
def test_the_process_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _ASKING], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # as one that computes, and does not see that its input has ended
        parent.kill()
    deadline = time.monotonic() + 10
    while (lives := _lives(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if lives:
        os.kill(pid, signal.SIGKILL)
    assert not lives


def _proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
