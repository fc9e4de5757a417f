"""Rows that a server keeps in memory where the database is a round trip away, and when it may use them.

    renew   the server asked the database what was forgotten since it last asked: for a lease from the moment it asked,
            what is kept may be used
    find    a kept row, inside the lease only
    keep    a row that was just read, unless its scope was forgotten since the read began

A row is kept under a scope ("repository 123456789012.us-east-1/app"). A transaction that makes rows false notes their
scopes, and whoever waits for it is answered once every server's lease that began before its commit has lapsed; so no
server serves what was taken away after the client was told that it is gone (design §7).
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from openecr.db.connection import Row

LEASE_SECONDS = 0.4
"""How long after the server began to ask what is kept may be used."""
SETTLE_SECONDS = 0.5
"""How long after a commit that forgets no server uses what was forgotten: the lease, and room for timers."""
_MOST_BYTES = 64 * 1024 * 1024
_MOST_FORGOTTEN = 10_000
_ROW_OVERHEAD_BYTES = 600


@dataclass(slots=True)
class _Kept:
    row: Row
    scope: str
    size_bytes: int


class KeptRows:
    """One process's kept rows; any thread may call."""

    def __init__(self, most_bytes: int = _MOST_BYTES, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._by_scope: dict[str, set[Hashable]] = {}
        self._size_bytes = 0
        self._usable_until = float("-inf")
        self._epoch = 0
        self._forgotten: OrderedDict[str, int] = OrderedDict()
        self._forgotten_floor = 0
        """Forgotten scopes up to this epoch are not remembered one by one any more."""

    @property
    def epoch(self) -> int:
        """Which renewal was the last: taken before a read begins, handed to ``keep`` with its row."""
        return self._epoch

    def find(self, key: Hashable) -> Row | None:
        """A kept row that may be used now."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or self._monotonic() >= self._usable_until:
                return None
            self._kept.move_to_end(key)
            return kept.row

    def keep(self, key: Hashable, scope: str, row: Row, epoch: int) -> None:
        """Keep a row that was read after ``epoch`` was taken; the least used go where there is no room."""
        with self._lock:
            if max(self._forgotten.get(scope, 0), self._forgotten_floor) > epoch:
                return
            self._drop(key)
            size_bytes = _ROW_OVERHEAD_BYTES + sum(_weight(value) for value in row)
            self._kept[key] = _Kept(row, scope, size_bytes)
            self._by_scope.setdefault(scope, set()).add(key)
            self._size_bytes += size_bytes
            while self._size_bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def renew(self, asked_at: float, forgotten: Iterable[str]) -> None:
        """The answer to what was forgotten: asked at a monotonic instant, complete up to it."""
        with self._lock:
            self._epoch += 1
            for scope in forgotten:
                self._forgotten[scope] = self._epoch
                self._forgotten.move_to_end(scope)
                for key in list(self._by_scope.get(scope, ())):
                    self._drop(key)
            while len(self._forgotten) > _MOST_FORGOTTEN:
                _, self._forgotten_floor = self._forgotten.popitem(last=False)
            self._usable_until = asked_at + LEASE_SECONDS

    def clear(self) -> None:
        """Use nothing that was kept: what it came from may be another database now."""
        with self._lock:
            self._epoch += 1
            self._forgotten_floor = self._epoch
            self._kept.clear()
            self._by_scope.clear()
            self._size_bytes = 0
            self._usable_until = float("-inf")

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._size_bytes -= kept.size_bytes
        keys = self._by_scope[kept.scope]
        keys.discard(key)
        if not keys:
            del self._by_scope[kept.scope]


def _weight(value: Any) -> int:
    return len(value) if isinstance(value, bytes | str) else 0
