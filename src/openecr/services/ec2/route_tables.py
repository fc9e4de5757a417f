"""Route tables: they say which subnets reach the layers through a gateway endpoint, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openecr.access.vpcs import GATEWAY, RouteTable, Vpc, new_id
from openecr.call import Call, no_resource, operation
from openecr.services.ec2 import listings, owned, refusals
from openecr.services.ec2.listings import Listed


@operation(
    "CreateRouteTable",
    writes=True,
    action="ec2:CreateRouteTable",
    resources=owned.touched(("vpc", "vpc_id"), ("route-table", None)),
)
def create_route_table(
    call: Call,
    *,
    vpc_id: str,
    tag_specifications: list[dict[str, Any]] | None = None,
    client_token: str | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Make a route table that no subnet follows yet."""
    owned.refuse_dry_run(dry_run)
    vpc = owned.require(call, vpc_id)
    for made in vpc.route_tables:
        if client_token and made.client_token == client_token:
            return {"RouteTable": _told(vpc, made), "ClientToken": client_token}
    owned.require_room("route tables", len(vpc.route_tables))
    table = RouteTable(
        new_id("rtb"),
        client_token=client_token or "",
        tags=owned.tags_of(call, "CreateRouteTable", tag_specifications, "route-table"),
    )
    owned.put(call.db, replace(vpc, route_tables=(*vpc.route_tables, table)))
    return {"RouteTable": _told(vpc, table), "ClientToken": client_token}


@operation("DescribeRouteTables", writes=False, action="ec2:DescribeRouteTables", resources=no_resource)
def describe_route_tables(
    call: Call,
    *,
    next_token: str | None = None,
    max_results: int | None = None,
    dry_run: bool | None = None,
    route_table_ids: list[str] | None = None,
    filters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The route tables of the account's VPCs."""
    owned.refuse_dry_run(dry_run)
    found = []
    for vpc in owned.every(call):
        for table in vpc.route_tables:
            subnets = [s.subnet_id for s in vpc.subnets if s.route_table_id == table.route_table_id]
            attributes = {
                "route-table-id": (table.route_table_id,),
                "vpc-id": (vpc.vpc_id,),
                "owner-id": (vpc.account_id,),
                "association.subnet-id": subnets,
                "association.main": ("true" if table.main_association_id else "false",),
            }
            found.append(Listed(table.route_table_id, _told(vpc, table), attributes, table.tags))
    told, token = listings.page(
        call,
        "DescribeRouteTables",
        found,
        filters=filters,
        names=route_table_ids,
        missing=lambda name: refusals.RouteTableMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=("route-table-id", "vpc-id", "owner-id", "association.subnet-id", "association.main"),
    )
    return {"RouteTables": told, "NextToken": token}


@operation(
    "DeleteRouteTable",
    writes=True,
    action="ec2:DeleteRouteTable",
    resources=owned.arns("route-table", "route_table_id"),
)
def delete_route_table(call: Call, *, route_table_id: str, dry_run: bool | None = None) -> dict[str, Any]:
    """Delete a route table that neither a subnet nor an endpoint needs; the main one goes with its VPC."""
    owned.refuse_dry_run(dry_run)
    vpc, table = owned.require_table(call, route_table_id)
    needed = any(subnet.route_table_id == route_table_id for subnet in vpc.subnets)
    needed = needed or any(route_table_id in endpoint.route_table_ids for endpoint in vpc.endpoints)
    if needed or table.main_association_id is not None:
        raise refusals.Depended(message=f"The routeTable '{route_table_id}' has dependencies and cannot be deleted.")
    owned.put(call.db, replace(vpc, route_tables=tuple(item for item in vpc.route_tables if item != table)))
    return {}


@operation(
    "AssociateRouteTable",
    writes=True,
    action="ec2:AssociateRouteTable",
    resources=owned.touched(("route-table", "route_table_id"), ("subnet", "subnet_id")),
)
def associate_route_table(
    call: Call,
    *,
    route_table_id: str,
    gateway_id: str | None = None,
    public_ipv4_pool: str | None = None,
    subnet_id: str | None = None,
    dry_run: bool | None = None,
) -> dict[str, Any]:
    """Let a subnet follow this route table instead of the main one."""
    owned.refuse_unused("route tables", gateway_id=gateway_id, public_ipv4_pool=public_ipv4_pool)
    owned.refuse_dry_run(dry_run)
    vpc, _ = owned.require_table(call, route_table_id)
    if subnet_id is None:
        raise refusals.InvalidCombination(message="Either 'subnetId' or 'gatewayId' should be provided.")
    subnet = next((item for item in vpc.subnets if item.subnet_id == subnet_id), None)
    if subnet is None:
        elsewhere, _ = owned.require_subnet(call, subnet_id)
        raise refusals.InvalidParameter(
            message=f"Route table {route_table_id} and subnet {subnet_id} belong to different networks "
            f"({vpc.vpc_id} and {elsewhere.vpc_id})"
        )
    if subnet.route_table_id is not None and subnet.association_id is not None:
        if subnet.route_table_id != route_table_id:
            raise refusals.AlreadyAssociated(route_table_id=route_table_id)
        return _associated(subnet.association_id)
    association_id = new_id("rtbassoc")
    changed = replace(subnet, route_table_id=route_table_id, association_id=association_id)
    owned.put(call.db, owned.with_subnet(vpc, changed))
    return _associated(association_id)


def _parted(call: Call, arguments: Mapping[str, Any]) -> list[str]:
    """The route table and the subnet of an association; any, where there is none."""
    for vpc in owned.every(call):
        for subnet in vpc.subnets:
            if subnet.association_id == arguments["association_id"]:
                table = owned.arn(call.registry(), "route-table", str(subnet.route_table_id))
                return [table, owned.arn(call.registry(), "subnet", subnet.subnet_id)]
    return [owned.arn(call.registry(), "route-table", "*")]


@operation("DisassociateRouteTable", writes=True, action="ec2:DisassociateRouteTable", located=_parted)
def disassociate_route_table(call: Call, *, association_id: str, dry_run: bool | None = None) -> dict[str, Any]:
    """Let a subnet follow the main route table again."""
    owned.refuse_dry_run(dry_run)
    for vpc in owned.every(call):
        for subnet in vpc.subnets:
            if subnet.association_id == association_id:
                changed = replace(subnet, route_table_id=None, association_id=None)
                owned.put(call.db, owned.with_subnet(vpc, changed))
                return {}
        if association_id == vpc.main_table.main_association_id:
            raise refusals.InvalidParameter(
                message=f"cannot disassociate the main route table association {association_id}"
            )
    raise refusals.AssociationMissing(name=association_id)


def _associated(association_id: str) -> dict[str, Any]:
    return {"AssociationId": association_id, "AssociationState": {"State": "associated"}}


def _told(vpc: Vpc, table: RouteTable) -> dict[str, Any]:
    associations: list[dict[str, Any]] = [
        {
            "RouteTableAssociationId": subnet.association_id,
            "RouteTableId": table.route_table_id,
            "SubnetId": subnet.subnet_id,
            "Main": False,
            "AssociationState": {"State": "associated"},
        }
        for subnet in vpc.subnets
        if subnet.route_table_id == table.route_table_id
    ]
    if table.main_association_id is not None:
        associations.append(
            {
                "RouteTableAssociationId": table.main_association_id,
                "RouteTableId": table.route_table_id,
                "Main": True,
                "AssociationState": {"State": "associated"},
            }
        )
    return {
        "RouteTableId": table.route_table_id,
        "VpcId": vpc.vpc_id,
        "OwnerId": vpc.account_id,
        "Associations": associations,
        "PropagatingVgws": [],
        "Routes": _routes(vpc, table),
        "Tags": owned.told_tags(table.tags),
    }


def _routes(vpc: Vpc, table: RouteTable) -> list[dict[str, Any]]:
    """The VPC's own networks, and the gateway endpoints that the table leads to."""
    routes: list[dict[str, Any]] = []
    for network in vpc.networks:
        kind = "DestinationCidrBlock" if network.version == 4 else "DestinationIpv6CidrBlock"
        routes.append({kind: str(network), "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"})
    routes += [
        {"GatewayId": endpoint.endpoint_id, "Origin": "CreateRoute", "State": "active"}
        for endpoint in vpc.endpoints
        if endpoint.kind == GATEWAY and table.route_table_id in endpoint.route_table_ids
    ]
    return routes
