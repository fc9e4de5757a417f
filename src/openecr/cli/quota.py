"""``openecr quota``: storage quotas of accounts, registries and repositories."""

import asyncio
from typing import Annotated

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, tables
from openecr.composition import composed
from openecr.db import quotas
from openecr.db.connection import Connection
from openecr.db.quotas import Quota
from openecr.services.ecr import quotas as rules
from openecr.settings import Settings, SettingsError

app = typer.Typer(help="Set, show and lift storage quotas.", no_args_is_help=True)
Scope = Annotated[str, typer.Argument(metavar="ACCOUNT[.REGION][/REPO]", help="What the quota is for.")]


@app.command("set")
def set_quota(
    scope: Scope,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Bytes, or a number with KB to TB or KiB to TiB.")],
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Set a quota, or change it; a push that would exceed it is refused from now on."""
    settings = _settings(config, data_dir)
    quota, used_bytes = asyncio.run(_set(settings, _parse(scope, settings), _size(size)))
    print(f"the storage quota of {quota} is {quota.limit_bytes} bytes; {used_bytes} are used")


@app.command()
def show(
    scope: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT[.REGION][/REPO]", help="One quota.  [default: all]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show quotas and what is used of them."""
    settings = _settings(config, data_dir)
    found = asyncio.run(_show(settings, None if scope is None else _parse(scope, settings)))
    if scope is not None and not found:
        raise options.CommandFailed(f"there is no storage quota of {scope}; set one with: openecr quota set")
    if as_json:
        told = [
            {"scope": str(quota), "limitBytes": quota.limit_bytes, "usedBytes": used_bytes}
            for quota, used_bytes in found
        ]
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("quota of", "limit bytes", "used bytes", "used", numbers=True)
    for quota, used_bytes in found:
        share = f"{100 * used_bytes / quota.limit_bytes:.1f} %" if quota.limit_bytes else ""
        table.add_row(str(quota), f"{quota.limit_bytes:,}", f"{used_bytes:,}", share)
    tables.show(table)


@app.command()
def unset(scope: Scope, data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """Lift a quota."""
    settings = _settings(config, data_dir)
    account_id, region, name = _parse(scope, settings)

    async def lift() -> bool:
        async with composed(settings) as deployment:
            return await deployment.database.write(lambda db: quotas.delete(db, account_id, region, name))

    if not asyncio.run(lift()):
        raise options.CommandFailed(f"there is no storage quota of {scope}; see: openecr quota show")
    print(f"the storage quota of {scope} is lifted")


async def _set(settings: Settings, scope: tuple[str, str, str], limit_bytes: int) -> tuple[Quota, int]:
    async with composed(settings) as deployment:
        database = deployment.database

        def put(db: Connection) -> Quota:
            quotas.put(db, *scope, limit_bytes)
            return _found(db, scope)

        await rules.measure(database, await database.write(put))
        return await database.read(lambda db: (_found(db, scope), rules.used_bytes(db, _found(db, scope))))


async def _show(settings: Settings, scope: tuple[str, str, str] | None) -> list[tuple[Quota, int]]:
    def read(db: Connection) -> list[tuple[Quota, int]]:
        listed = quotas.list_after(db, ("", "", ""), 10_000) if scope is None else [quotas.find(db, *scope)]
        return [(quota, rules.used_bytes(db, quota)) for quota in listed if quota is not None]

    async with composed(settings) as deployment:
        return await deployment.database.read(read)


def _found(db: Connection, scope: tuple[str, str, str]) -> Quota:
    found = quotas.find(db, *scope)
    if found is None:
        raise options.CommandFailed("the quota was lifted a moment ago by someone else; set it again")
    return found


def _settings(config: options.ConfigFile, data_dir: options.DataDir) -> Settings:
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    return settings


def _parse(scope: str, settings: Settings) -> tuple[str, str, str]:
    try:
        return rules.parse_scope(scope, settings.region)
    except rules.QuotaRefused as refused:
        raise SettingsError(str(refused)) from None


def _size(text: str) -> int:
    try:
        return rules.parse_size(text)
    except rules.QuotaRefused as refused:
        raise SettingsError(str(refused)) from None
