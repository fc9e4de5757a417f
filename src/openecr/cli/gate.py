"""``openecr gate``: let an image through, or not, by what its scan found; for pipelines."""

import asyncio
from functools import partial
from typing import Annotated

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.composition import composed
from openecr.db import images, repositories
from openecr.db.connection import Connection
from openecr.names import RegistryName
from openecr.scan.advisories import Severity
from openecr.services.ecr.scanning.gate_rules import Limits, Scanned, refusals
from openecr.services.ecr.scanning.pull_gates import last_scan
from openecr.services.ecr.undelete import UndeleteRefused, Wanted, parse_wanted

REFUSED = 3
"""The exit status of an image that is not let through: neither a command that failed nor one called wrongly."""
_DAY_US = 86_400 * 1_000_000
Most = Annotated[int | None, typer.Option(min=0, help="At most so many; not limited without it.")]


def gate(
    image: Annotated[str, typer.Argument(metavar="REPO[:TAG|@DIGEST]", help="In the server's registry.")],
    max_critical: Annotated[int, typer.Option(min=0, help="At most so many critical findings.")] = 0,
    max_high: Most = None,
    max_medium: Most = None,
    max_low: Most = None,
    accept_gaps: Annotated[
        bool,
        typer.Option(help="Let through what the scan could not judge in full, or judged by data that is too old."),
    ] = False,
    account: options.Account = None,
    region: options.Region = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Let an image through by what its last scan found. One that was not scanned, or not to the end, is not let
    through. Exit status: 0 it passes, 3 it does not."""
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    registry = RegistryName(account or settings.account_id, region or settings.region)
    given = {
        Severity.CRITICAL: max_critical,
        Severity.HIGH: max_high,
        Severity.MEDIUM: max_medium,
        Severity.LOW: max_low,
    }
    limits = Limits({key.name: most for key, most in given.items() if most is not None}, accepts_gaps=accept_gaps)
    try:
        wanted = parse_wanted(image)
    except UndeleteRefused as refused:
        raise options.CommandFailed(str(refused)) from None

    async def scanned() -> Scanned | None:
        async with composed(settings) as deployment:
            return await deployment.database.read(
                partial(
                    _scanned,
                    registry=registry,
                    wanted=wanted,
                    now_us=deployment.now_us(),
                    too_old_us=settings.vulndb_max_age_days * _DAY_US,
                )
            )

    found = asyncio.run(scanned())
    reasons = refusals(found, limits)
    if as_json:
        told = {
            "image": image,
            "passes": not reasons,
            "reasons": reasons,
            "counts": dict(found.counts) if found else {},
        }
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    elif reasons:
        print(f"{image} is not let through: " + "; ".join(reasons))
    else:
        counts = ", ".join(f"{count} {severity}" for severity, count in found.counts.items()) if found else ""
        print(f"{image} passes: {counts or 'no findings'}")
    if reasons:
        raise typer.Exit(REFUSED)


def _scanned(db: Connection, registry: RegistryName, wanted: Wanted, now_us: int, too_old_us: int) -> Scanned | None:
    return last_scan(db, image_key(db, registry, wanted), now_us=now_us, too_old_us=too_old_us)


def image_key(db: Connection, registry: RegistryName, wanted: Wanted) -> int:
    """The key of an image by its repository and tag (``latest`` without one) or digest.

    Raises:
        CommandFailed: there is none.
    """
    repository = repositories.find(db, registry, wanted.repository_name)
    if repository is None:
        raise options.CommandFailed(f"there is no repository {wanted.repository_name} in registry {registry}")
    if wanted.digest is not None:
        found = images.find(db, repository.key, wanted.digest.stored)
    else:
        found = images.find_tagged(db, repository.key, wanted.tag or "latest")
    if found is None:
        which = Wanted(wanted.repository_name, wanted.tag or (None if wanted.digest else "latest"), wanted.digest)
        raise options.CommandFailed(f"there is no image {which} in registry {registry}")
    return found.key
