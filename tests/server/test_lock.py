"""The lock that keeps a second server off a data directory."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openecr.processes.lock import AlreadyServed, ServeLock, is_alive, is_held


def test_orphan_that_inherited_the_lock_still_holds_it_and_is_named(tmp_path: Path) -> None:
    lock = ServeLock.take(tmp_path)
    orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,))
    dead_parent = 2**22 - 3
    lock.name(dead_parent, [orphan.pid])
    lock.close()
    try:
        with pytest.raises(AlreadyServed, match=f"process {orphan.pid} already serves"):
            ServeLock.take(tmp_path)
        assert is_held(tmp_path)
    finally:
        orphan.kill()
        orphan.communicate()
    assert not is_held(tmp_path)
    ServeLock.take(tmp_path).close()


def test_a_holder_that_nobody_named_and_that_ends_is_waited_for(tmp_path: Path) -> None:
    lock = ServeLock.take(tmp_path)
    dying = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,))
    lock.name(2**22 - 3, [])
    lock.close()
    assert is_held(tmp_path)

    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(ServeLock.take, tmp_path)
        dying.communicate(b"\n")
        taken.result(timeout=30).close()


def test_shorter_names_leave_nothing_of_longer_ones(tmp_path: Path) -> None:
    lock = ServeLock.take(tmp_path)
    lock.name(11111, [22222, 33333])
    lock.name(1, [])
    assert (tmp_path / "serve.lock").read_text() == '{"pid": 1, "children": []}\n'
    lock.close()


def test_zombie_is_not_alive() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout is not None
    ended.stdout.read()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(ended.pid)
    ended.wait()
    ended.stdout.close()
    assert is_alive(os.getpid())
