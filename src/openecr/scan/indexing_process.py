"""``python -m openecr.scan.indexing_process LIMITS PARENT``: layers in, inventories out, in a process that can be lost.

Frames go both ways: a letter, a length of four bytes, so many bytes. In: ``D`` a part of a layer, ``E`` its end. Out,
one for each layer: ``I`` its inventory (``inventories.pack``), or a reason: ``U`` unreadable, ``L`` a limit, ``F``
an error of openecr's own, after which the process is not to be used again.

What it reads is hostile. It has no secrets in its environment, makes no files but temporary ones without a name, and
its memory, processor time and open files are limited.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

from openecr.scan.decompression import UnreadableLayer
from openecr.scan.inventories import pack
from openecr.scan.layers import index_layer
from openecr.scan.limits import LimitExceeded, Limits

FRAME = struct.Struct(">cI")
PART, END = b"D", b"E"
INVENTORY, UNREADABLE, LIMIT, FAILED = b"I", b"U", b"L", b"F"
PART_BYTES = 1 << 20
_OPEN_FILES = 64
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


class _Layer:
    """A layer's parts as they come in."""

    def __init__(self, inbox: BinaryIO) -> None:
        self._inbox = inbox
        self._ended = False
        self._first = self._part()
        self.begins = self._first is not None or self._ended

    def parts(self) -> Iterator[bytes]:
        """What is left of the layer."""
        part, self._first = self._first, None
        part = self._part() if part is None else part
        while part is not None:
            yield part
            part = self._part()

    def _part(self) -> bytes | None:
        if self._ended:
            return None
        head = self._inbox.read(FRAME.size)
        if not head:
            return None
        kind, size_bytes = FRAME.unpack(head)
        if kind == PART and size_bytes <= PART_BYTES:
            return self._inbox.read(size_bytes)
        self._ended = kind == END
        return None


def main(arguments: list[str]) -> int:
    """Serve layers until the parent has no more."""
    limits = Limits(**json.loads(arguments[1]))
    parent_pid = int(arguments[2])
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library may print is no answer
    _confine(limits, parent_pid)
    with open(0, "rb", buffering=PART_BYTES) as inbox, open(answers, "wb", buffering=0) as outbox:
        while (layer := _Layer(inbox)).begins:
            _allow_processor_seconds(limits.layer_seconds)
            kind, answer = _index(layer, limits)
            for piece in (FRAME.pack(kind, len(answer)), answer):
                _write(outbox, piece)
            for _ in layer.parts():
                pass  # sent before the answer was seen
    return 0


def _index(layer: _Layer, limits: Limits) -> tuple[bytes, bytes]:
    try:
        return INVENTORY, pack(index_layer(layer.parts(), limits))
    except UnreadableLayer as error:
        return UNREADABLE, str(error).encode()
    except LimitExceeded as error:
        return LIMIT, str(error).encode()
    except MemoryError:
        return FAILED, f"it takes more than {limits.memory_bytes} bytes of memory".encode()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent hears of it
        return FAILED, f"{type(error).__name__}: {error}".encode(errors="backslashreplace")[:1000]


def _write(outbox: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[outbox.write(view) :]


def _confine(limits: Limits, parent_pid: int) -> None:
    os.umask(0o077)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(1)  # it died before the first line had an effect
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(what: int, value: int) -> None:
    """Lower a limit for good; systems that refuse one go on with the others."""
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


def _allow_processor_seconds(seconds: int) -> None:
    """From now on; at the end of it the process is killed (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    end = int(used.ru_utime + used.ru_stime) + 1 + seconds
    end = end if most == resource.RLIM_INFINITY else min(end, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (end, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
