"""``openecr sbom``: what an image, a layout or a folder holds, and which repositories attach that to their images."""

import asyncio
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from openecr import data_dir as directories
from openecr.cli import options
from openecr.cli.options import CommandFailed
from openecr.cli.scan_reading import Development, Reading, What, told_failures, vulnerability_index
from openecr.composition import composed
from openecr.db import repositories
from openecr.db.connection import Connection
from openecr.names import RegistryName
from openecr.scan.sbom.contents import ImageSubject, ReportedFinding
from openecr.scan.sbom.cyclonedx import cyclonedx
from openecr.scan.sbom.spdx import spdx
from openecr.scan.vex import Statement, Statements, Suppression
from openecr.scan_targets.judging import Report, judge
from openecr.scan_targets.target import Target
from openecr.services.ecr.scanning import sbom_requests
from openecr.services.ecr.scanning.sbom_requests import CYCLONEDX, FORMATS


class _ShowsByDefault(typer.core.TyperGroup):
    """``openecr sbom IMAGE`` means ``openecr sbom show IMAGE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front of what is none."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowsByDefault,
    no_args_is_help=True,
    help="Software bills of materials: openecr sbom IMAGE prints one.",
)


def _format(text: str) -> str:
    if text.lower() not in FORMATS:
        raise typer.BadParameter(f"a format is {' or '.join(FORMATS)}")
    return text.lower()


Format = Annotated[
    str, typer.Option("--format", metavar="|".join(FORMATS), parser=_format, help="CycloneDX 1.6 or SPDX 2.3, as JSON.")
]


@app.command()
def show(
    target: What,
    format_: Format = CYCLONEDX,
    findings: Annotated[
        bool, typer.Option("--findings", help="With the vulnerabilities (CycloneDX), and why which are suppressed.")
    ] = False,
    vulndb: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Vulnerability data for --findings.  [default: the deployment's]"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here.  [default: standard output]")
    ] = None,
    development: Development = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Print what an image, a layout or a folder holds; openecr sbom IMAGE for short. What a scan read is not read
    again."""
    if findings and format_ != CYCLONEDX:
        raise typer.BadParameter("SPDX 2.3 has no place for findings; leave out --findings, or --format spdx")
    if vulndb is not None and not findings:
        raise typer.BadParameter("--vulndb is for --findings; give both")
    settings = options.settings(config, data_dir=data_dir)
    registry = RegistryName(account or settings.account_id, region or settings.region)
    reading = Reading(settings, registry, target, development)
    with told_failures():
        content = asyncio.run(_written(reading, format_, vulndb, findings=findings))
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content + b"\n")


async def _written(reading: Reading, kind: str, vulndb: Path | None, *, findings: bool) -> bytes:
    async with reading.deployment(needed=reading.is_stored or (findings and vulndb is None)) as deployment:
        found = await reading.targets(deployment)
        target = _only(found.targets)
        named = target.repository or target.name
        subject = ImageSubject(named, target.digest, target.layers, architecture=target.architecture)
        at_us = target.dated_us or time.time_ns() // 1000
        if kind != CYCLONEDX:
            return spdx(subject, target.inventory, at_us)
        if not findings:
            return cyclonedx(subject, target.inventory, at_us)
        async with vulnerability_index(deployment, vulndb) as index:
            report = await judge([target], index, Statements(()), now_us=at_us, too_old_days=0)
            if report.failure is not None:
                raise CommandFailed(f"its findings are not known: {report.failure}")
            return cyclonedx(subject, target.inventory, at_us, _reported(report))


def _only(targets: list[Target]) -> Target:
    """The one image of a target.

    Raises:
        CommandFailed: there are several.
    """
    if len(targets) > 1:
        named = ", ".join(f"{target.name} is {target.digest}" for target in targets[:10])
        raise CommandFailed(f"an SBOM is of one image, and these are {len(targets)}: {named}; give a digest")
    return targets[0]


def _reported(report: Report) -> list[ReportedFinding]:
    return [
        ReportedFinding(place.installed.package, item.finding, _suppression(item.suppressed_by))
        for item in report.findings
        for place in item.places
    ]


def _suppression(statement: Statement | None) -> Suppression | None:
    if statement is None:
        return None
    return Suppression(
        statement.status, statement.justification, statement.detail, statement.source, statement.stated_us
    )


@app.command()
def attach(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="In the server's registry.")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="|".join(FORMATS), parser=_format, help="Which SBOM is attached to scanned images."
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Attach none from now on; what is attached stays.")] = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Attach an SBOM to every image of a repository that is scanned, as an OCI referrer; to those that were, at
    once."""
    if (format_ is None) != off:
        raise typer.BadParameter("give --format cyclonedx, --format spdx, or --off")
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    registry = RegistryName(account or settings.account_id, region or settings.region)

    async def asked() -> bool:
        async with composed(settings) as deployment:
            return await deployment.database.write(partial(_ask, registry=registry, name=repository, kind=format_))

    if not asyncio.run(asked()):
        raise CommandFailed(f"there is no repository {repository} in registry {registry}")
    print(
        f"{repository} attaches no SBOM from now on"
        if format_ is None
        else f"{repository} attaches an SBOM ({format_}) to every image that is scanned"
    )


def _ask(db: Connection, registry: RegistryName, name: str, kind: str | None) -> bool:
    repository = repositories.find(db, registry, name)
    if repository is None:
        return False
    sbom_requests.ask(db, repository.key, kind)
    return True
