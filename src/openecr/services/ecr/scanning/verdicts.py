"""Which vulnerabilities packages have by a build of the data: matched purely, written as what changed.

A verdict is of the package, not of an image: a build of the data changes it once, however many images hold the package.
Every write holds the build in use: verdicts of an older one are never written over those of a newer.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from openecr.db import inventories, vulnerability_data
from openecr.db import verdicts as rows
from openecr.db.connection import Connection, Database
from openecr.db.verdicts import Verdict
from openecr.scan.findings import Finding, MatchKey
from openecr.scan.matching import match
from openecr.services.ecr.scanning.vulnerability_data import Opened

_BATCH = 50


class Superseded(Exception):
    """Newer data was published meanwhile: match again, by it."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A finding as it is stored."""

    name: str
    severity: int
    score_tenths: int | None
    fixed_version: str | None
    document: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.document.encode()).digest()


async def settle(database: Database, opened: Opened, packages: Sequence[MatchKey], now_us: int) -> dict[MatchKey, int]:
    """Bring the verdicts of packages to a build of the data; the packages' keys.

    Raises:
        Superseded
    """
    known: dict[MatchKey, int] = {}
    for start in range(0, len(packages), _BATCH):
        step = packages[start : start + _BATCH]
        told = await asyncio.to_thread(_match, opened, step)
        keys, stands = await database.read(partial(_as_stored, told=told))
        if not stands:
            keys = await database.write(
                partial(_write, told=told, generation=opened.published.generation, now_us=now_us)
            )
        known |= keys
    return known


def _match(opened: Opened, packages: Sequence[MatchKey]) -> dict[MatchKey, list[_Told]]:
    return {package: [_told(finding) for finding in match(package, opened.index)] for package in packages}


def _told(finding: Finding) -> _Told:
    document: dict[str, Any] = {
        "advisory": finding.advisory,
        "related": finding.related,
        "rating": finding.rating,
        "details": finding.details,
    }
    return _Told(
        finding.name,
        int(finding.severity),
        None if finding.score is None else round(finding.score * 10),
        finding.fixed_version,
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode(),
    )


def _as_stored(db: Connection, told: dict[MatchKey, list[_Told]]) -> tuple[dict[MatchKey, int], bool]:
    """Keys of the packages, and whether everything that is to be told of them is stored already."""
    keys = inventories.package_keys(db, list(told))
    if len(keys) < len(told):
        return keys, False
    current = rows.of_packages(db, list(keys.values()))
    details = rows.details_keys(db, [item.sha256 for items in told.values() for item in items])
    return keys, all(
        {_shape(item, details.get(item.sha256, 0)) for item in told[package]}
        == {_stored_shape(item) for item in current[key]}
        for package, key in keys.items()
    )


def _shape(item: _Told, details_key: int) -> tuple[Any, ...]:
    return (item.name, item.severity, item.score_tenths, item.fixed_version, details_key)


def _stored_shape(item: Verdict) -> tuple[Any, ...]:
    return (item.name, item.severity, item.score_tenths, item.fixed_version, item.details_key)


def _write(db: Connection, told: dict[MatchKey, list[_Told]], generation: int, now_us: int) -> dict[MatchKey, int]:
    require_current(db, generation)
    keys = inventories.package_keys(db, list(told))
    for package in told:
        if package not in keys:
            inventories.insert_package(db, package)
    keys = inventories.package_keys(db, list(told))
    current = rows.of_packages(db, list(keys.values()))
    for package, items in told.items():
        _write_package(db, keys[package], items, current[keys[package]], generation, now_us)
    return keys


def _write_package(
    db: Connection, key: int, told: Sequence[_Told], stored: Sequence[Verdict], generation: int, now_us: int
) -> None:
    before = {item.name: item for item in stored}
    for item in told:
        last = before.pop(item.name, None)
        details_key = rows.details_key(db, item.sha256, item.document)
        if last is not None and _shape(item, details_key) == _stored_shape(last):
            continue
        if last is not None:
            rows.end(db, last.key, generation, now_us)
        first_us = last.first_us if last is not None else now_us
        verdict = Verdict(0, item.name, item.severity, item.score_tenths, item.fixed_version, details_key, first_us)
        rows.begin(db, key, verdict, generation, now_us)
    for gone in before.values():
        rows.end(db, gone.key, generation, now_us)


def require_current(db: Connection, generation: int) -> None:
    """Hold the build in use against a newer one until the transaction ends.

    Raises:
        Superseded: it is not this one.
    """
    vulnerability_data.current(db, held=True)
    # Asked again: who waited for the lock sees the row that it waited for, not the one that came.
    current = vulnerability_data.current(db)
    if current is None or current.generation != generation:
        raise Superseded
