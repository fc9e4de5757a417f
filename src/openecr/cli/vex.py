"""``openecr vex``: statements that a vulnerability does no harm, and which images they count on."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer

from openecr.cli import options, tables
from openecr.cli.deployments import registry_of
from openecr.cli.options import CommandFailed
from openecr.composition import composed
from openecr.db.connection import Connection
from openecr.db.suppressions import VexRule
from openecr.names import RegistryName
from openecr.services.ecr.scanning import vex_rules
from openecr.services.ecr.scanning.vex_documents import MOST_BYTES
from openecr.services.ecr.scanning.vex_rules import RuleRefused
from openecr.settings import Settings

app = typer.Typer(help="Suppress findings by VEX documents (OpenVEX, CycloneDX).", no_args_is_help=True)
T = TypeVar("T")
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the rule is called; one of this name is replaced.")]
Pattern = Annotated[
    str, typer.Option("--repository", metavar="PATTERN", help="Repositories that it is for: a name, * for any part.")
]


@app.command()
def add(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An OpenVEX or CycloneDX document, as JSON.")],
    repository: Pattern,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Let a document's statements suppress findings of the images of some repositories."""
    settings, registry = registry_of(config, data_dir, account, region)
    with file.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    try:
        document, statements, suppressing = vex_rules.read(content)
    except RuleRefused as refused:
        raise CommandFailed(f"{file}: {refused}") from None
    _put(settings, registry, name, repository, document)
    print(
        f"{name} counts on images of {repository}: {statements} statements, of which {suppressing} suppress; "
        "images that were scanned are counted again"
    )


@app.command()
def trust(
    name: Name,
    repository: Pattern,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Let documents that are attached to images suppress their findings, in some repositories: whoever may push there
    may silence gates."""
    settings, registry = registry_of(config, data_dir, account, region)
    _put(settings, registry, name, repository, "")
    print(f"{name}: documents that are attached to images of {repository} count, where no other rule speaks")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a rule of the registry.")],
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Take a rule away; what it suppressed counts again."""
    settings, registry = registry_of(config, data_dir, account, region)
    if not _run(settings, partial(vex_rules.remove, registry=registry, name=name), writes=True):
        raise CommandFailed(f"there is no VEX rule {name} in registry {registry}; see: openecr vex list")
    print(f"{name} is removed; images that were scanned are counted again")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show the rules of a registry."""
    settings, registry = registry_of(config, data_dir, account, region)
    found: Sequence[VexRule] = _run(settings, partial(vex_rules.listed, registry=registry), writes=False)
    if as_json:
        told = [
            {
                "name": rule.name,
                "repositories": rule.repository_pattern,
                "trustsAttached": rule.trusts_attached,
                "addedAt": _instant(rule.added_us),
            }
            for rule in found
        ]
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("rule", "repositories", "counts", "added")
    for rule in found:
        counts = "what is attached to images" if rule.trusts_attached else "its document"
        table.add_row(rule.name, rule.repository_pattern, counts, _instant(rule.added_us))
    tables.show(table)


def _put(settings: Settings, registry: RegistryName, name: str, pattern: str, document: str) -> None:
    def put(db: Connection) -> None:
        vex_rules.add(db, registry, name, pattern, document, db.clock_us())

    try:
        _run(settings, put, writes=True)
    except RuleRefused as refused:
        raise CommandFailed(str(refused)) from None


def _run(settings: Settings, work: Callable[[Connection], T], *, writes: bool) -> T:
    async def composed_run() -> T:
        async with composed(settings) as deployment:
            database = deployment.database
            return await (database.write(work) if writes else database.read(work))

    return asyncio.run(composed_run())


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
