"""``openecr workload``: who gets a role's credentials without a secret of IAM."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from openecr import data_dir as directories
from openecr.cli import options
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.db import workloads
from openecr.db.connection import Connection
from openecr.deployment import Deployment
from openecr.services.workloads import declaring, workload_rules
from openecr.services.workloads.declaring import Declared, NotDeclared
from openecr.settings import Settings

app = typer.Typer(help="Give tasks and nodes a role's credentials, without a secret of IAM.", no_args_is_help=True)
T = TypeVar("T")
_PAGE = 100
_MOST_SHOWN = 50

Name = Annotated[str, typer.Argument(help="The workload's name; its sessions of the role have it too.")]
TokenFile = Annotated[
    Path | None, typer.Option(help="Write the token there, for its owner alone, and do not print it.")
]


@app.command("create")
def create(
    name: Name,
    role: Annotated[str, typer.Option(help="The role's ARN. It must trust ecs-tasks or ec2.amazonaws.com.")],
    node: Annotated[
        list[str] | None,
        typer.Option(help="Address or network (CIDR) of nodes, which get credentials by it; repeatable."),
    ] = None,
    seconds: Annotated[int, typer.Option(help="How long a session lasts; the next begins at half of it.")] = 3600,
    token_file: TokenFile = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Bind a role to who holds a token (a task), or to who comes from a network (--node)."""
    settings = _settings(config, data_dir)
    if node and token_file is not None:
        raise typer.BadParameter("nodes have no token", param_hint="--token-file")
    declared = _run(settings, lambda db, now_us: declaring.declare(db, name, role, node or [], seconds, now_us))
    _tell(declared, token_file)


@app.command("rotate")
def rotate(
    name: Name,
    overlap_minutes: Annotated[int, typer.Option(help="How long the tokens until now stay good.", min=0)] = 0,
    token_file: TokenFile = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Make a new token for a task, and end those that it had."""
    settings = _settings(config, data_dir)
    overlap_us = overlap_minutes * 60_000_000
    _tell(_run(settings, lambda db, now_us: declaring.rotate(db, name, overlap_us, now_us)), token_file)


@app.command("delete")
def delete(name: Name, data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """Take a workload's role away: its tokens or networks, its sessions and their registry tokens end at once."""
    _run(_settings(config, data_dir), lambda db, _now_us: declaring.withdraw(db, name))
    print(f"deleted workload {name}")


@app.command("list")
def list_workloads(data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """List the workloads, their roles, and by what they get them."""
    settings = _settings(config, data_dir)
    after = workloads.FIRST
    while True:
        lines = _run(settings, lambda db, now_us, after=after: _listed(db, after, now_us))  # type: ignore[misc]
        for _, line in lines:
            print(line)
        if len(lines) < _PAGE:
            return
        after = lines[-1][0]


def _listed(db: Connection, after: str, now_us: int) -> list[tuple[str, str]]:
    lines = []
    for found in workloads.page(db, after, _PAGE):
        if found.service == workload_rules.NODE_SERVICE:
            by = ", ".join(workloads.sources_of(db, found.key, _MOST_SHOWN))
        else:
            by = "; ".join(_token(token, now_us) for token in workloads.tokens_of(db, found.key, _MOST_SHOWN))
        role = found.role_arn or "a role that does not exist any more"
        lines.append((found.name, f"{found.name}  {role}  {found.session_seconds} s  {by}"))
    return lines


def _token(token: workloads.Token, now_us: int) -> str:
    made = f"token of {_instant(token.created_us)}"
    if token.expires_us is None:
        return made
    return f"{made}, {'ended' if token.expires_us <= now_us else 'ends'} {_instant(token.expires_us)}"


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    return settings


def _run(settings: Settings, change: Callable[[Connection, int], T]) -> T:
    async def once() -> T:
        async with composed(settings) as deployment:
            return await _written(deployment, change)

    try:
        return asyncio.run(once())
    except NotDeclared as refused:
        raise CommandFailed(str(refused)) from None


async def _written(deployment: Deployment, change: Callable[[Connection, int], T]) -> T:
    return await deployment.database.write(lambda db: change(db, deployment.now_us()))


def _tell(declared: Declared, token_file: Path | None) -> None:
    """Say how the workload uses it; the token is shown this once."""
    print(f"workload  {declared.name}")
    print(f"role      {declared.role_arn}")
    for network in declared.networks:
        print(f"node      {network}")
    if declared.token is None:
        print("nodes ask at the address of metadata_listen (openecr serve --metadata-listen)")
        return
    if token_file is None:
        print(f"token     {declared.token}")
    else:
        _write_private(token_file, declared.token)
        print(f"token in  {token_file}")


def _write_private(path: Path, text: str) -> None:
    """Write a file of its owner alone, whole or not at all; botocore would take a line's end for the token's."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(part, path)
