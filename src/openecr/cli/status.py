"""``openecr status``: what runs, and what is stored."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from openecr import __version__
from openecr import data_dir as directories
from openecr.blobs.opening import disk_of, locations
from openecr.cli import options
from openecr.db import accounts, deployment, encrypting, integrity
from openecr.db.connection import Connection
from openecr.db.engines import open_database, require_schema
from openecr.encryption import PLAIN
from openecr.processes import address, lock
from openecr.services.ecr.garbage import EARLY_PURGE
from openecr.services.ecr.integrity import scrub
from openecr.settings import Settings, without_secrets

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3))


def status(
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what runs here, and what is stored."""
    found = asyncio.run(_gather(options.settings(config, data_dir=data_dir)))
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(_lines(found)))


async def _gather(settings: Settings) -> dict[str, Any]:
    folder = settings.data_dir
    running = address.find(folder)
    pids = [pid for pid in lock.named_pids(folder) if lock.is_alive(pid)] if lock.is_held(folder) else []
    found: dict[str, Any] = {
        "version": __version__,
        "data_dir": str(folder),
        "running": running is not None,
        "url": running.url if running else None,
        "started": _instant(running.started_us) if running else None,
        "workers": running.workers if running else 0,
        "pids": pids,
        "database": str(directories.database_path(folder))
        if settings.database is None
        else without_secrets(settings.database),
        "layers": locations(settings),
    }
    if settings.database is not None or directories.database_path(folder).exists():
        database = await open_database(settings)
        try:
            await require_schema(database, settings)
            found |= await database.read(_stored)
            found["encryption"] = await database.read(lambda db: _encryption(db, settings))
        finally:
            await database.close()
    disk = disk_of(settings)
    if disk is not None and directories.database_path(folder).exists():
        found["disk"] = {"free_bytes": disk.free_bytes(), "reserve_bytes": disk.reserve_bytes()}
    return found


def _stored(db: Connection) -> dict[str, Any]:
    early = deployment.find(db, EARLY_PURGE)
    return {
        "early_purge": None if early is None else orjson.loads(early),
        "accounts": [found.account_id for found in accounts.every(db)],
        "clock_offset_seconds": deployment.clock_offset_us(db) // 1_000_000,
        "repositories": _count(db, "SELECT count(*) FROM repository"),
        "images": _count(db, "SELECT count(*) FROM image"),
        "quarantined": integrity.count_quarantined(db),
        "scrubbed": _instant(int(scrubbed)) if (scrubbed := deployment.find(db, scrub.FINISHED_US)) else None,
        "jobs": {str(state): int(count) for state, count in db.rows("SELECT state, count(*) FROM job GROUP BY state")},
    }


def _encryption(db: Connection, settings: Settings) -> dict[str, Any]:
    """How layers are stored: encrypted by openecr, waiting for the job that does it, or left to the disk."""
    found: dict[str, Any] = {"setting": settings.encryption}
    for name in ("encrypted", "waiting", "left_to_storage"):
        found[name] = {"layers": 0, "size_bytes": 0}
    for item in encrypting.stored(db):
        name = "encrypted"
        if item.cipher == PLAIN:
            name = "left_to_storage" if item.is_aes256 and settings.encryption == "storage" else "waiting"
        found[name]["layers"] += item.blobs
        found[name]["size_bytes"] += item.size_bytes
    return found


def _encryption_line(found: dict[str, Any]) -> str:
    encrypted, waiting, left = found["encrypted"], found["waiting"], found["left_to_storage"]
    parts = [f"{found['setting']}: {encrypted['layers']} layers encrypted"]
    if waiting["layers"]:
        parts.append(f"{waiting['layers']} ({_size(waiting['size_bytes'])}) wait for the job that encrypts them")
    if left["layers"]:
        parts.append(f"{left['layers']} left to the disk or the object store")
    return ", ".join(parts)


def _place(name: str, place: str) -> str:
    return place if name == "default" else f"{place} (new ones of {name})"


def _count(db: Connection, sql: str) -> int:
    row = db.row(sql)
    return 0 if row is None else int(row[0])


def _size(size_bytes: int) -> str:
    return next(
        (f"{size_bytes / unit:.1f} {name}" for name, unit in _UNITS if size_bytes >= unit), f"{size_bytes} bytes"
    )


def _instant(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"openecr {found['version']}", f"data directory  {found['data_dir']}"]
    if found["running"]:
        lines.append(f"serving         {found['url']} since {found['started']}, {found['workers']} workers")
    elif found["pids"]:
        lines.append("serving         starting, ending, or left behind by a server that was killed")
    else:
        lines.append(f"serving         nothing; start it with: openecr serve --data-dir {found['data_dir']}")
    if found["pids"]:
        lines.append(f"processes       {' '.join(map(str, found['pids']))}")
    lines.append(f"database        {found['database']}")
    lines += [f"layers          {_place(name, place)}" for name, place in found["layers"].items()]
    if "accounts" in found:
        jobs = ", ".join(f"{count} {state}" for state, count in sorted(found["jobs"].items())) or "none"
        lines += [
            f"accounts        {' '.join(found['accounts'])}",
            f"stored          {found['repositories']} repositories, {found['images']} images",
            f"jobs            {jobs}",
            f"last scrub      {found['scrubbed'] or 'none has ended yet'}",
            f"quarantined     {found['quarantined'] or 'no'} layers"
            + (", see openecr fsck" if found["quarantined"] else ""),
            f"encryption      {_encryption_line(found['encryption'])}",
        ]
        if found["clock_offset_seconds"]:
            lines.append(f"rules' clock    {found['clock_offset_seconds']} seconds ahead")
        if found["early_purge"] is not None:
            early = found["early_purge"]
            lines.append(
                f"trash           emptied early of {early['deletions']} deletions at {_instant(early['at_us'])}, "
                f"because only {_size(early['free_bytes'])} were free"
            )
    else:
        lines.append("stored          nothing yet")
    if "disk" in found:
        disk = found["disk"]
        short = ": TOO LITTLE, the trash is emptied early" if disk["free_bytes"] < disk["reserve_bytes"] else ""
        lines.append(
            f"disk            {_size(disk['free_bytes'])} free, {_size(disk['reserve_bytes'])} are kept free{short}"
        )
    return lines
