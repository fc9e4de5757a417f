"""The operator's word on VPCs: which networks are one, under which ids, and whether it has a way out.

What ``openecr vpc declare`` does, in one transaction; declaring again adds what is new and changes what is given.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from openecr.access.vpcs import Rule, SecurityGroup, Subnet, Vpc, new_id, new_vpc
from openecr.db import accounts, vpcs
from openecr.db.connection import Connection
from openecr.errors import RegistryError
from openecr.names import RegistryName
from openecr.services.ec2 import owned
from openecr.services.ec2.networks import add_subnet
from openecr.services.ec2.security_groups import add_group

_IDS = {kind: re.compile(rf"{kind}-[0-9a-f]{{8}}(?:[0-9a-f]{{9}})?") for kind in ("vpc", "subnet", "sg")}


class DeclarationRefused(Exception):
    """What is declared cannot be; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the operator says of one VPC."""

    vpc_id: str
    cidrs: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    """``subnet-11112222=10.0.1.0/24``."""
    groups: tuple[str, ...] = ()
    """``sg-55556666``, which admits the VPC on 443, or ``sg-55556666=10.0.1.0/24``, which admits that."""
    public_access: bool | None = None


def declare(db: Connection, owner: RegistryName, told: Declaration, now_us: int) -> Vpc:
    """Store what is told, for every server to decide by.

    Raises:
        DeclarationRefused
    """
    vpcs.lock(db)
    _require_id("vpc", told.vpc_id)
    if accounts.find(db, owner.account_id) is None:
        raise DeclarationRefused(f"there is no account {owner.account_id}; make it with: openecr account create")
    row = vpcs.find(db, told.vpc_id)
    if row is not None and (row.account_id, row.region) != (owner.account_id, owner.region):
        raise DeclarationRefused(
            f"{told.vpc_id} is a VPC of account {row.account_id} in {row.region}; give --account and --region"
        )
    cidrs = tuple(str(_network(text)) for text in told.cidrs)
    if row is None and not cidrs:
        raise DeclarationRefused(f"there is no {told.vpc_id} yet; say which networks it has with --cidr")
    there = (
        new_vpc(told.vpc_id, owner.account_id, owner.region, cidrs, counts=True)
        if row is None
        else Vpc.load(row.document)
    )
    try:
        vpc = _with_parts(_with_networks(there, cidrs, told), told)
        if row is None:
            owned.insert(db, vpc, now_us)
        else:
            owned.require_apart(db, vpc)
            owned.put(db, vpc)
    except RegistryError as refused:
        raise DeclarationRefused(
            f"{told.vpc_id} cannot be so: {refused.message.rstrip('.')}; change what is given"
        ) from (refused)
    return vpc


def _with_networks(vpc: Vpc, cidrs: tuple[str, ...], told: Declaration) -> Vpc:
    added = tuple(Rule(new_id("sgr"), "-1", -1, -1, cidr) for cidr in owned.ids(cidrs) if cidr not in vpc.cidrs)
    groups = tuple(
        replace(group, rules=(*group.rules, *added)) if group.name == "default" else group for group in vpc.groups
    )
    return replace(
        vpc,
        groups=groups,
        counts=True,
        cidrs=owned.ids((*vpc.cidrs, *cidrs)),
        listeners=owned.ids((*vpc.listeners, *(_address(text) for text in told.listeners))),
        public_access=vpc.public_access if told.public_access is None else told.public_access,
    )


def _with_parts(vpc: Vpc, told: Declaration) -> Vpc:
    for text in told.subnets:
        subnet_id, equals, cidr = text.partition("=")
        _require_id("subnet", subnet_id)
        if not equals:
            raise DeclarationRefused(f"--subnet {text} has no network; give one like {subnet_id}=10.0.1.0/24")
        subnet = Subnet(subnet_id, str(_network(cidr)), f"{vpc.region}a")
        known = next((item for item in vpc.subnets if item.subnet_id == subnet_id), None)
        if known is None:
            vpc = add_subnet(vpc, subnet)
        elif known.cidr != subnet.cidr:
            raise DeclarationRefused(f"{subnet_id} is {known.cidr} already; delete it first, or give another id")
    for text in told.groups:
        group_id, _, cidr = text.partition("=")
        _require_id("sg", group_id)
        if all(item.group_id != group_id for item in vpc.groups):
            admitted = (str(_network(cidr)),) if cidr else vpc.cidrs
            vpc = add_group(vpc, SecurityGroup(group_id, f"declared-{group_id}", "declared", _admitting(admitted)))
        elif cidr:
            raise DeclarationRefused(
                f"{group_id} is there already; change it with: aws ec2 authorize-security-group-ingress"
            )
    return vpc


def _admitting(networks: Iterable[str]) -> tuple[Rule, ...]:
    return tuple(Rule(new_id("sgr"), "tcp", 443, 443, cidr) for cidr in networks)


def _require_id(kind: str, text: str) -> None:
    if _IDS[kind].fullmatch(text) is None:
        raise DeclarationRefused(f"'{text}' is no id like {kind}-11112222; give 8 or 17 hexadecimal digits")


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise DeclarationRefused(f"{text} is no network: {error}; give one like 10.0.0.0/16") from None


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise DeclarationRefused(f"--listener {text} is no address; give one that a server listens on") from None
