"""What a VPC is here: source networks that were declared to be one, and what its owner made in it (decision 0019).

The words are EC2's: subnets, security groups, route tables, endpoints. A VPC *counts* once its networks are the
operator's word: requests from them are then decided by what is in it.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Self

import orjson

Cidr = IPv4Network | IPv6Network

INTERFACE, GATEWAY = "Interface", "Gateway"
ENDPOINT_SERVICES = {
    "ecr.api": INTERFACE,
    "ecr.dkr": INTERFACE,
    "ec2": INTERFACE,
    "kms": INTERFACE,
    "s3": GATEWAY,
    "sts": INTERFACE,
}
"""What endpoints lead to, and their type; ``s3`` is the layers plane."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An ingress rule of a security group: whom it lets in, on which ports."""

    rule_id: str
    protocol: str
    """``tcp``, ``udp``, ``icmp``, ``-1`` for all, or a number."""
    from_port: int
    to_port: int
    cidr: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """Who may speak to the endpoints that have it."""

    group_id: str
    name: str
    description: str
    rules: tuple[Rule, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A part of the VPC's networks, with the route table that its sources follow."""

    subnet_id: str
    cidr: str
    zone: str
    route_table_id: str | None = None
    """None where it follows the main one."""
    association_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Where gateway endpoints put their routes."""

    route_table_id: str
    main_association_id: str | None = None
    """Set on the table that subnets without one of their own follow."""
    client_token: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A way from the VPC to one service."""

    endpoint_id: str
    service: str
    """As in ``ENDPOINT_SERVICES``."""
    created_us: int
    policy: str | None = None
    """None for the one that allows everything."""
    private_dns: bool = False
    subnet_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    route_table_ids: tuple[str, ...] = ()
    client_token: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``Interface`` or ``Gateway``."""
        return ENDPOINT_SERVICES[self.service]


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC and all that is in it."""

    vpc_id: str
    account_id: str
    region: str
    cidrs: tuple[str, ...]
    counts: bool
    """Whether the operator stands for its networks; one that does not count decides nothing."""
    listeners: tuple[str, ...] = ()
    """Addresses that it is reached at: its networks mean it only there. Without any, they mean it everywhere."""
    public_access: bool = True
    """Whether its sources reach the public side, as through an internet or NAT gateway."""
    subnets: tuple[Subnet, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def networks(self) -> list[Cidr]:
        """Its networks, parsed."""
        return [ip_network(cidr) for cidr in self.cidrs]

    @property
    def main_table(self) -> RouteTable:
        """The route table of subnets that have none of their own."""
        return next(table for table in self.route_tables if table.main_association_id is not None)

    def table_id_of(self, subnet: Subnet | None) -> str:
        """The route table that a subnet's sources follow; those in no subnet follow the main one."""
        own = None if subnet is None else subnet.route_table_id
        return own if own is not None else self.main_table.route_table_id

    @property
    def decisive(self) -> tuple[object, ...]:
        """What requests are decided by: while it is the same, servers may go on with what they know."""
        if not self.counts:
            return ()
        network = (self.cidrs, self.listeners, self.public_access)
        inside = (self.subnets, self.groups, self.route_tables, self.endpoints) if self.endpoints else ()
        return (*network, *inside)

    def dump(self) -> str:
        """Its document."""
        return orjson.dumps(self).decode()

    @classmethod
    def load(cls, document: str) -> Self:
        """The VPC of a document."""
        read: dict[str, Any] = orjson.loads(document)
        read["cidrs"], read["listeners"] = tuple(read["cidrs"]), tuple(read["listeners"])
        read["subnets"] = tuple(Subnet(**item) for item in read["subnets"])
        read["groups"] = tuple(
            SecurityGroup(**item | {"rules": tuple(Rule(**rule) for rule in item["rules"])}) for item in read["groups"]
        )
        read["route_tables"] = tuple(RouteTable(**item) for item in read["route_tables"])
        read["endpoints"] = tuple(Endpoint(**{**item, **_tuples(item)}) for item in read["endpoints"])
        return cls(**read)


def _tuples(item: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(item[name]) for name in ("subnet_ids", "group_ids", "route_table_ids")}


def new_id(prefix: str) -> str:
    """An id that nothing has: ``vpce-`` and 17 hexadecimal digits, as EC2's."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def new_vpc(vpc_id: str, account_id: str, region: str, cidrs: Iterable[str], *, counts: bool) -> Vpc:
    """A VPC with what every VPC has: a main route table, and a default group that admits the VPC's own networks.

    EC2's default group admits what is in the same group; sources are known by their addresses alone here, so their
    networks stand in its place.
    """
    cidrs = tuple(cidrs)
    rules = tuple(Rule(new_id("sgr"), "-1", -1, -1, cidr) for cidr in cidrs)
    return Vpc(
        vpc_id,
        account_id,
        region,
        cidrs,
        counts,
        groups=(SecurityGroup(new_id("sg"), "default", "default VPC security group", rules),),
        route_tables=(RouteTable(new_id("rtb"), new_id("rtbassoc")),),
    )


def clash(one: Vpc, other: Vpc) -> str | None:
    """A network of the first that means the other VPC too, so that neither could be told from it; None where none."""
    if one.vpc_id == other.vpc_id or not (one.counts and other.counts):
        return None
    if (one.listeners or other.listeners) and not set(one.listeners) & set(other.listeners):
        return None
    for mine in one.networks:
        for theirs in other.networks:
            if mine.version == theirs.version and mine.overlaps(theirs):
                return str(mine)
    return None
