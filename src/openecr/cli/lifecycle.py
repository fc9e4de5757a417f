"""``openecr lifecycle``: what policies do to images, when and why; nothing here deletes by itself."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from openecr.cli import options, tables
from openecr.cli.deployments import run
from openecr.db import jobs, lifecycle, repositories
from openecr.db.connection import Connection
from openecr.db.lifecycle import StoredPolicy
from openecr.db.repositories import Repository
from openecr.deployment import Deployment
from openecr.jobs.queue import DEFAULT_QUEUE
from openecr.names import Digest, RegistryName
from openecr.services.ecr.lifecycle import expiry, recording
from openecr.services.ecr.lifecycle.evaluation import DAY_US, Verdict
from openecr.services.ecr.lifecycle.policies import accepted
from openecr.services.ecr.lifecycle.recording import RecordingRefused
from openecr.services.ecr.lifecycle.report import Report, report
from openecr.services.ecr.lifecycle.wording import rule_in_words, verdict_in_words
from openecr.settings import Settings

T = TypeVar("T")
_STEP = 500
_AT = re.compile(r"\+([0-9]{1,6})([dh])")
_HOUR_US = DAY_US // 24

app = typer.Typer(help="List, run, explain and simulate lifecycle policies.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="REPOSITORY", help="The repository's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[str | None, typer.Option("--at", metavar="+DAYSd", help="As it will be then: +30d, +12h.")]


@app.command("list")
def list_policies(as_json: AsJson = False, data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """List every policy: when it ran, when it runs next, and whether the safety brake stopped it."""
    found = run(options.settings(config, data_dir=data_dir), _listed)
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("registry", "repository", "rules", "last run", "expired", "next run", "state")
    for item in found:
        table.add_row(
            item["registry"],
            item["repository"],
            str(item["rules"]),
            item["lastEvaluatedAt"] or "never",
            str(item["expired"]),
            item["nextRun"] or "",
            item["state"],
        )
    tables.show(table)
    for item in found:
        if item["stopped"]:
            print(f"{item['repository']} is stopped: {item['stopped']}")


@app.command("run")
def run_now(
    name: Name,
    account: options.Account = None,
    region: options.Region = None,
    past_brake: Annotated[
        bool, typer.Option("--past-brake", help="Let this run delete more than lifecycle_brake_percent allows.")
    ] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Make a policy's next run due now; a job process takes it, or the next one that starts."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)

    async def owe(deployment: Deployment) -> None:
        def decide(db: Connection) -> None:
            repository, policy = _required(db, settings, name)
            lifecycle.release(db, policy.key, unbraked=past_brake)
            expiry.owe(db, repository.key, 0)

        await deployment.database.write(decide)

    run(settings, owe)
    print(f"the lifecycle policy of {name} is due now")


@app.command()
def explain(
    name: Name,
    account: options.Account = None,
    region: options.Region = None,
    at: At = None,
    as_json: AsJson = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say of every image what the repository's policy does to it, and why."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    _explain(settings, name, None, _shift_us(at), as_json)


@app.command()
def record(
    name: Name,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Write down what a policy may know of a repository's images, for simulate: JSON, without layers or manifests."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)

    async def write(deployment: Deployment) -> dict[str, Any]:
        repository = await deployment.database.read(lambda db: _repository(db, settings, name))
        return await recording.record(deployment.database, repository, deployment.now_us())

    print(orjson.dumps(run(settings, write)).decode())


@app.command()
def simulate(
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="A policy's text, as ECR takes it.")],
    name: Annotated[
        str | None, typer.Argument(metavar="REPOSITORY", help="In the server's registry; without it --recorded.")
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A repository that `openecr lifecycle record` wrote down.")
    ] = None,
    account: options.Account = None,
    region: options.Region = None,
    at: At = None,
    as_json: AsJson = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say what another policy would do to every image, of a repository here or of a recorded one, and store nothing."""
    if (name is None) == (recorded is None):
        raise typer.BadParameter("give a repository, or --recorded FILE")
    if name is None:
        assert recorded is not None  # noqa: S101 - one of both, as was just seen
        _explain_recorded(recorded, policy.read_text(), _shift_us(at), as_json)
        return
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    _explain(settings, name, policy.read_text(), _shift_us(at), as_json)


def _explain(settings: Settings, name: str, text: str | None, shift_us: int, as_json: bool) -> None:
    async def judge(deployment: Deployment) -> tuple[str, int, Report]:
        def read(db: Connection) -> tuple[Repository, str]:
            if text is not None:
                return _repository(db, settings, name), text
            repository, stored = _required(db, settings, name)
            return repository, stored.text

        repository, policy_text = await deployment.database.read(read)
        rules = accepted(policy_text)
        now_us = deployment.now_us()
        return policy_text, now_us, await report(deployment.database, repository.key, rules, now_us + shift_us)

    _tell(*run(settings, judge), as_json=as_json)


def _explain_recorded(path: Path, policy_text: str, shift_us: int, as_json: bool) -> None:
    """As if it were now where it was recorded."""
    try:
        known = recording.read(orjson.loads(path.read_bytes()))
    except (RecordingRefused, orjson.JSONDecodeError) as refused:
        raise options.CommandFailed(f"{path}: {refused}") from None
    found = recording.judged(known, accepted(policy_text), known.recorded_us + shift_us)
    _tell(policy_text, known.recorded_us, found, as_json=as_json)


def _tell(policy_text: str, now_us: int, found: Report, *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(_document(found, now_us), option=orjson.OPT_INDENT_2).decode())
        return
    for rule in accepted(policy_text):
        print(rule_in_words(rule))
    table = tables.table("image", "tags", "pushed", "last pulled", "verdict")
    for verdict in found.verdicts:
        image = verdict.image
        table.add_row(
            str(Digest(image.digest)),
            " ".join(image.tags),
            _instant(image.pushed_us),
            _instant(image.pulled_us),
            verdict_in_words(verdict, found.now_us),
        )
    tables.show(table)
    _tell_sums(found, now_us)


def _tell_sums(found: Report, now_us: int) -> None:
    print(f"{len(found.expiring)} of {found.total} images expire, and free {found.freed_bytes:,} bytes after the trash")
    if found.archiving:
        print(f"{len(found.archiving)} of {found.total} images are archived")
    for verdict in found.pulled_lately(now_us):
        print(f"pulled in the last 30 days, and goes: {_named(verdict)}")
    for hint in found.hints:
        print(f"warning: {hint.text}")
        if hint.offer:
            print(orjson.dumps(list(hint.offer), option=orjson.OPT_INDENT_2).decode())


def _named(verdict: Verdict) -> str:
    return f"{Digest(verdict.image.digest)} {' '.join(verdict.image.tags)}".rstrip()


def _document(found: Report, now_us: int) -> dict[str, Any]:
    lately = {verdict.image.key for verdict in found.pulled_lately(now_us)}
    return {
        "at": _instant(found.now_us),
        "images": [
            {
                "imageDigest": str(Digest(verdict.image.digest)),
                "imageTags": list(verdict.image.tags),
                "imagePushedAt": _instant(verdict.image.pushed_us),
                "lastRecordedPullTime": _instant(verdict.image.pulled_us) or None,
                "outcome": verdict.outcome.value,
                "why": verdict.why.value,
                "rule": verdict.rule.priority if verdict.rule is not None else None,
                "position": verdict.position,
                "due": _instant(verdict.due_us) or None,
                "verdict": verdict_in_words(verdict, found.now_us),
                "pulledLately": verdict.image.key in lately,
            }
            for verdict in found.verdicts
        ],
        "total": found.total,
        "expiring": len(found.expiring),
        "archiving": len(found.archiving),
        "freedBytes": found.freed_bytes,
        "warnings": [
            {"code": hint.code, "rule": hint.rule, "text": hint.text, "offer": list(hint.offer)} for hint in found.hints
        ],
    }


async def _listed(deployment: Deployment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0

    def step(db: Connection) -> list[tuple[int, dict[str, Any]]]:
        return [
            (policy.repository_key, _policy(db, repository, policy))
            for policy in lifecycle.policies_after(db, after, _STEP)
            if (repository := repositories.find_by_key(db, policy.repository_key)) is not None
        ]

    while listed := await deployment.database.read(step):
        found += [item for _, item in listed]
        after = listed[-1][0]
    return found


def _policy(db: Connection, repository: Repository, policy: StoredPolicy) -> dict[str, Any]:
    key = expiry.job_key(repository.key)
    due_us = jobs.due_us_of(db, DEFAULT_QUEUE, key)
    state = "waits" if due_us is not None else "not owed"
    if policy.stopped_us is not None:
        state = "stopped"
    elif jobs.is_running(db, DEFAULT_QUEUE, key):
        state = "runs"
    return {
        "registry": str(repository.registry),
        "repository": repository.name,
        "rules": len(accepted(policy.text)),
        "lastEvaluatedAt": _instant(policy.evaluated_us) or None,
        "expired": policy.expired,
        "nextRun": _instant(due_us) or None,
        "state": state,
        "stopped": policy.stopped_why,
    }


def _repository(db: Connection, settings: Settings, name: str) -> Repository:
    registry = RegistryName(settings.account_id, settings.region)
    found = repositories.find(db, registry, name)
    if found is None:
        raise options.CommandFailed(
            f"there is no repository {name} in registry {registry}; "
            "check the name, and --account and --region where it is another registry's"
        )
    return found


def _required(db: Connection, settings: Settings, name: str) -> tuple[Repository, StoredPolicy]:
    repository = _repository(db, settings, name)
    stored = lifecycle.find_policy(db, repository.key)
    if stored is None:
        raise options.CommandFailed(
            f"the repository {name} has no lifecycle policy; put one, or try one with: openecr lifecycle simulate"
        )
    return repository, stored


def _shift_us(at: str | None) -> int:
    if at is None:
        return 0
    found = _AT.fullmatch(at)
    if found is None:
        raise typer.BadParameter(f"'{at}' is no time ahead; write it like +30d or +12h", param_hint="--at")
    return int(found[1]) * (DAY_US if found[2] == "d" else _HOUR_US)


def _instant(instant_us: int | None) -> str:
    if not instant_us:
        return ""
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
