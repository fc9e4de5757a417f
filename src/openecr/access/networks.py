"""By which way a request came: through a VPC's endpoint, on the public side, or by no way that there is.

One pure function of (source address, listener, what is asked for) over the declared VPCs, on every plane alike. The
rules are AWS's (VPC user guide, "Access AWS services through PrivateLink", "Gateway endpoints"):

    source in no VPC that counts             public side
    an endpoint's own host name              that endpoint, or no answer
    interface endpoint with private DNS      through it, where a group of it admits the source on 443, else no answer
    gateway endpoint                         through it, where the route table of the source's subnet has its route
    none                                     public side where the VPC has public access, else no answer

A VPC's endpoints lead to its own region; what is asked of another goes the public way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from openecr.access.vpcs import GATEWAY, Cidr, Endpoint, Rule, SecurityGroup, Subnet, Vpc

Address = IPv4Address | IPv6Address
_HTTPS = 443
"""The port that security groups are asked about, whichever openecr listens on: what endpoints have on AWS."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is for, and where it came in."""

    source: str
    """The client's address, as trusted proxies told it."""
    listener: str
    """The address that the listener is bound to."""
    service: str
    """As in ``vpcs.ENDPOINT_SERVICES``; any other is only on the public side."""
    region: str
    endpoint_id: str | None = None
    """The endpoint that the host name names."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way that a request came; without an endpoint the public side."""

    vpc_id: str | None = None
    endpoint_id: str | None = None
    policy: str | None = None
    source: str | None = None
    """The client's address in the VPC."""
    in_vpc: bool = False
    """Whether the source is in a VPC, by whichever way it came."""


PUBLIC = Way()
_PUBLIC_FROM_VPC = Way(in_vpc=True)


@dataclass(frozen=True, slots=True)
class NoWay:
    """A request that could not have arrived on AWS, and why, with the remedy."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    vpc: Vpc
    networks: tuple[Cidr, ...]
    subnets: tuple[tuple[Cidr, Subnet], ...]
    admitted: dict[str, tuple[Cidr, ...]]
    """Security group → the networks that it admits on 443."""
    by_service: dict[str, tuple[Endpoint, ...]]

    @classmethod
    def of(cls, vpc: Vpc) -> "_Compiled":
        by_service: dict[str, tuple[Endpoint, ...]] = {}
        for endpoint in vpc.endpoints:
            by_service[endpoint.service] = (*by_service.get(endpoint.service, ()), endpoint)
        return cls(
            vpc,
            tuple(vpc.networks),
            tuple((ip_network(subnet.cidr), subnet) for subnet in vpc.subnets),
            {group.group_id: _admitted(group) for group in vpc.groups},
            by_service,
        )

    def subnet_of(self, source: Address) -> Subnet | None:
        return next((subnet for network, subnet in self.subnets if source in network), None)

    def admits(self, endpoint: Endpoint, source: Address) -> bool:
        return any(source in network for group in endpoint.group_ids for network in self.admitted.get(group, ()))


def _admitted(group: SecurityGroup) -> tuple[Cidr, ...]:
    return tuple(ip_network(rule.cidr) for rule in group.rules if covers_https(rule))


def covers_https(rule: Rule) -> bool:
    """Whether a rule is about TCP on 443."""
    if rule.protocol == "-1":
        return True
    return rule.protocol in ("tcp", "6") and rule.from_port <= _HTTPS <= rule.to_port


def parse_source(text: str) -> Address | None:
    """A client's address; IPv4 that a dual-stack socket shows as IPv6 is IPv4. None where it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


class Networks:
    """The VPCs that count, compiled."""

    def __init__(self, vpcs: Iterable[Vpc]) -> None:
        counting = [_Compiled.of(vpc) for vpc in vpcs if vpc.counts]
        # One that is known by its listener is meant before one that is meant everywhere.
        self._vpcs = sorted(counting, key=lambda compiled: not compiled.vpc.listeners)

    def way(self, asked: Asked) -> Way | NoWay:
        """How a request came."""
        if not self._vpcs:
            return PUBLIC if asked.endpoint_id is None else _unknown_endpoint(asked)
        source = parse_source(asked.source)
        inside = None if source is None else self._vpc_of(source, asked.listener)
        if source is None or inside is None:
            return PUBLIC if asked.endpoint_id is None else _unknown_endpoint(asked)
        if asked.endpoint_id is not None:
            return _through_named(inside, source, asked)
        endpoints = inside.by_service.get(asked.service, ()) if asked.region == inside.vpc.region else ()
        for endpoint in endpoints:
            if endpoint.kind == GATEWAY:
                if inside.vpc.table_id_of(inside.subnet_of(source)) in endpoint.route_table_ids:
                    return _through(inside, endpoint, source)
            elif endpoint.private_dns:
                return (
                    _through(inside, endpoint, source) if inside.admits(endpoint, source) else _shut(endpoint, source)
                )
        return _PUBLIC_FROM_VPC if inside.vpc.public_access else _no_way(inside, source, asked)

    def _vpc_of(self, source: Address, listener: str) -> _Compiled | None:
        for compiled in self._vpcs:
            if compiled.vpc.listeners and listener not in compiled.vpc.listeners:
                continue
            if any(source in network for network in compiled.networks):
                return compiled
        return None


def _through(inside: _Compiled, endpoint: Endpoint, source: Address) -> Way:
    return Way(inside.vpc.vpc_id, endpoint.endpoint_id, endpoint.policy, str(source), in_vpc=True)


def _through_named(inside: _Compiled, source: Address, asked: Asked) -> Way | NoWay:
    for endpoint in inside.vpc.endpoints:
        if endpoint.endpoint_id == asked.endpoint_id:
            if endpoint.service != asked.service or asked.region != inside.vpc.region:
                return NoWay(
                    f"the endpoint {endpoint.endpoint_id} leads to {service_name(inside.vpc.region, endpoint.service)} "
                    f"and not to {service_name(asked.region, asked.service)}; use the host name of one that does"
                )
            return _through(inside, endpoint, source) if inside.admits(endpoint, source) else _shut(endpoint, source)
    return _unknown_endpoint(asked)


def _unknown_endpoint(asked: Asked) -> NoWay:
    return NoWay(
        f"no VPC that {asked.source or 'the source'} is in has an endpoint {asked.endpoint_id}; "
        "use the plain host name, or create the endpoint in the source's VPC"
    )


def _shut(endpoint: Endpoint, source: Address) -> NoWay:
    return NoWay(
        f"no security group of the endpoint {endpoint.endpoint_id} ({', '.join(endpoint.group_ids) or 'it has none'}) "
        f"admits {source} on TCP 443; allow it with: aws ec2 authorize-security-group-ingress"
    )


def _no_way(inside: _Compiled, source: Address, asked: Asked) -> NoWay:
    vpc = inside.vpc
    wanted = service_name(asked.region, asked.service)
    if asked.region != vpc.region:
        return NoWay(
            f"{source} is in {vpc.vpc_id}, which has no public access, and endpoints lead to {vpc.region} only"
        )
    subnet = inside.subnet_of(source)
    place = f"{source} is in {vpc.vpc_id}" + (f" ({subnet.subnet_id})" if subnet is not None else "")
    if inside.by_service.get(asked.service) and asked.service == "s3":
        table = vpc.table_id_of(subnet)
        return NoWay(
            f"{place}, whose route table {table} has no route to the gateway endpoint of {wanted}; "
            f"add it with: aws ec2 modify-vpc-endpoint --add-route-table-ids {table}"
        )
    if inside.by_service.get(asked.service):
        return NoWay(
            f"{place}, whose endpoint for {wanted} has no private DNS name; use its own host name, or enable it"
        )
    return NoWay(f"{place}, which has no public access and no endpoint for {wanted}; create one in the VPC")


def service_name(region: str, service: str) -> str:
    """An endpoint service's whole name, as EC2 spells it."""
    return f"com.amazonaws.{region}.{service}"
