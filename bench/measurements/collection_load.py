"""Pushes and deletes without a pause for ten minutes (`--minutes`) while collections run: no push may fail.

Promises last 20 s, presigned URLs 5 s, the trash nothing; `openecr gc` runs again and again. What is in no image at any
time is what was deleted or replaced within that grace; afterwards it all comes back. The samples are bytes by
`openecr usage`: stored, and in no image.
"""

import json
import random
import threading
import time
from collections import deque

from bench.client import Client
from bench.content import random_image
from bench.measurement import Bench, Gate, Row
from bench.servers import OpenEcr

_REPOSITORY = "bench/load"
_SETTINGS = {"promise_seconds": "20", "layer_url_seconds": "5", "trash_days": "0"}
_GRACE_SECONDS = 25
_PUSHERS = 3
_KEPT = 5
"""Images that each pusher leaves standing before it deletes the oldest."""
_LAYER_BYTES = 100_000
_RETURN_SECONDS = 120


class CollectionLoad:
    """Whether collections ever fail a push, and whether the space comes back."""

    name = "collection-load"
    by_default = False

    def run(self, bench: Bench) -> list[Row]:
        seconds = bench.scale.load_minutes * 60
        with OpenEcr(bench.folder / "openecr", 2, _SETTINGS) as server:
            assert isinstance(server, OpenEcr)
            server.create_repository(_REPOSITORY)
            end = time.monotonic() + seconds
            load = _Load(server, end)
            threads = [threading.Thread(target=load.push_and_delete, args=(number,)) for number in range(_PUSHERS)]
            for thread in threads:
                thread.start()
            over_bytes = [0.0]
            while any(thread.is_alive() for thread in threads):
                # What can rightly wait: all that arrived in the grace before, the collection's own time included.
                began = time.monotonic()
                server.command("gc")
                waiting, _ = _usage(server)
                allowed = load.pushed_since(began - _GRACE_SECONDS)
                over_bytes.append(max(0, waiting - allowed))
                bench.say(f"  {load.pushes} pushes, {len(load.failures)} failed, {waiting:,} bytes in no image")
            waiting, stored, returned = _settle(server)
        for text in load.failures[:10]:
            bench.say(f"  failed: {text}")
        none = Gate(0, "at most", "value")
        return [
            Row(f"{seconds / 60:.4g} min of pushes and deletes beside collections", "pushes", [float(load.pushes)]),
            Row("  failed pushes and deletes", "", [float(len(load.failures))], gate=none),
            Row("  most bytes in no image beyond the grace's worth", "B", [max(over_bytes)], gate=none),
            Row("  bytes in no image, once all came back", "B", [float(waiting)], gate=none),
            Row("  seconds until then", "s", [returned]),
            Row("  bytes stored at the end", "B", [float(stored)]),
        ]


class _Load:
    """What the pushers did."""

    def __init__(self, server: OpenEcr, end: float) -> None:
        self._server = server
        self._end = end
        self._lock = threading.Lock()
        self._arrived: deque[tuple[float, int]] = deque()
        self.pushes = 0
        self.failures: list[str] = []

    def push_and_delete(self, number: int) -> None:
        """Push images of which each shares a layer with the one before, and delete the oldest."""
        choose = random.Random(number)
        standing: deque[str] = deque()
        shared: dict[str, bytes] = {}
        turn = 0
        with Client(self._server) as client:
            while time.monotonic() < self._end:
                image = random_image([_LAYER_BYTES, choose.randrange(1000, _LAYER_BYTES)])
                tag = f"t{number}-{turn}"
                turn += 1
                self._note(sum(map(len, image.blobs.values())))
                self._try(lambda: client.push_image(_REPOSITORY, image, tag))  # noqa: B023 - called at once
                for digest, content in shared.items():
                    if not client.has_blob(_REPOSITORY, digest):  # asked for again while a collection may take it
                        self._note(len(content))
                        self._try(lambda: client.push_blob(_REPOSITORY, digest, content))  # noqa: B023 - at once
                shared = dict(list(image.blobs.items())[:1])
                standing.append(tag)
                if len(standing) > _KEPT:
                    target = f"/v2/{_REPOSITORY}/manifests/{standing.popleft()}"
                    self._note(2 * _LAYER_BYTES + 2000)  # from now on its bytes wait
                    self._try(lambda: client.request("DELETE", target, (202,)))  # noqa: B023 - called at once
                with self._lock:
                    self.pushes += 1

    def _try(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - every failure is counted
            with self._lock:
                self.failures.append(f"{type(error).__name__}: {error}")

    def _note(self, size_bytes: int) -> None:
        with self._lock:
            self._arrived.append((time.monotonic(), size_bytes))

    def pushed_since(self, instant: float) -> int:
        """Bytes that arrived or were given up since an instant."""
        with self._lock:
            while self._arrived and self._arrived[0][0] < instant - 60:
                self._arrived.popleft()
            return sum(size_bytes for at, size_bytes in self._arrived if at >= instant)


def _usage(server: OpenEcr) -> tuple[int, int]:
    total = json.loads(server.command("usage", "--json")[0])["total"]
    return total["waitingBytes"] + total["trashBytes"], total["storedBytes"]


def _settle(server: OpenEcr) -> tuple[int, int, float]:
    start = time.monotonic()
    while True:
        server.command("gc")
        waiting, stored = _usage(server)
        if not waiting or time.monotonic() - start > _RETURN_SECONDS:
            return waiting, stored, time.monotonic() - start
        time.sleep(1)
