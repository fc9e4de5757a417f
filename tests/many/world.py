"""What can break, and how it is mended, in an embedded deployment and in one of many servers."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from openecr.background import SCHEDULES
from openecr.blobs.store import is_object_id
from openecr.db import jobs
from openecr.db.connection import Connection, DatabaseUnusable
from openecr.processes.lock import is_alive, named_pids
from openecr.services.ecr.upload_parts import LEASE_US
from tests.faults.processes import children
from tests.faults.store_check import NAMED_OBJECTS, broken_promises, unnamed_objects
from tests.many.deployment import Deployment
from tests.registry_client import Answer, RegistryClient
from tests.running import Server, environment, openecr
from tests.waiting import wait_until

PATIENCE_SECONDS = 40.0
_JOB_LEASE_US = 60_000_000
OBJECT_ID_LENGTH = 36
_SCHEDULES = tuple(schedule.key for schedule in SCHEDULES)


@dataclass
class World:
    """A deployment whose parts can be broken."""

    servers: tuple[Server, ...]
    store: Path
    """The folder of the blob store: a small file system."""
    many: Deployment | None = None

    def __post_init__(self) -> None:
        self._ecr = self.servers[0].client("ecr")
        self._password = self.servers[0].password()
        self._verified: set[str] = set()

    @property
    def database(self) -> str | None:
        """Where the metadata is, if not in the data directory."""
        return self.servers[0].database

    @property
    def where(self) -> dict[str, Any]:
        """What the settings say besides the data directory."""
        if self.many is None or self.many.store is None:
            return {"database": self.database}
        return {"database": self.database, "blobs": self.many.store.store.url(self.many.bucket)}

    def unnamed(self) -> list[str]:
        """Objects of the store that no row names."""
        if self.many is None or self.many.store is None:
            return sorted(unnamed_objects(self.servers[0].data_dir, **self.where))
        pages = self.many.store.store.client().get_paginator("list_objects_v2").paginate(Bucket=self.many.bucket)
        stored = {item["Key"].rpartition("/")[2] for page in pages for item in page.get("Contents", ())}
        named = {object_id for (object_id,) in self.servers[0].rows(NAMED_OBJECTS)}
        return sorted(
            key for key in stored if is_object_id(key[:OBJECT_ID_LENGTH]) and key[:OBJECT_ID_LENGTH] not in named
        )

    def create_repository(self, name: str) -> None:
        """Make an empty repository."""
        self._ecr.create_repository(repositoryName=name)

    def client(self) -> RegistryClient:
        """A client that gives up on a server that does not answer."""
        if self.many is not None:
            made = self.many.docker(self._password)
        else:
            made = RegistryClient(self.servers[0].port, self._password)
        return replace(made, timeout_seconds=PATIENCE_SECONDS)

    def each(self) -> list[Callable[[str, str], Answer]]:
        """Requests to each server, past the proxy."""
        return [RegistryClient(server.port, self._password, server.address).request for server in self.servers]

    def hasten(self) -> None:
        """Have the job processes collect and expire now, where the database can be told."""
        with suppress(DatabaseUnusable, psycopg.Error, OSError):
            self.servers[0].write(_hasten)

    def kill(self, choose: random.Random, role: str) -> None:
        """``kill -9`` of a worker or job process of any server; its parent starts another."""
        server = choose.choice(self.servers)
        victims = [pid for pid, is_a in children(server).items() if is_a == role]
        if victims:
            os.kill(choose.choice(victims), signal.SIGKILL)

    def kill_parent(self, choose: random.Random) -> None:
        """``kill -9`` of a server's parent; its children end with it, and an operator starts it again."""
        server = choose.choice(self.servers)
        assert server.process is not None
        everyone = [pid for pid in named_pids(server.data_dir) if pid != server.process.pid]
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in everyone), "the children ended with their parent")
        server.launch()

    def wait_until_ready(self) -> None:
        """Wait until every server is ready again."""
        for server in self.servers:
            server.wait_until_ready()

    def broken(self) -> list[str]:
        """What dangles, and what is held for longer than anything may be; layers that were seen whole before are not
        read again."""
        found = broken_promises(self.servers[0].data_dir, verified=self._verified, **self.where)
        return found + self.servers[0].write(_held_for_too_long)

    def settle(self) -> list[str]:
        """Let the time pass after which nothing of what was cut is left, and tell what is left all the same.

        Nothing writes meanwhile. Leases and grace times end now, so that nobody has to wait for them. The next turn of
        work that was killed so often that it was given up makes up for it.
        """
        server = self.servers[0]
        server.write(_end_leases)
        with job_process(server):
            try:
                wait_until(partial(self._is_settled, server), "the work that was cut was done")
            except AssertionError:
                pytest.fail(f"the work that was cut was not done: {server.write(_unsettled)}")
        found = [f"object {object_id} has no row" for object_id in self.unnamed()]
        variables = environment() | dict(server.variables)
        checked = openecr("fsck", "--data-dir", str(server.data_dir), check=False, env=variables)
        found += [] if checked.returncode == 0 else [f"fsck: {checked.stdout} {checked.stderr}"]
        return found + broken_promises(server.data_dir, **self.where)

    def _is_settled(self, server: Server) -> bool:
        self.hasten()
        return not server.write(_unsettled)


def _hasten(db: Connection) -> None:
    for key in _SCHEDULES:
        jobs.hasten(db, "default", key, db.clock_us())


def _held_for_too_long(db: Connection) -> list[str]:
    now_us = db.clock_us()
    found = [
        f"job {row} is leased for longer than a lease"
        for row in db.rows(
            "SELECT id, kind, worker FROM job WHERE state = 'running' AND lease_until_us > :most_us",
            most_us=now_us + _JOB_LEASE_US,
        )
    ]
    found += [
        f"upload {row} is leased for longer than a lease"
        for row in db.rows("SELECT upload_id FROM upload WHERE lease_until_us > :most_us", most_us=now_us + LEASE_US)
    ]
    owed = {row[0] for row in db.rows("SELECT dedup FROM job WHERE state IN ('ready', 'running')")}
    return found + [f"{key} is not owed" for key in _SCHEDULES if key not in owed]


def _end_leases(db: Connection) -> None:
    """As if the longest lease had passed: a job of a process that lives is not touched."""
    for job_id, worker in db.rows("SELECT id, worker FROM job WHERE state = 'running'"):
        if not is_alive(int(worker.partition("-")[0])):
            db.run("UPDATE job SET lease_until_us = 1 WHERE id = :id", id=job_id)
    db.run("UPDATE job SET due_us = 1 WHERE state = 'ready'")
    db.run("UPDATE upload SET lease_until_us = 1, touched_us = 1")
    db.run("UPDATE discarded_object SET due_us = 1")


def _unsettled(db: Connection) -> list[str]:
    """The uploads and discarded objects that are left, and the jobs that are held by a process that is gone or dead."""
    db.run("UPDATE discarded_object SET due_us = 1")
    found = [f"upload {row}" for row in db.rows("SELECT * FROM upload")]
    found += [f"discarded object {row}" for row in db.rows("SELECT * FROM discarded_object")]
    return found + [
        f"job {row}"
        for row in db.rows("SELECT worker, id, kind, attempt, error FROM job WHERE state IN ('running', 'dead')")
        if row[0] is None or not is_alive(int(row[0].partition("-")[0]))
    ]


@contextmanager
def job_process(server: Server) -> Iterator[None]:
    """``openecr worker`` beside the server: it looks for what others left as soon as it starts."""
    command = [*server.inside, sys.executable, "-m", "openecr", "worker", "--data-dir", str(server.data_dir)]
    with (server.data_dir / "test-worker.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=environment() | dict(server.variables)
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def shrink(store: Path, free_bytes: int) -> None:
    """Leave so much room in a small file system. Where clients write meanwhile, less than is used is asked for: then
    again."""
    for _ in range(50):
        space = os.statvfs(store)
        used_bytes = (space.f_blocks - space.f_bfree) * space.f_frsize
        if _resize(store, str(used_bytes + free_bytes)):
            return
    raise AssertionError("the file system cannot be made small")


def _resize(store: Path, size: str) -> bool:
    done = subprocess.run(["mount", "-o", f"remount,size={size}", str(store)], capture_output=True, check=False)
    return done.returncode == 0


def enlarge(store: Path) -> None:
    """Give a small file system its room again."""
    assert _resize(store, "1g")


@contextmanager
def small_file_system(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def pass_time(choose: random.Random, least: float, most: float) -> None:
    """How long a fault lasts."""
    time.sleep(choose.uniform(least, most))
