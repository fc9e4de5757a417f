"""What a run tells: a table for people and a JSON file for machines."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measurement import Gate, Row
from bench.tools import version_of

_CLIENTS = (
    "client on the same machine: wrk (1 thread) for requests a second, curl for downloads, "
    "Python over raw HTTP for pushes, an epoll process of its own for storms"
)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _gate(gate: Gate | None) -> str:
    if gate is None:
        return ""
    sign = "≥" if gate.direction == "at least" else "≤"
    return f"{sign} {gate.bound:g}{'×' if gate.on == 'ratio' else ''}"


def _verdict(row: Row) -> str:
    if row.gate is None:
        return ""
    return {True: "pass", False: "FAIL", None: "not judged"}[row.passed]


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; notes follow, numbered."""
    lines = [("metric", "unit", "openecr", "peer", "ratio", "spread", "gate", "")]
    notes: list[str] = []
    for row in rows:
        mark = ""
        if row.note:
            notes.append(row.note)
            mark = f" [{len(notes)}]"
        cells = (_number(row.openecr_median), _number(row.peer_median), _number(row.ratio))
        spread = "-" if row.spread is None else f"{row.spread:.0%}"
        lines.append((row.metric + mark, row.unit, *cells, spread, _gate(row.gate), _verdict(row)))
    widths = [max(len(line[column]) for line in lines) for column in range(8)]

    def shown(line: tuple[str, ...]) -> str:
        cells = [
            cell.rjust(width) if column in (2, 3, 4, 5) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    text = [shown(lines[0]), "  ".join("-" * width for width in widths), *map(shown, lines[1:])]
    return "\n".join([*text, *(f"[{number}] {note}" for number, note in enumerate(notes, 1))])


def circumstances(servers: Mapping[str, str], options: Mapping[str, Any], load_average: float) -> dict[str, Any]:
    """What a reader must know to judge the numbers: machine, versions, servers, client, options."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        check=False,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision or None,
        "cores": os.cpu_count(),
        "load_average_before": load_average,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "servers": dict(servers),
        "client": _CLIENTS,
        "wrk": version_of("wrk"),
        "curl": version_of("curl"),
        "options": dict(options),
    }


def headline(facts: Mapping[str, Any]) -> str:
    """The circumstances in a few lines."""
    servers = "\n".join(f"{side}: {description}" for side, description in facts["servers"].items())
    machine = (
        f"{facts['cores']} cores shared by server and client, kernel {facts['kernel']}, revision {facts['revision']}"
    )
    quiet = f"load average before the run {facts['load_average_before']:.2f} (other work spoils the numbers)"
    how = "medians, servers asked in turn; spread is (max - min) / median"
    return f"{servers}\n{facts['client']}\n{machine}\n{quiet}\n{how}"


def write_json(path: Path, rows: Sequence[Row], errors: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Write everything, each sample included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        **facts,
        "errors": dict(errors),
        "rows": [
            {
                "metric": row.metric,
                "unit": row.unit,
                "openecr": row.openecr_median,
                "peer": row.peer_median,
                "ratio": row.ratio,
                "spread": row.spread,
                "gate": None if row.gate is None else _gate(row.gate),
                "passed": row.passed,
                "note": row.note,
                "openecr_samples": row.openecr,
                "peer_samples": row.peer,
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
