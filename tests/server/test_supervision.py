"""Workers, job process and parent: whatever dies is replaced, or takes the others with it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from openecr.processes.lock import is_alive, is_held
from tests.running import Server, free_port, is_refused, openecr, running
from tests.server.watching import answers, children, niceness, server_json, wait_for


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may hurt."""
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data", "--workers", "2") as started:
        wait_for(lambda: server_json(started.data_dir), "the server leaves its address")
        yield started


@pytest.fixture(scope="module")
def quiet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests only look at."""
    with running(tmp_path_factory.mktemp("quiet"), "--workers", "2") as started:
        wait_for(lambda: server_json(started.data_dir), "the server leaves its address")
        yield started


def new_children(server: Server, old: list[int], count: int) -> list[int]:
    return wait_for(
        lambda: found if len(found := children(server.data_dir)) == count and not set(found) & set(old) else None,
        "every child is a new one",
    )


def test_ready_server_has_left_its_address_and_names_its_processes(quiet_server: Server) -> None:
    left = server_json(quiet_server.data_dir)
    assert left is not None
    assert left["url"] == quiet_server.url
    assert left["pid"] == quiet_server.process.pid  # type: ignore[union-attr]
    assert len(children(quiet_server.data_dir, "worker")) == 2
    assert len(children(quiet_server.data_dir, "job")) == 1
    assert answers(quiet_server.port, "/livez")


def test_job_process_is_nicer_than_the_workers(quiet_server: Server) -> None:
    (job,) = children(quiet_server.data_dir, "job")
    wait_for(lambda: niceness(job) > niceness(os.getpid()), "the job process lowers its priority")


def test_both_loopback_addresses_are_served(quiet_server: Server) -> None:
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, quiet_server.port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("killed", ["worker", "job"])
def test_killed_child_is_replaced(own_server: Server, killed: str) -> None:
    before = children(own_server.data_dir, killed)
    os.kill(before[0], signal.SIGKILL)
    wait_for(
        lambda: before[0] not in (found := children(own_server.data_dir, killed)) and len(found) == len(before),
        f"another {killed} takes its place",
    )
    assert server_json(own_server.data_dir) is not None


def test_no_connection_is_lost_while_a_killed_worker_is_replaced(own_server: Server) -> None:
    victim = children(own_server.data_dir, "worker")[0]
    os.kill(victim, signal.SIGKILL)
    assert all(answers(own_server.port) for _ in range(20))


def test_worker_that_dies_at_once_again_and_again_leaves_the_port_to_the_others(own_server: Server) -> None:
    first, survivor = children(own_server.data_dir, "worker")
    victim = first
    for _ in range(3):
        os.kill(victim, signal.SIGKILL)
        others = {first, victim, survivor}
        victim = wait_for(
            lambda others=others: next(iter(set(children(own_server.data_dir, "worker")) - others), None),  # type: ignore[misc]
            "another worker is tried",
        )
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: own_server.log().count("process died") >= 4, "the parent notices")
    assert all(answers(own_server.port, seconds=5) for _ in range(20))
    assert survivor in children(own_server.data_dir, "worker")


def test_killed_parent_takes_every_child_with_it(own_server: Server) -> None:
    pids = children(own_server.data_dir)
    assert own_server.process is not None
    own_server.process.kill()
    own_server.process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "all children are gone")
    assert is_refused(f"{own_server.url}/livez")
    # A killed process counts as dead once its first thread is; its files are closed when the last one is.
    wait_for(lambda: not is_held(own_server.data_dir), "nobody holds the data directory")
    own_server.start()
    assert answers(own_server.port)


def test_second_start_on_the_data_directory_is_refused_and_names_the_pid(quiet_server: Server) -> None:
    second = openecr(
        "serve", "--data-dir", str(quiet_server.data_dir), "--port", str(free_port()), check=False, timeout=60
    )
    assert second.returncode == 1
    assert f"process {quiet_server.process.pid} already serves" in second.stderr  # type: ignore[union-attr]
    assert second.stderr.count("\n") == 1
    assert answers(quiet_server.port)


def test_taken_port_is_one_sentence_with_the_remedy(quiet_server: Server, tmp_path: Path) -> None:
    second = openecr(
        "serve", "--data-dir", str(tmp_path / "other"), "--port", str(quiet_server.port), check=False, timeout=60
    )
    assert second.returncode == 2
    assert f"port {quiet_server.port} on 127.0.0.1 is taken" in second.stderr
    assert "--port" in second.stderr
    assert second.stderr.count("\n") == 1


def test_port_taken_by_a_socket_that_would_share_it_is_refused_too(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = openecr("serve", "--data-dir", str(tmp_path / "data"), "--port", str(port), check=False, timeout=60)
    assert refused.returncode == 2
    assert "is taken" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_server_ends_with_status_zero_and_takes_its_address_away(own_server: Server, number: int) -> None:
    pids = children(own_server.data_dir)
    assert own_server.stop(number) == 0
    assert server_json(own_server.data_dir) is None
    assert not any(is_alive(pid) for pid in pids)
    assert not is_held(own_server.data_dir)


def test_hangup_replaces_every_child_and_loses_no_request(own_server: Server) -> None:
    before = children(own_server.data_dir)
    assert own_server.process is not None
    own_server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 40
    answered = []
    while set(children(own_server.data_dir)) & set(before) and time.monotonic() < deadline:
        answered.append(answers(own_server.port))
    assert len(new_children(own_server, before, 3)) == 3
    assert answered
    assert all(answered)


def test_a_client_that_connected_before_a_worker_is_replaced_is_answered_when_it_asks_after_it(
    own_server: Server,
) -> None:
    """Connections are opened all the time, and each asks a fifth of a second later, whoever accepted it."""
    before = children(own_server.data_dir)
    assert own_server.process is not None
    waiting: deque[tuple[float, socket.socket]] = deque()
    answered: list[bytes] = []
    own_server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while set(children(own_server.data_dir)) & set(before) and time.monotonic() < deadline:
        waiting.append((time.monotonic(), socket.create_connection(("127.0.0.1", own_server.port), timeout=15)))
        while waiting and time.monotonic() - waiting[0][0] > 0.2:
            answered.append(asked(waiting.popleft()[1]))
    answered += [asked(connection) for _, connection in waiting]

    assert len(new_children(own_server, before, 3)) == 3
    assert len(answered) > 100
    assert set(answered) == {b"HTTP/1.1 200"}


def asked(connection: socket.socket) -> bytes:
    """How the answer to a request on a connection begins; what the system said where there was none."""
    with connection:
        try:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(12)
        except OSError as error:
            return str(error).encode()


def test_worker_command_is_one_more_job_process_that_ends_on_request(own_server: Server) -> None:
    more = subprocess.Popen(
        [sys.executable, "-m", "openecr", "worker", "--data-dir", str(own_server.data_dir)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    wait_for(lambda: niceness(more.pid) > niceness(os.getpid()), "it has begun")
    assert more.poll() is None
    more.terminate()
    more.communicate(timeout=60)
    assert more.returncode in (0, -signal.SIGTERM)


def test_worker_without_a_registry_is_refused(tmp_path: Path) -> None:
    refused = openecr("worker", "--data-dir", str(tmp_path / "none"), check=False, timeout=60)
    assert refused.returncode == 2
    assert "there is no registry in" in refused.stderr
