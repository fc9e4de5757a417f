"""VPCs and their subnets."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from openecr.access.vpcs import Cidr, Subnet, Vpc, new_id, new_vpc
from openecr.call import Call, no_resource, operation
from openecr.names import RegistryName
from openecr.services.ec2 import listings, owned, refusals
from openecr.services.ec2.listings import Listed

_LEAST_PREFIX, _MOST_PREFIX = 16, 28
"""Bounds of an IPv4 network of a VPC (VPC user guide, "VPC CIDR blocks")."""
_RESERVED_ADDRESSES = 5
"""How many of a subnet's addresses AWS keeps for itself."""


@operation("CreateVpc", writes=True, action="ec2:CreateVpc", resources=owned.arns("vpc"))
def create_vpc(
    call: Call,
    *,
    cidr_block: str | None = None,
    ipv6_pool: str | None = None,
    ipv6_cidr_block: str | None = None,
    ipv4_ipam_pool_id: str | None = None,
    ipv4_netmask_length: int | None = None,
    ipv6_ipam_pool_id: str | None = None,
    ipv6_netmask_length: int | None = None,
    ipv6_cidr_block_network_border_group: str | None = None,
    vpc_encryption_control: dict[str, Any] | None = None,
    tag_specifications: list[dict[str, Any]] | None = None,
    dry_run: bool | None = None,
    instance_tenancy: str | None = None,
    amazon_provided_ipv6_cidr_block: bool | None = None,
) -> dict[str, Any]:
    """Make a VPC. One of the deployment's default account counts at once; another account's is ``pending`` until the
    operator declares it, so that no account takes sources from another."""
    owned.refuse_unused(
        "VPCs",
        ipv6_pool=ipv6_pool,
        ipv6_cidr_block=ipv6_cidr_block,
        ipv4_ipam_pool_id=ipv4_ipam_pool_id,
        ipv4_netmask_length=ipv4_netmask_length,
        ipv6_ipam_pool_id=ipv6_ipam_pool_id,
        ipv6_netmask_length=ipv6_netmask_length,
        ipv6_cidr_block_network_border_group=ipv6_cidr_block_network_border_group,
        vpc_encryption_control=vpc_encryption_control,
        amazon_provided_ipv6_cidr_block=amazon_provided_ipv6_cidr_block,
        instance_tenancy=instance_tenancy if instance_tenancy != "default" else None,
    )
    owned.refuse_dry_run(dry_run)
    there = owned.every(call)
    owned.require_room("VPCs", len(there))
    owner = call.registry()
    counts = owner.account_id == call.settings.account_id
    vpc = new_vpc(new_id("vpc"), owner.account_id, owner.region, [_vpc_cidr(cidr_block)], counts=counts)
    vpc = replace(vpc, tags=owned.tags_of(call, "CreateVpc", tag_specifications, "vpc"))
    owned.insert(call.db, vpc, call.now_us)
    return {"Vpc": _told_vpc(vpc)}


def _vpc_cidr(text: str | None) -> str:
    if text is None:
        raise refusals.InvalidCombination(message="Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    network = parse_cidr(text, "cidrBlock")
    reserved = network.is_loopback or network.is_link_local or network.is_multicast or network.is_unspecified
    if reserved or network.version != 4 or not _LEAST_PREFIX <= network.prefixlen <= _MOST_PREFIX:
        raise refusals.VpcRange(cidr=text)
    return str(network)


def parse_cidr(text: str, member: str) -> Cidr:
    """A network; host bits are dropped, as EC2 drops them.

    Raises:
        InvalidValue: it is none.
    """
    try:
        if "/" not in text:
            raise ValueError(text)
        return ip_network(text, strict=False)
    except ValueError:
        raise refusals.InvalidValue(
            message=f"Value ({text[:64]}) for parameter {member} is invalid. This is not a valid CIDR block."
        ) from None


@operation("DescribeVpcs", writes=False, action="ec2:DescribeVpcs", resources=no_resource)
def describe_vpcs(
    call: Call,
    *,
    filters: list[dict[str, Any]] | None = None,
    vpc_ids: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """The account's VPCs in this region."""
    owned.refuse_dry_run(dry_run)
    found = [
        Listed(
            vpc.vpc_id,
            _told_vpc(vpc),
            {
                "vpc-id": (vpc.vpc_id,),
                "cidr": vpc.cidrs[:1],
                "cidr-block-association.cidr-block": vpc.cidrs,
                "state": (_state(vpc),),
                "owner-id": (vpc.account_id,),
                "is-default": ("false",),
            },
            vpc.tags,
        )
        for vpc in owned.every(call)
    ]
    told, token = listings.page(
        call,
        "DescribeVpcs",
        found,
        filters=filters,
        names=vpc_ids,
        missing=lambda name: refusals.VpcMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=("vpc-id", "cidr", "cidr-block-association.cidr-block", "state", "owner-id", "is-default"),
    )
    return {"Vpcs": told, "NextToken": token}


@operation("DeleteVpc", writes=True, action="ec2:DeleteVpc", resources=owned.arns("vpc", "vpc_id"))
def delete_vpc(call: Call, *, vpc_id: str, dry_run: bool | None = None) -> dict[str, Any]:
    """Delete a VPC that has nothing but what every VPC has."""
    owned.refuse_dry_run(dry_run)
    vpc = owned.require(call, vpc_id)
    if vpc.subnets or vpc.endpoints or len(vpc.groups) > 1 or len(vpc.route_tables) > 1:
        raise refusals.Depended(message=f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    owned.remove(call.db, vpc_id)
    return {}


@operation(
    "CreateSubnet", writes=True, action="ec2:CreateSubnet", resources=owned.touched(("vpc", "vpc_id"), ("subnet", None))
)
def create_subnet(
    call: Call,
    *,
    vpc_id: str,
    tag_specifications: list[dict[str, Any]] | None = None,
    availability_zone: str | None = None,
    availability_zone_id: str | None = None,
    cidr_block: str | None = None,
    ipv6_cidr_block: str | None = None,
    outpost_arn: str | None = None,
    ipv6_native: bool | None = None,
    ipv4_ipam_pool_id: str | None = None,
    ipv4_netmask_length: int | None = None,
    ipv6_ipam_pool_id: str | None = None,
    ipv6_netmask_length: int | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Make a subnet; its zone is a name and nothing else."""
    owned.refuse_unused(
        "subnets",
        availability_zone_id=availability_zone_id,
        ipv6_cidr_block=ipv6_cidr_block,
        outpost_arn=outpost_arn,
        ipv6_native=ipv6_native,
        ipv4_ipam_pool_id=ipv4_ipam_pool_id,
        ipv4_netmask_length=ipv4_netmask_length,
        ipv6_ipam_pool_id=ipv6_ipam_pool_id,
        ipv6_netmask_length=ipv6_netmask_length,
    )
    owned.refuse_dry_run(dry_run)
    vpc = owned.require(call, vpc_id)
    owned.require_room("subnets", len(vpc.subnets))
    if cidr_block is None:
        raise refusals.InvalidCombination(message="Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    zone = availability_zone or f"{vpc.region}a"
    if not zone.startswith(vpc.region) or len(zone) != len(vpc.region) + 1:
        raise refusals.InvalidValue(message=f"Value ({zone[:64]}) for parameter availabilityZone is invalid.")
    cidr = str(parse_cidr(cidr_block, "cidrBlock"))
    subnet = Subnet(
        new_id("subnet"), cidr, zone, tags=owned.tags_of(call, "CreateSubnet", tag_specifications, "subnet")
    )
    owned.put(call.db, add_subnet(vpc, subnet))
    return {"Subnet": _told_subnet(vpc, subnet)}


def add_subnet(vpc: Vpc, subnet: Subnet) -> Vpc:
    """The VPC with one more subnet.

    Raises:
        SubnetRange: it is outside of the VPC's networks.
        SubnetConflict: it overlaps another one.
    """
    network = ip_network(subnet.cidr)
    if not any(network.version == whole.version and network.subnet_of(whole) for whole in vpc.networks):  # type: ignore[arg-type]
        raise refusals.SubnetRange(cidr=subnet.cidr)
    for other in vpc.subnets:
        there = ip_network(other.cidr)
        if there.version == network.version and there.overlaps(network):
            raise refusals.SubnetConflict(cidr=subnet.cidr)
    return replace(vpc, subnets=(*vpc.subnets, subnet))


@operation("DescribeSubnets", writes=False, action="ec2:DescribeSubnets", resources=no_resource)
def describe_subnets(
    call: Call,
    *,
    filters: list[dict[str, Any]] | None = None,
    subnet_ids: list[str] | None = None,
    next_token: str | None = None,
    max_results: int | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """The subnets of the account's VPCs."""
    owned.refuse_dry_run(dry_run)
    found = [
        Listed(
            subnet.subnet_id,
            _told_subnet(vpc, subnet),
            {
                "subnet-id": (subnet.subnet_id,),
                "vpc-id": (vpc.vpc_id,),
                "cidr": (subnet.cidr,),
                "cidr-block": (subnet.cidr,),
                "availability-zone": (subnet.zone,),
                "state": ("available",),
                "owner-id": (vpc.account_id,),
            },
            subnet.tags,
        )
        for vpc in owned.every(call)
        for subnet in vpc.subnets
    ]
    told, token = listings.page(
        call,
        "DescribeSubnets",
        found,
        filters=filters,
        names=subnet_ids,
        missing=lambda name: refusals.SubnetMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=("subnet-id", "vpc-id", "cidr", "cidr-block", "availability-zone", "state", "owner-id"),
    )
    return {"Subnets": told, "NextToken": token}


@operation("DeleteSubnet", writes=True, action="ec2:DeleteSubnet", resources=owned.arns("subnet", "subnet_id"))
def delete_subnet(call: Call, *, subnet_id: str, dry_run: bool | None = None) -> dict[str, Any]:
    """Delete a subnet that no endpoint is in."""
    owned.refuse_dry_run(dry_run)
    vpc, subnet = owned.require_subnet(call, subnet_id)
    if any(subnet_id in endpoint.subnet_ids for endpoint in vpc.endpoints):
        raise refusals.Depended(message=f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    owned.put(call.db, replace(vpc, subnets=tuple(item for item in vpc.subnets if item != subnet)))
    return {}


def _state(vpc: Vpc) -> str:
    """``pending`` while the operator does not stand for its networks: then nothing is decided by it."""
    return "available" if vpc.counts else "pending"


def _told_vpc(vpc: Vpc) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    blocks6: list[dict[str, Any]] = []
    for position, network in enumerate(vpc.networks):
        association = f"vpc-cidr-assoc-{vpc.vpc_id.removeprefix('vpc-')}{position}"
        if network.version == 4:
            state = {"CidrBlockState": {"State": "associated"}}
            blocks.append({"AssociationId": association, "CidrBlock": str(network), **state})
        else:
            state = {"Ipv6CidrBlockState": {"State": "associated"}}
            blocks6.append({"AssociationId": association, "Ipv6CidrBlock": str(network), **state})
    return {
        "VpcId": vpc.vpc_id,
        "OwnerId": vpc.account_id,
        "State": _state(vpc),
        "CidrBlock": blocks[0]["CidrBlock"] if blocks else None,
        "CidrBlockAssociationSet": blocks,
        "Ipv6CidrBlockAssociationSet": blocks6,
        "InstanceTenancy": "default",
        "IsDefault": False,
        "Tags": owned.told_tags(vpc.tags),
    }


def _told_subnet(vpc: Vpc, subnet: Subnet) -> dict[str, Any]:
    network = ip_network(subnet.cidr)
    is_ipv4 = network.version == 4
    shown: dict[str, Any] = {"CidrBlock": subnet.cidr} if is_ipv4 else {}
    if not is_ipv4:
        state = {"Ipv6CidrBlockState": {"State": "associated"}}
        association = f"subnet-cidr-assoc-{subnet.subnet_id.removeprefix('subnet-')}"
        shown["Ipv6CidrBlockAssociationSet"] = [{"AssociationId": association, "Ipv6CidrBlock": subnet.cidr, **state}]
    return {
        "SubnetId": subnet.subnet_id,
        "SubnetArn": owned.arn(RegistryName(vpc.account_id, vpc.region), "subnet", subnet.subnet_id),
        "VpcId": vpc.vpc_id,
        "OwnerId": vpc.account_id,
        "State": "available",
        "AvailabilityZone": subnet.zone,
        "AvailableIpAddressCount": max(network.num_addresses - _RESERVED_ADDRESSES, 0) if is_ipv4 else 0,
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": False,
        "Tags": owned.told_tags(subnet.tags),
        **shown,
    }
