"""``openecr jobs``: the background work that is owed, runs, or failed for good."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import orjson
import typer

from openecr import data_dir as directories
from openecr.background import SCHEDULES
from openecr.cli import options, tables
from openecr.composition import composed
from openecr.db import jobs
from openecr.db.connection import Connection, Database
from openecr.db.jobs import Job, State
from openecr.jobs import schedule as scheduling

T = TypeVar("T")
_STEP = 500
_KINDS = ", ".join(schedule.kind for schedule in SCHEDULES)

app = typer.Typer(help="List, retry, cancel and hasten background jobs.", no_args_is_help=True)
JobId = Annotated[int, typer.Argument(metavar="ID", help="The job's id, as `openecr jobs list` shows it.")]


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(metavar="ready|running|dead", help="Only jobs of this state.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only jobs of this kind.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the oldest first.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """List jobs; what is done leaves no row."""
    if state is not None and state not in get_args(State):
        raise typer.BadParameter("a job is ready, running or dead", param_hint="--state")
    found = _run(data_dir, config, lambda database: _listed(database, cast("State | None", state), kind, most))
    if as_json:
        print(orjson.dumps([_document(job) for job in found], option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("id", "state", "kind", "key", "due", "attempt", "last error")
    for job in found:
        table.add_row(
            str(job.id),
            _state(job),
            job.kind,
            job.key or "",
            _instant(job.due_us),
            f"{job.attempt} of {job.max_attempts}",
            job.error or "",
        )
    tables.show(table)


@app.command()
def retry(
    job_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="A dead job's id.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead job.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Owe dead work again, with all its attempts."""
    if (job_id is None) != dead:
        raise typer.BadParameter("give the id of a dead job, or --dead for all of them")

    async def revive(database: Database) -> list[int]:
        ids = [job_id] if job_id is not None else [job.id for job in await _listed(database, "dead", None, 2**31)]
        return [found for found in ids if await database.write(partial(jobs.revive, job_id=found))]

    revived = _run(data_dir, config, revive)
    if job_id is not None and not revived:
        raise options.CommandFailed(f"no dead job has the id {job_id}; see: openecr jobs list --state dead")
    _tell(as_json, {"retried": revived}, f"{len(revived)} dead jobs are owed again")


@app.command()
def cancel(
    job_id: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Give a job up; one that runs is ended by its worker at the next heartbeat, within its lease."""

    async def give_up(database: Database) -> Literal["gone", "ending"] | None:
        return await database.write(lambda db: jobs.cancel(db, job_id))

    state = _run(data_dir, config, give_up)
    if state is None:
        raise options.CommandFailed(f"no job has the id {job_id}: it is done, or never was; see: openecr jobs list")
    text = f"job {job_id} is cancelled" + ("; its worker ends it within a minute" if state == "ending" else "")
    _tell(as_json, {"cancelled": job_id, "ending": state == "ending"}, text)


@app.command("run")
def run_now(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {_KINDS}.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Make a scheduled job due now; a job process takes it, or the next one that starts."""
    wanted = next((schedule for schedule in SCHEDULES if schedule.kind == kind), None)
    if wanted is None:
        raise typer.BadParameter(f"there is no schedule {kind}; the schedules are {_KINDS}", param_hint="KIND")

    async def hasten(database: Database) -> bool:
        return await database.write(lambda db: scheduling.owe_now(db, wanted))

    runs = _run(data_dir, config, hasten)
    text = f"{kind} runs at this moment, and once more after that" if runs else f"{kind} is due now"
    _tell(as_json, {"due": kind, "runs": runs}, text)


def _run(data_dir: options.DataDir, config: options.ConfigFile, work: Callable[[Database], Awaitable[T]]) -> T:
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)

    async def composed_work() -> T:
        async with composed(settings) as deployment:
            return await work(deployment.database)

    return asyncio.run(composed_work())


async def _listed(database: Database, state: State | None, kind: str | None, most: int) -> list[Job]:
    found: list[Job] = []
    while len(found) < most:
        wanted = min(_STEP, most - len(found))
        after = found[-1].id if found else 0

        def page(db: Connection, after: int = after, wanted: int = wanted) -> list[Job]:
            return jobs.list_after(db, state, after, wanted, kind=kind)

        step = await database.read(page)
        found += step
        if len(step) < wanted:
            break
    return found


def _state(job: Job) -> str:
    return "cancelled" if job.state == "running" and job.worker == jobs.CANCELLED else job.state


def _document(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": _state(job),
        "queue": job.queue,
        "kind": job.kind,
        "key": job.key,
        "args": orjson.loads(job.args),
        "due": _instant(job.due_us),
        "worker": job.worker,
        "leaseUntil": None if job.lease_until_us is None else _instant(job.lease_until_us),
        "attempt": job.attempt,
        "maxAttempts": job.max_attempts,
        "lastError": job.error,
    }


def _instant(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _tell(as_json: bool, document: dict[str, Any], text: str) -> None:
    print(orjson.dumps(document).decode() if as_json else text)
