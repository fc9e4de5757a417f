"""``openecr vulns``: which images hold a vulnerability, in which layer, and on which base image."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, tables
from openecr.cli.audit import instant
from openecr.composition import composed
from openecr.names import Digest
from openecr.scan.advisories import Severity
from openecr.services.ecr.scanning.holders import Holder, holders


def vulns(
    name: Annotated[str, typer.Argument(metavar="CVE", help="A vulnerability, as findings name it: CVE-2024-3094.")],
    pulled_since: Annotated[
        str | None, typer.Option(metavar="7d|2026-03-01T10:00Z", help="Only images that were pulled since.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show which scanned images hold a vulnerability now, where in them it is, and on which image they are based."""
    since_us = None if pulled_since is None else instant(pulled_since, "--pulled-since")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def find() -> list[Holder]:
        async with composed(settings) as deployment:
            return [item async for item in holders(deployment.database, name, pulled_since_us=since_us)]

    found = asyncio.run(find())
    if as_json:
        print(orjson.dumps([_told(item) for item in found], option=orjson.OPT_INDENT_2).decode())
        return
    if not found:
        print(f"no scanned image holds {name}" + (" that was pulled since" if since_us is not None else ""))
        return
    table = tables.table(
        "image", "severity", "package", "fixed in", "where", "layer", "base image", "last pulled", "suppressed"
    )
    for item in found:
        place = item.places[0] if item.places else None
        table.add_row(
            _named(item),
            Severity(item.package.severity).name,
            f"{item.package.name} {item.package.version}",
            item.package.fixed_version or "",
            "" if place is None else place.path,
            "" if place is None else place.layer[:19],
            (place.base_image if place else None) or "",
            _instant(item.image.pulled_us),
            item.image.justification or "",
        )
    tables.show(table)


def _named(item: Holder) -> str:
    tag = f":{item.tags[0]}" if item.tags else f"@{Digest(item.image.digest)}"
    return f"{item.image.account_id}.{item.image.region}/{item.image.repository}{tag}"


def _told(item: Holder) -> dict[str, Any]:
    return {
        "accountId": item.image.account_id,
        "region": item.image.region,
        "repository": item.image.repository,
        "digest": str(Digest(item.image.digest)),
        "tags": list(item.tags),
        "status": item.image.status,
        "lastPulledAt": _instant(item.image.pulled_us) or None,
        "severity": Severity(item.package.severity).name,
        "suppressed": item.image.justification,
        "package": {
            "ecosystem": item.package.ecosystem,
            "name": item.package.name,
            "version": item.package.version,
            "fixedVersion": item.package.fixed_version,
        },
        "places": [{"path": place.path, "layer": place.layer, "baseImage": place.base_image} for place in item.places],
    }


def _instant(us: int | None) -> str:
    return "" if us is None else datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
