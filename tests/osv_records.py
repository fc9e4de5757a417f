"""An index of advisories in memory, of OSV records: what the tests match against."""

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from openecr.scan.advisories import Advisory, Details, Range
from openecr.scan.names import normalise
from openecr.scan.record_ids import source
from openecr.scan.records import concerns, modules, upstream
from openecr.scan.severity import rate

Record = dict[str, Any]


class RecordsIndex:
    """Every record that may be a finding, by ecosystem and name."""

    built_us = 0

    def __init__(self, records: Iterable[Record]) -> None:
        self._rows: dict[tuple[str, str], list[Advisory]] = defaultdict(list)
        self._details: dict[str, Details] = {}
        for record in records:
            self._add(record)
        self.ecosystems = frozenset(ecosystem for ecosystem, _ in self._rows)

    def advisories(self, ecosystem: str, package: str) -> tuple[Advisory, ...]:
        return tuple(self._rows.get((ecosystem, package), ()))

    def details(self, ids: tuple[str, ...]) -> dict[str, Details]:
        return {name: self._details[name] for name in ids if name in self._details}

    def _add(self, record: Record) -> None:
        name = record["id"]
        for entry in record.get("affected", ()):
            severity, ratings = rate(record, entry)
            self._details.setdefault(
                name,
                Details(
                    id=name,
                    summary=record.get("summary", ""),
                    details=record.get("details", ""),
                    source=source(name),
                    ratings=ratings,
                ),
            )
            if concerns(record, entry):
                package = entry["package"]
                key = package["ecosystem"], normalise(package["ecosystem"], package["name"])
                self._rows[key].append(
                    Advisory(
                        id=name,
                        ecosystem=key[0],
                        package=key[1],
                        ranges=_ranges(entry),
                        versions=tuple(entry.get("versions", ())),
                        aliases=tuple(record.get("aliases", ())),
                        upstream=upstream(record),
                        severity=severity,
                        modules=modules(record, entry),
                    )
                )


def _ranges(entry: Record) -> tuple[Range, ...]:
    return tuple(
        Range(span["type"], tuple((kind, version) for event in span["events"] for kind, version in event.items()))
        for span in entry.get("ranges", ())
        if span["type"] != "GIT"
    )


def of_zip(path: Path, ids: Sequence[str] | None = None) -> list[Record]:
    """Records of a bulk export: those named, or every one."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist() if ids is None else [f"{record_id}.json" for record_id in ids]
        return [json.loads(archive.read(name)) for name in names]


def record(record_id: str, ecosystem: str, name: str, *events: tuple[str, str], **members: Any) -> Record:
    """A record on one package with one range of these events, ``introduced`` 0 before them where none is given."""
    span = events if any(kind == "introduced" for kind, _ in events) else (("introduced", "0"), *events)
    kind = members.pop("kind", "ECOSYSTEM")
    entry = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": kind, "events": [{event: version} for event, version in span]}],
        **members.pop("entry", {}),
    }
    return {"id": record_id, "modified": "2026-01-01T00:00:00Z", "affected": [entry], **members}
