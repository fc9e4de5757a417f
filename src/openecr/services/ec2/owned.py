"""The caller's VPCs, and how a change of one is stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from openecr.access.credentials import fresh_version
from openecr.access.vpcs import Endpoint, RouteTable, SecurityGroup, Subnet, Vpc, clash
from openecr.call import Call
from openecr.db import vpcs
from openecr.db.connection import Connection
from openecr.names import RegistryName, partition_of
from openecr.services.ec2 import refusals

MOST = {"VPCs": 20, "subnets": 200, "security groups": 500, "route tables": 200, "VPC endpoints": 50, "rules": 60}
"""How many an account has in a region, or a VPC has; about AWS's quotas, so that a VPC stays small."""


def arns(kind: str, member: str | None = None) -> Callable[[RegistryName, Mapping[str, Any]], list[str]]:
    """The ARNs of the resources of one kind that a member names; all of the kind where it is left out."""

    def resources(registry: RegistryName, arguments: Mapping[str, Any]) -> list[str]:
        named = None if member is None else arguments.get(member)
        names = named if isinstance(named, list) and named else [named or "*"]
        return [arn(registry, kind, name) for name in names]

    return resources


def touched(*named: tuple[str, str | None]) -> Callable[[RegistryName, Mapping[str, Any]], list[str]]:
    """The ARNs of all that a call makes, with no member, and of all that members name where they are given; each must
    be allowed (Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2")."""

    def resources(registry: RegistryName, arguments: Mapping[str, Any]) -> list[str]:
        found: list[str] = []
        for kind, member in named:
            value = "*" if member is None else arguments.get(member)
            names = value if isinstance(value, list) else [value] if value is not None else []
            found += [arn(registry, kind, name) for name in names]
        return found

    return resources


def arn(registry: RegistryName, kind: str, name: str) -> str:
    """The ARN of one resource: ``arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1``."""
    return f"arn:{partition_of(registry.region)}:ec2:{registry.region}:{registry.account_id}:{kind}/{name}"


def refuse_dry_run(dry_run: bool | None) -> None:
    """Stop here where the caller only asks whether it may."""
    if dry_run:
        raise refusals.DryRunSucceeded


def refuse_unused(what: str, **members: Any) -> None:
    """Refuse members that would be stored and do nothing."""
    for name, value in members.items():
        if value:
            raise refusals.NotHere(what=what, member="".join(part.capitalize() for part in name.split("_")))


def every(call: Call) -> list[Vpc]:
    """The VPCs of the caller's account in this region; where the call writes, nobody else changes one meanwhile."""
    if call.writes:
        vpcs.lock(call.db)
    owner = call.registry()
    return [Vpc.load(row.document) for row in vpcs.of_owner(call.db, owner.account_id, owner.region)]


def require(call: Call, vpc_id: str) -> Vpc:
    """The VPC of this id."""
    found = next((vpc for vpc in every(call) if vpc.vpc_id == vpc_id), None)
    if found is None:
        raise refusals.VpcMissing(name=vpc_id)
    return found


def require_subnet(call: Call, subnet_id: str) -> tuple[Vpc, Subnet]:
    """A subnet and its VPC."""
    for vpc in every(call):
        for subnet in vpc.subnets:
            if subnet.subnet_id == subnet_id:
                return vpc, subnet
    raise refusals.SubnetMissing(name=subnet_id)


def require_group(call: Call, group_id: str) -> tuple[Vpc, SecurityGroup]:
    """A security group and its VPC."""
    for vpc in every(call):
        for group in vpc.groups:
            if group.group_id == group_id:
                return vpc, group
    raise refusals.GroupMissing(name=group_id)


def require_table(call: Call, route_table_id: str) -> tuple[Vpc, RouteTable]:
    """A route table and its VPC."""
    for vpc in every(call):
        for table in vpc.route_tables:
            if table.route_table_id == route_table_id:
                return vpc, table
    raise refusals.RouteTableMissing(name=route_table_id)


def require_endpoint(call: Call, endpoint_id: str) -> tuple[Vpc, Endpoint]:
    """An endpoint and its VPC."""
    for vpc in every(call):
        for endpoint in vpc.endpoints:
            if endpoint.endpoint_id == endpoint_id:
                return vpc, endpoint
    raise refusals.EndpointMissing(name=endpoint_id)


def require_room(what: str, there: int) -> None:
    """Refuse one more than the quota."""
    if there >= MOST[what]:
        raise refusals.TooMany(what=what, limit=MOST[what])


def require_apart(db: Connection, vpc: Vpc) -> None:
    """Refuse networks that mean another VPC too, whoever owns it."""
    for row in vpcs.every(db):
        taken = clash(vpc, Vpc.load(row.document))
        if taken is not None:
            raise refusals.NetworkTaken(cidr=taken)


def put(db: Connection, vpc: Vpc) -> None:
    """Store what is in a VPC now, for every server to decide by; nobody waits where it decides nothing anew."""
    before = vpcs.find(db, vpc.vpc_id)
    vpcs.update(db, vpc.vpc_id, vpc.dump())
    if before is None or Vpc.load(before.document).decisive != vpc.decisive:
        vpcs.changed(db, fresh_version())


def insert(db: Connection, vpc: Vpc, now_us: int) -> None:
    """Store a new VPC.

    Raises:
        NetworkTaken: its networks mean another one too.
    """
    require_apart(db, vpc)
    vpcs.insert(db, vpc_id=vpc.vpc_id, account_id=vpc.account_id, region=vpc.region, document=vpc.dump(), now_us=now_us)
    if vpc.counts:
        vpcs.changed(db, fresh_version())


def remove(db: Connection, vpc_id: str) -> None:
    """Delete a VPC with all that is in it."""
    vpcs.delete(db, vpc_id)
    vpcs.changed(db, fresh_version())


def with_subnet(vpc: Vpc, changed: Subnet) -> Vpc:
    """The VPC with a subnet as it is now."""
    return replace(vpc, subnets=tuple(changed if item.subnet_id == changed.subnet_id else item for item in vpc.subnets))


def with_group(vpc: Vpc, changed: SecurityGroup) -> Vpc:
    """The VPC with a security group as it is now."""
    return replace(vpc, groups=tuple(changed if item.group_id == changed.group_id else item for item in vpc.groups))


def with_endpoint(vpc: Vpc, changed: Endpoint) -> Vpc:
    """The VPC with an endpoint as it is now."""
    kept = tuple(changed if item.endpoint_id == changed.endpoint_id else item for item in vpc.endpoints)
    return replace(vpc, endpoints=kept)


def tags_of(call: Call, action: str, specifications: list[dict[str, Any]] | None, kind: str) -> dict[str, str]:
    """The tags that a call gives what it makes, which it needs a right of its own for (EC2 user guide, "Grant
    permission to tag Amazon EC2 resources during creation").

    Raises:
        InvalidValue: they are for another kind of resource.
        AccessDenied
    """
    given: dict[str, str] = {}
    for specification in specifications or ():
        if specification.get("ResourceType") != kind:
            told = f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation."
            raise refusals.InvalidValue(message=told)
        given |= {tag.get("Key", ""): tag.get("Value", "") for tag in specification.get("Tags", ())}
    if given:
        call.authorize("ec2:CreateTags", arn(call.registry(), kind, "*"), more={"ec2:createaction": (action,)})
    return given


def told_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as answers have them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def ids(items: Iterable[str] | None) -> tuple[str, ...]:
    """Ids without repetition, in their order."""
    return tuple(dict.fromkeys(items or ()))
