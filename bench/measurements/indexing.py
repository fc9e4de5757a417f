"""Indexing a layer of 200 MB for vulnerabilities, beside only decompressing it. In this machine's processes, no server.

The layer is written for it: files of 2 to 60 KB of words, a Debian database with its lists of files, packages of npm
and PyPI, executables of 4 MB. ``decompressed`` alone runs in this process, the indexing in a child, as scans do, so
that handing the bytes over is in its time; starting the child is not, because it serves all layers of an image.
"""

import asyncio
import gzip
import io
import json
import random
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from bench.measurement import Bench, Gate, Row
from openecr.scan.decompression import decompressed
from openecr.scan.indexing import Indexer
from openecr.scan.inventories import unpack
from openecr.scan.limits import LIMITS

_CHUNK_BYTES = 1 << 20
_POOL_BYTES = 8 << 20
_PACKAGES = 400
_FILES_EACH = 50


class Indexing:
    """What a layer costs that nobody has scanned yet."""

    name = "indexing"
    by_default = True

    def run(self, bench: Bench) -> list[Row]:
        path = bench.folder / "layer.tar.gz"
        _write(path, bench.scale.blob_bytes)
        decompressing: list[float] = []
        indexing: list[float] = []
        packages = 0
        for number in range(bench.scale.rounds):
            decompressing.append(_seconds_to_decompress(path))
            seconds, packages = asyncio.run(_seconds_to_index(path))
            indexing.append(seconds)
            bench.say(f"  round {number + 1}: decompress {decompressing[-1]:.2f} s, index {indexing[-1]:.2f} s")
        assert packages == 3 * _PACKAGES
        note = "no peer: the second column is decompressing alone"
        return [Row("index a layer of 200 MB", "s", indexing, decompressing, Gate(1.5, "at most"), note)]


def _seconds_to_decompress(path: Path) -> float:
    began = time.perf_counter()
    for _ in decompressed(_chunks(path), LIMITS):
        pass
    return time.perf_counter() - began


async def _seconds_to_index(path: Path) -> tuple[float, int]:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in _chunks(path):
            yield chunk

    async with Indexer() as indexer:
        await indexer.index(_none())
        began = time.perf_counter()
        inventory = unpack(await indexer.index(chunks()))
        return time.perf_counter() - began, sum(len(facts.packages) for facts in inventory.files.values())


async def _none() -> AsyncIterator[bytes]:
    """An archive without entries: starting the process is paid once an image, not once a layer."""
    yield gzip.compress(bytes(1024))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _write(path: Path, compressed_bytes: int) -> None:
    """A layer of about so many bytes; always the same."""
    chance = random.Random(200)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randrange(2, 11))).encode() for _ in range(3000)]
    pool = b" ".join(chance.choices(words, k=_POOL_BYTES // 6))
    with (
        path.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as out,
        tarfile.open(fileobj=out, mode="w|") as archive,
    ):

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        _add_packages(add)
        number = 0
        while file.tell() < compressed_bytes:
            number += 1
            at = chance.randrange(len(pool) - (4 << 20))
            if number % 500 == 0:
                add(f"usr/bin/tool-{number}", b"\x7fELF" + pool[at : at + (4 << 20)])
            else:
                size_bytes = chance.randrange(2_000, 60_000)
                add(f"usr/share/d{number % 300}/f{number}.txt", pool[at : at + size_bytes])


def _add_packages(add: Callable[[str, bytes], None]) -> None:
    status = []
    for number in range(_PACKAGES):
        name = f"package-{number}"
        status.append(f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{number}-1\n")
        listed = "".join(f"/usr/share/{name}/file-{file}\n" for file in range(_FILES_EACH))
        add(f"var/lib/dpkg/info/{name}.list", listed.encode())
        add(f"app/node_modules/{name}/package.json", json.dumps({"name": name, "version": f"1.{number}.0"}).encode())
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.{number}\n"
        add(f"usr/lib/python3/{name}-1.{number}.dist-info/METADATA", metadata.encode())
    add("var/lib/dpkg/status", "\n".join(status).encode())
