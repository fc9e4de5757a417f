"""What a measurement is: a name, and a ``run`` that takes a ``Bench`` and returns rows.

A measurement gets fresh servers, so none profits or suffers from another. It asks both servers in turn, A B A B, and
keeps every sample; a row compares the medians.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from bench.servers import Server


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rounds: int = 5
    wrk_seconds: float = 5
    blob_bytes: int = 200_000_000
    small_images: int = 100
    tags: int = 10_000
    storm_clients: int = 50
    storm_layers: int = 5
    storm_layer_bytes: int = 1024 * 1024
    large_bytes: int = 2_000_000_000
    many_images: int = 100_000
    collected_blobs: int = 100_000
    load_minutes: float = 10
    shared_pushes: int = 1000
    scanned_images: int = 10_000
    expired_images: int = 50_000
    shared_base_bytes: int = 100_000_000
    advisory_records: int = 200_000

    def with_rounds(self, rounds: int) -> "Scale":
        """The same with another number of turns."""
        return replace(self, rounds=rounds)

    def with_minutes(self, minutes: float) -> "Scale":
        """The same with another length of the long load."""
        return replace(self, load_minutes=minutes)


QUICK = Scale(
    rounds=2,
    wrk_seconds=1,
    tags=2_000,
    large_bytes=1_000_000_000,
    many_images=5_000,
    collected_blobs=10_000,
    load_minutes=0.5,
    shared_pushes=60,
    scanned_images=500,
    expired_images=5_000,
    shared_base_bytes=1_000_000,
    advisory_records=20_000,
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that openecr must keep, on its ratio to the peer or on its own value."""

    bound: float
    direction: Literal["at least", "at most"]
    on: Literal["ratio", "value"] = "ratio"

    def holds(self, measured: float) -> bool:
        """Whether a ratio or value keeps the bound."""
        return measured >= self.bound if self.direction == "at least" else measured <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: a metric in one unit, each server's samples, and the gate if there is one."""

    metric: str
    unit: str
    openecr: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    gate: Gate | None = None
    note: str = ""

    @property
    def openecr_median(self) -> float | None:
        """The median of openecr's samples."""
        return statistics.median(self.openecr) if self.openecr else None

    @property
    def peer_median(self) -> float | None:
        """The median of the peer's samples."""
        return statistics.median(self.peer) if self.peer else None

    @property
    def ratio(self) -> float | None:
        """openecr's median as a multiple of the peer's."""
        mine, theirs = self.openecr_median, self.peer_median
        return mine / theirs if mine is not None and theirs else None

    @property
    def spread(self) -> float | None:
        """The larger of the servers' (largest - smallest sample) / median: how far to trust the row."""
        found = [
            (max(taken) - min(taken)) / statistics.median(taken)
            for taken in (self.openecr, self.peer)
            if len(taken) > 1
        ]
        return max(found, default=None)

    @property
    def passed(self) -> bool | None:
        """Whether the gate holds; None without a gate, or without the numbers to judge it."""
        if self.gate is None:
            return None
        measured = self.ratio if self.gate.on == "ratio" else self.openecr_median
        return None if measured is None else self.gate.holds(measured)


Side = Literal["openecr", "peer"]


class Samples:
    """Samples by metric and side, in the order in which they were taken."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[Side, list[float]]] = {}

    def add(self, side: Side, values: Mapping[str, float]) -> None:
        """Keep what one turn of one server measured."""
        for key, value in values.items():
            self._taken.setdefault(key, {}).setdefault(side, []).append(value)

    def row(self, key: str, metric: str, unit: str, gate: Gate | None = None, note: str = "") -> Row:
        """The report's line for a metric."""
        taken = self._taken.get(key, {})
        return Row(metric, unit, taken.get("openecr", []), taken.get("peer", []), gate, note)


class Bench:
    """The servers and the scale that a measurement runs with."""

    def __init__(self, folder: Path, scale: Scale, sides: Mapping[Side, Callable[[Path], Server]]) -> None:
        self.folder = folder
        self.scale = scale
        self._sides = sides

    @contextmanager
    def fresh_servers(self, *only: Side) -> Iterator[dict[Side, Server]]:
        """Both servers, or only those named, on new data directories."""
        with ExitStack() as stack:
            yield {
                side: stack.enter_context(make(self.folder / side))
                for side, make in self._sides.items()
                if not only or side in only
            }

    def interleave(
        self, servers: Mapping[Side, Server], act: Callable[[Server], Mapping[str, float]], rounds: int | None = None
    ) -> Samples:
        """Do the same with both servers in turn, round after round; written pages are flushed before each turn."""
        samples = Samples()
        for number in range(rounds or self.scale.rounds):
            for side, server in servers.items():
                os.sync()
                values = act(server)
                samples.add(side, values)
                shown = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
                self.say(f"  round {number + 1}, {side}: {shown}")
        return samples

    @staticmethod
    def say(text: str) -> None:
        """Tell whoever waits what happens."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Measurement(Protocol):
    """What each module of ``bench.measurements`` offers."""

    name: str
    """The word for ``--only``."""
    by_default: bool
    """Whether it runs without being asked for."""

    def run(self, bench: Bench) -> list[Row]:
        """Measure, and return the rows of the report."""
