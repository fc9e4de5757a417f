"""``python -m bench``: measure openecr beside Debian's docker-registry, print a table, write JSON.

Exit status: 1 when a measurement could not be taken, or, with ``--check``, when a gate does not hold.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from bench import report
from bench.measurement import QUICK, Bench, Measurement, Row, Scale, Side
from bench.measurements import MEASUREMENTS
from bench.servers import OpenEcr, Peer, Server
from bench.tools import ToolMissingError, find_tool

_HERE = Path(__file__).parent


def _arguments() -> argparse.Namespace:
    names = [measurement.name for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter loads, smaller sets: a first look")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each server (default 5)")
    parser.add_argument("--large", action="store_true", help="also push and pull a 2 GB layer")
    parser.add_argument("--many", action="store_true", help="also fill a repository with 100,000 images")
    parser.add_argument("--minutes", type=float, metavar="N", help="length of collection-load (default 10)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="openecr's workers (default 2)")
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--peer-only", action="store_true", help="measure docker-registry alone")
    sides.add_argument("--openecr-only", action="store_true", help="measure openecr alone")
    sides.add_argument(
        "--self-check", action="store_true", help="docker-registry on both sides: every ratio should be near 1"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a gate does not hold")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where both servers keep their data (same disk)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the JSON file (default bench/results/<date>.json)")
    return parser.parse_args()


def _sides(arguments: argparse.Namespace) -> Mapping[Side, Callable[[Path], Server]]:
    openecr = partial(OpenEcr, workers=arguments.workers)
    if arguments.peer_only:
        return {"peer": Peer}
    if arguments.openecr_only:
        return {"openecr": openecr}
    if arguments.self_check:
        return {"openecr": Peer, "peer": Peer}
    return {"openecr": openecr, "peer": Peer}


def _chosen(arguments: argparse.Namespace) -> list[Measurement]:
    if arguments.only:
        return [measurement for measurement in MEASUREMENTS if measurement.name in arguments.only]
    extra = {"large-layer": arguments.large, "many-images": arguments.many}
    return [measurement for measurement in MEASUREMENTS if measurement.by_default or extra.get(measurement.name)]


def _scale(arguments: argparse.Namespace) -> Scale:
    scale = QUICK if arguments.quick else Scale()
    scale = scale.with_minutes(arguments.minutes) if arguments.minutes else scale
    return scale.with_rounds(arguments.rounds) if arguments.rounds else scale


def main() -> int:
    """Run what was asked for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    arguments = _arguments()
    try:
        for tool in ("wrk", "curl") if arguments.openecr_only else ("docker-registry", "wrk", "curl"):
            find_tool(tool)
    except ToolMissingError as error:
        print(error, file=sys.stderr)
        return 1
    load_average = os.getloadavg()[0]
    scale, sides = _scale(arguments), _sides(arguments)
    rows: list[Row] = []
    errors: dict[str, str] = {}
    base = arguments.data or _HERE / "results"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="data-", dir=base) as folder:
        described: dict[str, str] = {side: make(Path(folder) / side).description for side, make in sides.items()}
        if arguments.self_check:
            described = {"openecr": "stands for docker-registry: self-check", "peer": described["peer"]}
        for measurement in _chosen(arguments):
            Bench.say(measurement.name)
            try:
                rows += measurement.run(Bench(Path(folder), scale, sides))
            except Exception as error:  # noqa: BLE001 - one failed measurement must not cost the others
                errors[measurement.name] = f"{type(error).__name__}: {error}"
                Bench.say(f"{measurement.name} FAILED: {errors[measurement.name]}")
    options = {"quick": arguments.quick, "rounds": scale.rounds, "workers": arguments.workers}
    facts = report.circumstances(described, options, load_average)
    print(report.headline(facts))
    print()
    print(report.table(rows))
    for name, text in errors.items():
        print(f"{name} could not be measured: {text}")
    output = arguments.output or _HERE / "results" / f"{datetime.now():%Y-%m-%dT%H%M%S}.json"
    report.write_json(output, rows, errors, facts)
    print(f"\nwritten: {output}")
    failed = any(row.passed is False for row in rows)
    return 1 if errors or (arguments.check and failed) else 0


if __name__ == "__main__":
    sys.exit(main())
