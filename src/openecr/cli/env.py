"""``openecr env``: what a shell needs to use the registry that runs here."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from openecr import data_dir as directories
from openecr.access.credentials import AccessKey
from openecr.cli import aws_profile, environment, options
from openecr.cli.ca_bundle import ca_bundle
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.processes import address
from openecr.processes.prepare import administrator_key
from openecr.settings import Settings

_AWS_VERSION = re.compile(r"aws-cli/(\d+)\.(\d+)")
_READS_ENDPOINTS = {1: 29, 2: 13}
"""The first minor release of each major AWS CLI that reads AWS_ENDPOINT_URL_<SERVICE>."""


def env(
    data_dir: options.DataDir = None,
    account: Annotated[str | None, typer.Option(help="Whose administrator; the server's default account else.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Print what takes the variables back.")] = False,
    profile: Annotated[str | None, typer.Option(help="Write a profile of this name instead of printing.")] = None,
    config: options.ConfigFile = None,
    shell: Annotated[str | None, typer.Option(help="Else the shell that asks.", metavar="bash|fish|powershell")] = None,
) -> None:
    """Print what a shell needs: eval "$(openecr env)"."""
    chosen = shell or _asking_shell()
    if chosen not in environment.SHELLS:
        raise typer.BadParameter(f"the shells are {', '.join(environment.SHELLS)}", param_hint="--shell")
    if unset:
        print("\n".join(environment.unset_lines(environment.every_name(), chosen)))
        return
    settings = options.settings(config, data_dir=data_dir)
    folder = settings.data_dir
    running = address.find(folder)
    if running is None:
        raise CommandFailed(
            f"no server runs on the data directory {folder}; start it with: openecr serve --data-dir {folder}"
        )
    key = asyncio.run(_find_key(settings, account or running.account_id))
    bundle = None
    if running.own_ca is not None:
        bundle = str(ca_bundle(directories.tls_path(folder), Path(running.own_ca), os.environ.get("AWS_CA_BUNDLE")))
    access = environment.Access(running.url, running.region, key, bundle)
    _warn_of_old_aws(access.url)
    if profile is not None:
        for path in aws_profile.write(profile, access, os.environ):
            print(f"wrote profile {profile} to {path}", file=sys.stderr)
        print(f"use it with: aws --profile {profile} ecr describe-repositories", file=sys.stderr)
        return
    lines = environment.set_lines(environment.variables(access), chosen)
    lines += environment.unset_lines(environment.MISLEADING, chosen)
    print("\n".join(lines))


async def _find_key(settings: Settings, account_id: str) -> AccessKey:
    async with composed(settings) as deployment:
        found = await deployment.database.read(lambda db: administrator_key(db, deployment.keyring, account_id))
    if found is None:
        raise CommandFailed(
            f"account {account_id} has no administrator's key here; make the account with: "
            f"openecr account create {account_id} --data-dir {settings.data_dir}"
        )
    return found


def _asking_shell() -> str:
    """The shell that runs this command: its process where that can be seen, not the user's login shell."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        name = Path(os.environ.get("SHELL", "")).name
    return {"fish": "fish", "pwsh": "powershell"}.get(name, "bash")


def _warn_of_old_aws(url: str) -> None:
    """Say it where the AWS CLI on the path would ignore the endpoints and talk to AWS."""
    aws = shutil.which("aws")
    if aws is None:
        return
    try:
        told = subprocess.run([aws, "--version"], capture_output=True, text=True, timeout=15, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return
    found = _AWS_VERSION.search(told.stdout + told.stderr)
    if found is not None and int(found[2]) < _READS_ENDPOINTS.get(int(found[1]), 0):
        print(
            f"openecr: {aws} is AWS CLI {found[1]}.{found[2]}, too old to read AWS_ENDPOINT_URL_ECR "
            f"(1.29 and 2.13 do): give every call --endpoint-url {url}, or install a newer one",
            file=sys.stderr,
        )
