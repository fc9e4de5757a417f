"""``openecr audit``: who did what, from where, and what came of it."""

import asyncio
import re
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, tables
from openecr.composition import composed
from openecr.events import audit_query
from openecr.events.audit_query import NEWEST, Found, Position, Wanted
from openecr.services.audit import archive_of
from openecr.settings import Settings

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NEXT = re.compile(r"([0-9]{1,18})\.([0-9a-f-]{36})")


def audit(
    since: Annotated[str | None, typer.Option(metavar="1h|2026-03-01T10:00Z", help="Not before this.")] = None,
    until: Annotated[str | None, typer.Option(metavar="1h|2026-03-01T10:00Z", help="Before this.")] = None,
    principal: Annotated[
        str | None,
        typer.Option(metavar="NAME|ARN", help="Whose: an ARN, user, role or access key; * is any text."),
    ] = None,
    event_name: Annotated[str | None, typer.Option(metavar="NAME", help="What: PutImage, Delete*.")] = None,
    resource: Annotated[str | None, typer.Option(metavar="REPO|ARN", help="On what: a repository, or an ARN.")] = None,
    error: Annotated[str | None, typer.Option(metavar="CODE", help="How it failed: AccessDenied*, * for any.")] = None,
    request_id: Annotated[str | None, typer.Option(metavar="ID", help="What one request did.")] = None,
    account: Annotated[str | None, typer.Option(help="The caller's account, or the one whose registry it was.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest first.")] = 100,
    goes_on: Annotated[str | None, typer.Option("--next", metavar="TOKEN", help="Go on where a page ended.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a summary of each record.")] = False,
    cloudtrail: Annotated[bool, typer.Option("--cloudtrail", help="Print whole records, as CloudTrail does.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show the audit trail, the newest first: a record for everything that clients asked."""
    wanted = Wanted(
        since_us=0 if since is None else instant(since, "--since"),
        until_us=2**62 if until is None else instant(until, "--until"),
        principal=principal,
        event_name=event_name,
        resource=resource,
        error=error,
        request_id=request_id,
        account_id=account,
    )
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    found = asyncio.run(_find(settings, wanted, most, _position(goes_on)))
    token = None if found.goes_on is None else f"{found.goes_on[0]}.{found.goes_on[1]}"
    if cloudtrail:
        print(orjson.dumps({"Records": found.records}, option=orjson.OPT_INDENT_2).decode())
    elif as_json:
        document = {"records": [summary(record) for record in found.records], "next": token, "notes": found.notes}
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(found)
    for note in found.notes if not as_json else ():
        print(f"openecr: note: {note}", file=sys.stderr)
    if token is not None and not as_json:
        print(f"openecr: there are more: --next {token}", file=sys.stderr)


async def _find(settings: Settings, wanted: Wanted, most: int, before: Position) -> Found:
    async with composed(settings) as deployment:
        return await audit_query.find(archive_of(deployment), wanted, most, before)


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record says who did what, from where, and what came of it."""
    return {
        "time": told_at(record),
        "event": record["eventName"],
        "service": record["eventSource"].partition(".")[0],
        "plane": record["additionalEventData"].get("plane"),
        "principal": told_principal(record),
        "account": record["userIdentity"].get("accountId"),
        "source": record["sourceIPAddress"],
        "userAgent": record["userAgent"],
        "region": record["awsRegion"],
        "resources": [resource["ARN"] for resource in record["resources"]],
        "error": record.get("errorCode"),
        "message": record.get("errorMessage"),
        "requestId": record["requestID"],
        "eventId": record["eventID"],
    }


def told_at(record: dict[str, Any]) -> str:
    """When it was, with the milliseconds that CloudTrail's own member lacks."""
    instant_us = record["additionalEventData"]["instantUs"]
    moment = datetime.fromtimestamp(instant_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant_us % 1_000_000 // 1000:03d}Z"


def told_principal(record: dict[str, Any]) -> str:
    """Who it was, as far as anyone was proven."""
    identity = record["userIdentity"]
    if "arn" in identity:
        return str(identity["arn"])
    key = identity.get("accessKeyId")
    return f"unproven {key}" if key else "anonymous" if identity["type"] == "AWSAccount" else "openecr"


def _show(found: Found) -> None:
    table = tables.table("time", "event", "principal", "source", "on", "outcome", "request")
    for record in found.records:
        resources = [item["ARN"] for item in record["resources"]]
        outcome = record.get("errorCode") or "ok"
        if "lostRecords" in record["additionalEventData"]:
            outcome = f"{record['additionalEventData']['lostRecords']} records lost"
        cells = (
            told_at(record),
            record["eventName"],
            told_principal(record),
            record["sourceIPAddress"],
            " ".join(arn.partition(":repository/")[2] or arn for arn in resources),
            outcome,
            record["requestID"],
        )
        # What a client sent may carry what moves a terminal's cursor.
        table.add_row(*(cell if cell.isprintable() else ascii(cell)[1:-1] for cell in cells))
    tables.show(table)


def instant(text: str, option: str) -> int:
    """µs of an instant, or of so long ago."""
    found = _DURATION.fullmatch(text)
    if found is not None:
        return int((time.time() - int(found[1]) * _SECONDS[found[2]]) * 1_000_000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "give 90s, 15m, 1h or 7d, or an instant: 2026-03-01T10:00Z", param_hint=option
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _position(token: str | None) -> Position:
    if token is None:
        return NEWEST
    found = _NEXT.fullmatch(token)
    if found is None:
        raise typer.BadParameter("give the token that the page before ended with", param_hint="--next")
    return int(found[1]), found[2]
