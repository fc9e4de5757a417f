"""``openecr usage``: what is stored, for whom, and what deleting would give back."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from openecr import data_dir as directories
from openecr.cli import options, tables
from openecr.composition import composed
from openecr.names import RegistryName
from openecr.services.ecr import undelete
from openecr.services.ecr import usage as reports
from openecr.services.ecr.usage import Gain, Line, RegistryUsage
from openecr.settings import Settings

_COLUMNS = (
    "images",
    "as if unshared",
    "layers",
    "unique",
    "archived",
    "trash",
    "waiting",
    "saved",
    "stored",
    "USD a month",
)


def usage(
    if_deleted: Annotated[
        str | None,
        typer.Option("--if-deleted", metavar="REPO[:tag|@digest]", help="Say what deleting this would give back."),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="With --if-deleted, the registry's account.  [default: the server's]")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="With --if-deleted, the registry's region.  [default: the server's]")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Price of a GB (2^30 bytes) for a month.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say what accounts, regions and repositories store, to the byte; the server may run meanwhile."""
    settings = options.settings(config, data_dir=data_dir, account_id=account, region=region)
    directories.require(settings)
    paid = settings.gb_month_price if price is None else price
    if if_deleted is not None:
        try:
            gain = asyncio.run(_gain(settings, undelete.parse_wanted(if_deleted)))
        except (undelete.UndeleteRefused, reports.NothingSuch) as refused:
            raise options.CommandFailed(str(refused)) from None
        _tell_gain(settings, if_deleted, gain, as_json=as_json)
        return
    found = asyncio.run(_report(settings))
    if as_json:
        print(orjson.dumps(_document(found, paid), option=orjson.OPT_INDENT_2).decode())
    else:
        tables.show(_table(found, paid))


async def _report(settings: Settings) -> list[RegistryUsage]:
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} images and layers"))
    async with composed(settings) as deployment:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=None)
            return await reports.report(deployment.database, lambda done: progress.advance(task, done))


async def _gain(settings: Settings, wanted: undelete.Wanted) -> Gain:
    async with composed(settings) as deployment:
        return await reports.gain(deployment.database, RegistryName(settings.account_id, settings.region), wanted)


def _tell_gain(settings: Settings, wanted: str, gain: Gain, *, as_json: bool) -> None:
    if as_json:
        told = {"ifDeleted": wanted, "gainedBytes": gain.size_bytes, "remark": gain.remark}
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    days = settings.trash_days
    print(f"deleting {wanted} would give back {gain.size_bytes} bytes, after {days} days in the trash")
    if gain.remark:
        print(gain.remark)


def _table(found: list[RegistryUsage], price: float) -> Table:
    """Bytes are written out, so that they can be added up."""
    table = tables.table("account, region, repository", *_COLUMNS, numbers=True)
    total = Line()
    for account_id, registries in groupby(found, key=lambda registry: registry.account_id):
        account = Line()
        for registry in registries:
            for name, line in _lines(registry):
                table.add_row(f"  {name}", *_cells(line, price))
            table.add_row(f" {account_id}.{registry.region}", *_cells(registry.total(), price), style="bold")
            account.add(registry.total())
        table.add_row(account_id, *_cells(account, price), style="bold", end_section=True)
        total.add(account)
    table.add_row("all", *_cells(total, price), style="bold")
    return table


def _lines(registry: RegistryUsage) -> Iterator[tuple[str, Line]]:
    for name, line in registry.repositories.items():
        plain, deleted, _ = name.partition("#")
        yield f"{plain} (deleted)" if deleted else name, line
    yield "(shared by several)", registry.shared
    yield "(in no image)", registry.waiting


def _cells(line: Line, price: float) -> list[str]:
    sizes = (
        line.images,
        line.image_bytes,
        line.layer_bytes,
        line.unique_bytes,
        line.archived_bytes,
        line.trash_bytes,
        line.waiting_bytes,
        line.saved_bytes,
        line.stored_bytes,
    )
    return [f"{size:,}" for size in sizes] + [f"{line.monthly_cost(price):.2f}"]


def _document(found: list[RegistryUsage], price: float) -> dict[str, Any]:
    total = Line()
    accounts = []
    for account_id, registries in groupby(found, key=lambda registry: registry.account_id):
        account = Line()
        regions = []
        for registry in registries:
            account.add(registry.total())
            regions.append(
                {
                    "region": registry.region,
                    "total": _members(registry.total(), price),
                    "shared": _members(registry.shared, price),
                    "inNoImage": _members(registry.waiting, price),
                    "repositories": [
                        {"name": name.partition("#")[0], "deleted": "#" in name} | _members(line, price)
                        for name, line in registry.repositories.items()
                    ],
                }
            )
        accounts.append({"account": account_id, "total": _members(account, price), "regions": regions})
        total.add(account)
    return {"gbMonthPrice": price, "gbBytes": reports.GB_BYTES, "total": _members(total, price), "accounts": accounts}


def _members(line: Line, price: float) -> dict[str, Any]:
    return {
        "images": line.images,
        "imageBytes": line.image_bytes,
        "layerBytes": line.layer_bytes,
        "uniqueBytes": line.unique_bytes,
        "archivedBytes": line.archived_bytes,
        "trashBytes": line.trash_bytes,
        "waitingBytes": line.waiting_bytes,
        "savedBytes": line.saved_bytes,
        "storedBytes": line.stored_bytes,
        "monthlyCostUsd": round(float(line.monthly_cost(price)), 6),
    }
