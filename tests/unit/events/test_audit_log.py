"""The audit log of one process: durable within a second, bounded, and never in a request's way."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_until

from openecr.events import audit_log
from openecr.events.audit_log import AuditLog, lines_of
from openecr.events.audit_sealing import segment_paths


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[AuditLog[bytes]]:
    log: AuditLog[bytes] = AuditLog(
        folder, now_us=lambda: 5, record_of=lambda line: line, lost=lambda count: b'{"lost":%d}\n' % count, **options
    )
    try:
        yield log
    finally:
        log.close()


def lines(folder: Path) -> list[bytes]:
    return [line for path in segment_paths(folder) for line in lines_of(path.read_bytes())]


def number(index: int) -> bytes:
    return b'{"n":%d}\n' % index


def test_what_was_appended_is_on_the_disk_within_a_second(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:
        log.append(number(1))

        wait_until(lambda: lines(tmp_path / "audit") == [b'{"n":1}'], "the record is written", 10)

    assert audit_log.GATHER_SECONDS < 0.8


def test_segments_are_their_owners_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:
        log.append(number(1))

    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in segment_paths(tmp_path / "audit"))


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:
        for index in range(1000):
            log.append(number(index))

    assert lines(tmp_path / "audit") == [number(index).strip() for index in range(1000)]


def test_several_threads_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:

        def append(first: int) -> None:
            for index in range(first, first + 500):
                log.append(number(index))

        threads = [threading.Thread(target=append, args=(first,)) for first in range(0, 2000, 500)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(lines(tmp_path / "audit")) == sorted(number(index).strip() for index in range(2000))


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    with opened(tmp_path / "audit", segment_bytes=20) as log:
        for index in range(3):
            log.append(b'{"n":%d,"and":"more than a segment holds"}\n' % index)
            wait_until(partial(_holds, tmp_path / "audit", index + 1), "a new segment")

    assert len(lines(tmp_path / "audit")) == 3


def test_an_old_segment_ends_though_nothing_comes(tmp_path: Path) -> None:
    with opened(tmp_path / "audit", segment_seconds=0.2) as log:
        log.append(number(1))
        wait_until(lambda: segment_paths(tmp_path / "audit"), "the segment is there")

        wait_until(lambda: _is_free(segment_paths(tmp_path / "audit")[0]), "nobody holds it any more", 10)


def test_a_disk_that_stalls_stops_no_request_and_what_is_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (goes_on.wait(30), sync(descriptor))[1])
    with opened(tmp_path / "audit", most_waiting_bytes=2000) as log:
        log.append(number(1))
        wait_until(lambda: segment_paths(tmp_path / "audit"), "the thread is writing")
        for _ in range(10):
            for index in range(64):
                log.append(number(index))
        goes_on.set()
        wait_until(lambda: any(b"lost" in line for line in lines(tmp_path / "audit")), "the loss is told")

    told = lines(tmp_path / "audit")
    lost = sum(int(line[8:-1]) for line in told if line.startswith(b'{"lost":'))
    assert lost > 0
    assert len([line for line in told if line.startswith(b'{"n":')]) + lost == 641


@pytest.mark.parametrize("where", ["write", "fdatasync"])
def test_a_full_disk_keeps_records_waiting_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(audit_log, "_RETRY_SECONDS", 0.05)
    is_full = threading.Event()
    is_full.set()
    tries = []
    call: Callable[..., Any] = getattr(os, where)

    def fails(*arguments: Any) -> Any:
        if is_full.is_set() and threading.current_thread().name == "openecr-audit":
            tries.append(arguments)
            raise OSError(errno.ENOSPC, "no space left on device")
        return call(*arguments)

    monkeypatch.setattr(os, where, fails)
    with opened(tmp_path / "audit") as log:
        log.append(number(1))
        wait_until(lambda: len(tries) > 1, "it was tried again")
        log.append(number(2))
        is_full.clear()
        wait_until(lambda: len(lines(tmp_path / "audit")) == 2, "both are written once there is room")

    assert lines(tmp_path / "audit") == [number(1).strip(), number(2).strip()]


def test_a_line_that_a_crash_cut_is_left_out() -> None:
    assert lines_of(b'{"n":1}\n{"n":2}\n{"n":') == [b'{"n":1}', b'{"n":2}']


def _holds(folder: Path, segments: int) -> bool:
    return len(segment_paths(folder)) == segments


def _is_free(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
