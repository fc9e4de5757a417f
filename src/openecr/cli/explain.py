"""``openecr explain``: may this principal do this, which statement says so, and what would have to change."""

import asyncio
import sys
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from openecr import data_dir as directories
from openecr.access import explanation
from openecr.access.explanation import PrincipalUnknown
from openecr.access.policies.evaluation import Verdict
from openecr.cli import options
from openecr.cli.audit import summary
from openecr.composition import composed
from openecr.db import repositories
from openecr.db.connection import Connection
from openecr.deployment import Deployment
from openecr.events import audit_query
from openecr.events.audit_query import Wanted
from openecr.names import RegistryName, is_repository_name, parse_repository_arn, repository_arn
from openecr.services.audit import archive_of

DENIED = 3
"""The exit status of a denial: neither a command that failed nor one that was called wrongly."""
_MOST_EVENTS = 100


def explain(
    principal: Annotated[
        str | None, typer.Option(metavar="ARN", help="Of a user, role, role session or root; or: anonymous.")
    ] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Such as ecr:BatchGetImage.")] = None,
    resource: Annotated[
        str | None,
        typer.Option(metavar="REPO|ARN", help="A repository of the server's registry, or an ARN.  [default: *]"),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A condition key: aws:SourceVpce=vpce-1a2b; repeatable."),
    ] = None,
    source_ip: Annotated[str, typer.Option("--source-ip", help="Where the request comes from.")] = "",
    request_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Explain a request that was made, by its x-amzn-requestid.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say whether a principal may do something, which statement decides, and what would have to change. Exit status:
    0 allowed, 3 denied."""
    if (request_id is None) == (principal is None) or (principal is not None and action is None):
        raise typer.BadParameter("give --principal and --action (and --resource), or --request-id")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def explained() -> dict[str, Any]:
        async with composed(settings) as deployment:
            if request_id is not None:
                return await _made(deployment, request_id)
            assert principal is not None and action is not None  # noqa: S101, PT018 - checked above
            return await _asked(deployment, principal, action, resource or "*", source_ip, _context(context or []))

    try:
        found = asyncio.run(explained())
    except PrincipalUnknown as unknown:
        raise options.CommandFailed(str(unknown)) from None
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        for line in _request_lines(found) if "events" in found else _lines(found):
            print(line if line.isprintable() else ascii(line)[1:-1])
        for note in found["notes"]:
            print(f"openecr: note: {note}", file=sys.stderr)
    if found["outcome"] == "denied":
        raise typer.Exit(DENIED)


async def _asked(
    deployment: Deployment,
    principal: str,
    action: str,
    resource: str,
    source_address: str,
    more: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    """What would be decided now."""
    registry = RegistryName(deployment.settings.account_id, deployment.settings.region)
    arn = repository_arn(registry, resource) if is_repository_name(resource) and ":" not in resource else resource

    def decide(db: Connection) -> dict[str, Any]:
        caller = explanation.find_caller(db, principal)
        verdict = explanation.explain(
            db,
            caller,
            action,
            arn,
            registry=registry,
            now_us=deployment.now_us(),
            source_address=source_address,
            more=more,
        )
        told = {"principal": caller.arn or principal, "action": action, "resource": arn}
        return told | decision_of(verdict) | {"notes": _notes(db, verdict, arn)}

    return await deployment.database.read(decide)


async def _made(deployment: Deployment, request_id: str) -> dict[str, Any]:
    """What was decided when a request was made, and what would be now."""
    found = await audit_query.find(archive_of(deployment), Wanted(request_id=request_id), _MOST_EVENTS)
    if not found.records:
        raise options.CommandFailed(
            f"no record of the request {request_id} is found"
            + (f" ({'; '.join(found.notes)})" if found.notes else "; it takes a second to be there")
        )
    events = []
    for record in reversed(found.records):
        recorded = record["additionalEventData"].get("decision")
        now = None if recorded is None else await _decided_now(deployment, record, recorded)
        events.append(summary(record) | {"decision": recorded, "now": now})
    is_denied = any(event["decision"] and event["decision"]["outcome"] == "denied" for event in events)
    outcome = "denied" if is_denied else "allowed" if any(event["decision"] for event in events) else "undecided"
    return {"requestId": request_id, "outcome": outcome, "events": events, "notes": found.notes}


async def _decided_now(
    deployment: Deployment, record: dict[str, Any], recorded: dict[str, Any]
) -> dict[str, Any] | None:
    """The decision under today's policies; None where who asked is gone."""
    arns = [resource["ARN"] for resource in record["resources"]]
    resource = recorded.get("resource") or (arns[0] if arns else "*")
    arn = record["userIdentity"].get("arn", explanation.ANYBODY)
    try:
        found = await _asked(
            deployment, arn, recorded["action"], resource, record["sourceIPAddress"], _recorded_context(record)
        )
    except PrincipalUnknown:
        return None
    return {name: found[name] for name in ("outcome", "reason", "remedy", "policyType", "policy") if name in found}


def decision_of(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON has it."""
    told: dict[str, Any] = {"outcome": "allowed" if verdict.allowed else "denied"}
    if not verdict.allowed:
        told |= {"reason": verdict.reason, "remedy": verdict.remedy}
    match = verdict.decided_by
    if match is not None:
        told |= {
            "policyType": match.policy_type,
            "policy": match.policy.name,
            "statementNumber": match.statement.index + 1,
            "statement": orjson.loads(match.statement.source),
        }
    told["matched"] = [
        {"policy": one.policy.name, "statementNumber": one.statement.index + 1, "effect": one.statement.effect.value}
        for one in verdict.matched
    ]
    told["missingKeys"] = list(verdict.missing_keys)
    return told


def _notes(db: Connection, verdict: Verdict, arn: str) -> list[str]:
    """What the answer does not say by itself."""
    notes = []
    named = parse_repository_arn(arn)
    if named is not None and repositories.find(db, *named) is None:
        notes.append(f"there is no repository {named[1]} in {named[0]}, so none of its own policy")
    if verdict.missing_keys:
        keys = ", ".join(verdict.missing_keys)
        notes.append(f"policies read condition keys that are not known here: {keys}; give them with --context")
    return notes


def _recorded_context(record: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    if record["userAgent"]:
        found["aws:useragent"] = (record["userAgent"],)
    if "vpcEndpointId" in record:
        found["aws:sourcevpce"] = (record["vpcEndpointId"],)
    return found


def _context(given: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or ":" not in key:
            raise typer.BadParameter("a condition key is given as aws:SourceVpce=vpce-1a2b", param_hint="--context")
        found[key.lower()] = (*found.get(key.lower(), ()), value)
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    if found["outcome"] == "allowed":
        lines = [f"ALLOWED  {found['principal']} may {found['action']} on {found['resource']}"]
    else:
        lines = [
            f"DENIED   {found['principal']} may not {found['action']} on {found['resource']}",
            f"         {found['reason']}",
        ]
    return [*lines, *_decision_lines(found)]


def _decision_lines(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "policy" in found:
        number = found.get("statementNumber")
        of = f", statement {number}" if number else ""
        lines.append(f"decided by  {found['policyType']} {found['policy']}{of}")
    if "statement" in found:
        text = orjson.dumps(found["statement"], option=orjson.OPT_INDENT_2).decode()
        lines += textwrap.indent(text, "  ").splitlines()
    if found.get("remedy"):
        lines.append(f"to allow    {found['remedy']}")
    return lines


def _request_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"request {found['requestId']}"]
    for event in found["events"]:
        where = " ".join(event["resources"]) or "*"
        lines += ["", f"{event['time']}  {event['event']} on {where}", f"by          {event['principal']}"]
        lines.append(f"from        {event['source']}  {event['userAgent']}")
        if event["error"] is not None:
            lines.append(f"error       {event['error']}: {event['message'] or ''}")
        decision = event["decision"]
        if decision is None:
            lines.append("decision    none: the request failed before policies were asked, or needs no permission")
            continue
        lines.append(f"decision    {decision['outcome']}, {decision['action']}")
        lines += _decision_lines(decision)
        now = event["now"]
        if now is None:
            lines.append("today       who asked is not there any more")
        elif now["outcome"] != decision["outcome"]:
            lines.append(f"today       it would be {now['outcome']} {now.get('reason', '')}".rstrip())
        else:
            lines.append("today       it would be the same")
    return lines
