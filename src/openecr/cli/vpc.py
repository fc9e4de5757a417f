"""``openecr vpc``: which networks are VPCs, for whoever runs the deployment."""

import asyncio
import time
from typing import Annotated, Any

import orjson
import typer

from openecr import data_dir as directories
from openecr.access.networks import service_name
from openecr.access.vpcs import SecurityGroup, Vpc
from openecr.cli import options, tables
from openecr.composition import composed
from openecr.db import vpcs
from openecr.db.connection import Connection
from openecr.names import RegistryName
from openecr.services.ec2 import declaring, owned
from openecr.services.ec2.declaring import Declaration, DeclarationRefused
from openecr.settings import Settings

app = typer.Typer(
    help="Declare, show and forget VPCs: source networks with endpoints of their own.", no_args_is_help=True
)
VpcId = Annotated[str, typer.Argument(metavar="VPC", help="The VPC's id: vpc-12345678.")]


@app.command()
def declare(
    vpc_id: VpcId,
    cidr: Annotated[list[str] | None, typer.Option(help="A network of its sources: 10.0.0.0/16; repeatable.")] = None,
    listener: Annotated[
        list[str] | None,
        typer.Option(help="An address that it reaches the server at; its networks mean it only there; repeatable."),
    ] = None,
    subnet: Annotated[list[str] | None, typer.Option(help="subnet-11112222=10.0.1.0/24; repeatable.")] = None,
    security_group: Annotated[
        list[str] | None,
        typer.Option(help="sg-55556666, which admits the VPC on 443, or sg-55556666=10.0.1.0/24; repeatable."),
    ] = None,
    public_access: Annotated[
        str | None, typer.Option(metavar="yes|no", help="Whether it has a way out to the public side.  [default: yes]")
    ] = None,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say that networks are a VPC, with given ids, or that one made over the API counts; again to add or change."""
    if public_access not in (None, "yes", "no"):
        raise typer.BadParameter("it is yes or no", param_hint="--public-access")
    settings = _settings(config, data_dir)
    told = Declaration(
        vpc_id,
        tuple(cidr or ()),
        tuple(listener or ()),
        tuple(subnet or ()),
        tuple(security_group or ()),
        None if public_access is None else public_access == "yes",
    )
    owner = RegistryName(account or settings.account_id, region or settings.region)
    now_us = time.time_ns() // 1000
    try:
        made = asyncio.run(_write(settings, lambda db: declaring.declare(db, owner, told, now_us)))
    except DeclarationRefused as refused:
        raise options.CommandFailed(str(refused)) from None
    _show(made)


@app.command("list")
def list_vpcs(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """List the VPCs of every account and region."""
    settings = _settings(config, data_dir)
    found = [Vpc.load(row.document) for row in asyncio.run(_read(settings))]
    if as_json:
        print(orjson.dumps([_told(vpc) for vpc in found], option=orjson.OPT_INDENT_2).decode())
        return
    table = tables.table("VPC", "account", "region", "networks", "counts", "public access", "endpoints")
    for vpc in found:
        endpoints = ", ".join(sorted({endpoint.service for endpoint in vpc.endpoints})) or "none"
        table.add_row(
            vpc.vpc_id,
            vpc.account_id,
            vpc.region,
            ", ".join(vpc.cidrs),
            "yes" if vpc.counts else "no",
            "yes" if vpc.public_access else "no",
            endpoints,
        )
    tables.show(table)


@app.command()
def show(
    vpc_id: VpcId,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Show what is in a VPC."""
    settings = _settings(config, data_dir)
    found = next((row for row in asyncio.run(_read(settings)) if row.vpc_id == vpc_id), None)
    if found is None:
        raise options.CommandFailed(f"there is no VPC {vpc_id}; see: openecr vpc list")
    vpc = Vpc.load(found.document)
    if as_json:
        print(orjson.dumps(_told(vpc), option=orjson.OPT_INDENT_2).decode())
    else:
        _show(vpc)


@app.command()
def forget(vpc_id: VpcId, data_dir: options.DataDir = None, config: options.ConfigFile = None) -> None:
    """Forget a VPC with all that is in it: its sources are on the public side from now on."""
    settings = _settings(config, data_dir)

    def remove(db: Connection) -> bool:
        vpcs.lock(db)
        if vpcs.find(db, vpc_id) is None:
            return False
        owned.remove(db, vpc_id)
        return True

    if not asyncio.run(_write(settings, remove)):
        raise options.CommandFailed(f"there is no VPC {vpc_id}; see: openecr vpc list")
    print(f"{vpc_id} is forgotten; its sources are on the public side now")


async def _write(settings: Settings, change: Any) -> Any:
    async with composed(settings) as deployment:
        return await deployment.database.write(change)


async def _read(settings: Settings) -> list[vpcs.VpcRow]:
    async with composed(settings) as deployment:
        return await deployment.database.read(vpcs.every)


def _settings(config: options.ConfigFile, data_dir: options.DataDir) -> Settings:
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    return settings


def _told(vpc: Vpc) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(vpc.dump())
    return told


def _show(vpc: Vpc) -> None:
    lines = [
        ("VPC", f"{vpc.vpc_id} of account {vpc.account_id} in {vpc.region}"),
        ("networks", ", ".join(vpc.cidrs)),
        ("reached at", ", ".join(vpc.listeners) or "every address of the servers"),
        ("counts", "yes" if vpc.counts else f"no; make it so with: openecr vpc declare {vpc.vpc_id}"),
        ("public access", "yes" if vpc.public_access else "no"),
    ]
    lines += [("subnet", f"{item.subnet_id}  {item.cidr}  {vpc.table_id_of(item)}") for item in vpc.subnets]
    lines += [("security group", _told_group(group)) for group in vpc.groups]
    lines += [
        ("route table", table.route_table_id + ("  main" if table.main_association_id else ""))
        for table in vpc.route_tables
    ]
    for endpoint in vpc.endpoints:
        name = service_name(vpc.region, endpoint.service)
        lines.append(("endpoint", f"{endpoint.endpoint_id}  {name}" + ("  own policy" if endpoint.policy else "")))
    for name, text in lines:
        print(f"{name:<16}{text}")


def _told_group(group: SecurityGroup) -> str:
    admitted = [f"{rule.cidr} {_ports(rule.protocol, rule.from_port, rule.to_port)}" for rule in group.rules]
    return f"{group.group_id}  {group.name}  admits {', '.join(admitted) or 'nobody'}"


def _ports(protocol: str, first: int, last: int) -> str:
    if protocol == "-1":
        return "on everything"
    return f"on {protocol} {first}" if first == last else f"on {protocol} {first}-{last}"
