"""``openecr pull-gate``: which images a repository refuses to serve, for what their scans found."""

import asyncio
from functools import partial
from typing import Annotated

import orjson
import typer

from openecr.cli import options, tables
from openecr.cli.deployments import registry_of
from openecr.composition import composed
from openecr.db import registries, scans
from openecr.db.connection import Connection
from openecr.names import RegistryName
from openecr.scan.advisories import Severity
from openecr.services.ecr.scanning import pull_gates
from openecr.services.ecr.scanning.pull_gates import Gate
from openecr.settings import Settings

app = typer.Typer(help="Refuse pulls of images for what their scans found.", no_args_is_help=True)
Where = Annotated[
    str | None, typer.Argument(metavar="REPO", help="A repository; without it, every other of the registry.")
]
_MOST = 100_000


@app.command("set")
def set_gate(
    repository: Where = None,
    severity: Annotated[
        Severity | None,
        typer.Option(
            metavar="CRITICAL|HIGH|MEDIUM|LOW",
            parser=lambda text: _severity(text),
            help="Refuse images with findings of this severity or a worse one.",
        ),
    ] = None,
    unscanned: Annotated[bool, typer.Option(help="Refuse images whose scan is missing, pending or failed.")] = True,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Set the gate of a repository, or of a registry's repositories that have none of their own; in force at once."""
    gate = Gate(None if severity is None else severity.name, unscanned)
    if not str(gate):
        raise typer.BadParameter("this gate refuses nothing; give --severity, or leave --no-unscanned out")
    settings, registry = registry_of(config, data_dir, account, region)
    asyncio.run(_put(settings, registry, repository, gate))
    print(f"{repository or f'every repository of {registry} without a gate of its own'} refuses {gate}")


@app.command()
def unset(
    repository: Where = None,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Lift a gate."""
    settings, registry = registry_of(config, data_dir, account, region)
    asyncio.run(_put(settings, registry, repository, None))
    print(f"the pull gate of {repository or registry} is lifted")


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show the gates of a registry."""
    settings, registry = registry_of(config, data_dir, account, region)

    async def read() -> list[tuple[str, Gate]]:
        async with composed(settings) as deployment:
            return await deployment.database.read(partial(_gates, registry=registry))

    found = asyncio.run(read())
    if as_json:
        told = [{"of": of, "severity": gate.severity, "unscanned": gate.unscanned} for of, gate in found]
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("gate of", "refuses")
    for of, gate in found:
        table.add_row(of, str(gate))
    tables.show(table)


def _severity(text: str) -> Severity:
    word = text.upper()
    if word not in ("CRITICAL", "HIGH", "MEDIUM", "LOW"):
        raise typer.BadParameter("a severity is CRITICAL, HIGH, MEDIUM or LOW")
    return Severity[word]


def _gates(db: Connection, registry: RegistryName) -> list[tuple[str, Gate]]:
    registry_key = registries.find_key(db, registry)
    if registry_key is None:
        return []
    whole = scans.configuration(db, registry_key).pull_gate
    found = [] if whole is None else [(f"{registry} (every other repository)", Gate.read(whole))]
    return found + [(name, Gate.read(text)) for name, text in scans.gates(db, registry_key, "", _MOST)]


async def _put(settings: Settings, registry: RegistryName, repository: str | None, gate: Gate | None) -> None:
    async with composed(settings) as deployment:
        if repository is None:
            await pull_gates.put_for_registry(deployment.database, registry, gate, deployment.now_us())
            return

        def put(db: Connection) -> bool:
            registry_key = registries.find_key(db, registry)
            return registry_key is not None and pull_gates.put(db, registry, registry_key, repository, gate)

        if not await deployment.database.write(put):
            raise options.CommandFailed(f"there is no repository {repository} in registry {registry}")
