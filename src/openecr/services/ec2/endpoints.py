"""VPC endpoints: the ways from a VPC to the registry, its layers and the services beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from openecr.access.networks import service_name
from openecr.access.vpcs import ENDPOINT_SERVICES, GATEWAY, INTERFACE, Endpoint, Vpc, new_id
from openecr.call import Call, no_resource, operation
from openecr.names import RegistryName
from openecr.services.ec2 import endpoint_policies, listings, owned, refusals
from openecr.services.ec2.endpoint_names import dns_entries, private_dns_name
from openecr.services.ec2.listings import Listed

_FILTERS = (
    "service-name",
    "vpc-id",
    "vpc-endpoint-id",
    "vpc-endpoint-state",
    "vpc-endpoint-type",
)


def _resources(registry: RegistryName, arguments: Mapping[str, Any]) -> list[str]:
    """What CreateVpcEndpoint touches (service authorization reference, EC2)."""
    touched = [owned.arn(registry, "vpc", arguments["vpc_id"]), owned.arn(registry, "vpc-endpoint", "*")]
    kinds = (("subnet_ids", "subnet"), ("security_group_ids", "security-group"), ("route_table_ids", "route-table"))
    for member, kind in kinds:
        touched += [owned.arn(registry, kind, name) for name in arguments.get(member) or ()]
    return touched


@operation("CreateVpcEndpoint", writes=True, action="ec2:CreateVpcEndpoint", resources=_resources)
def create_vpc_endpoint(
    call: Call,
    *,
    vpc_id: str,
    dry_run: bool | None = None,
    vpc_endpoint_type: str | None = None,
    service_name: str | None = None,
    policy_document: str | None = None,
    route_table_ids: list[str] | None = None,
    subnet_ids: list[str] | None = None,
    security_group_ids: list[str] | None = None,
    ip_address_type: str | None = None,
    dns_options: dict[str, Any] | None = None,
    client_token: str | None = None,
    private_dns_enabled: bool | None = None,
    tag_specifications: list[dict[str, Any]] | None = None,
    subnet_configurations: list[dict[str, Any]] | None = None,
    service_network_arn: str | None = None,
    resource_configuration_arn: str | None = None,
    service_region: str | None = None,
) -> dict[str, Any]:
    """Make a way from the VPC to a service; the next request of its sources takes it."""
    owned.refuse_unused(
        "VPC endpoints",
        subnet_configurations=subnet_configurations,
        service_network_arn=service_network_arn,
        resource_configuration_arn=resource_configuration_arn,
        ip_address_type=ip_address_type if ip_address_type != "ipv4" else None,
        dns_options=_unusual(dns_options),
        service_region=service_region if service_region != call.registry().region else None,
    )
    owned.refuse_dry_run(dry_run)
    vpc = owned.require(call, vpc_id)
    if client_token:
        for made in vpc.endpoints:
            if made.client_token == client_token:
                return {"VpcEndpoint": _told(call, vpc, made), "ClientToken": client_token}
    service = _service(vpc.region, service_name)
    kind = vpc_endpoint_type or GATEWAY
    if kind != ENDPOINT_SERVICES[service]:
        raise refusals.InvalidParameter(
            message=f"The Vpc Endpoint type ({kind}) should be {ENDPOINT_SERVICES[service]} for {service_name}"
        )
    owned.require_room("VPC endpoints", len(vpc.endpoints))
    endpoint = Endpoint(
        new_id("vpce"),
        service,
        call.now_us,
        policy=endpoint_policies.require(policy_document),
        client_token=client_token or "",
        tags=owned.tags_of(call, "CreateVpcEndpoint", tag_specifications, "vpc-endpoint"),
    )
    endpoint = _placed(vpc, endpoint, subnet_ids, security_group_ids, route_table_ids, private_dns_enabled)
    vpc = replace(vpc, endpoints=(*vpc.endpoints, endpoint))
    owned.put(call.db, vpc)
    return {"VpcEndpoint": _told(call, vpc, endpoint), "ClientToken": client_token}


def _unusual(dns_options: dict[str, Any] | None) -> dict[str, Any] | None:
    """DNS options other than what is so anyway."""
    usual = {"DnsRecordIpType": "ipv4", "PrivateDnsOnlyForInboundResolverEndpoint": False}
    return {name: value for name, value in (dns_options or {}).items() if usual.get(name) != value} or None


def _service(region: str, name: str | None) -> str:
    service = (name or "").removeprefix(f"com.amazonaws.{region}.")
    if name is None or service == name or service not in ENDPOINT_SERVICES:
        raise refusals.ServiceMissing(name=name or "")
    return service


def _placed(
    vpc: Vpc,
    endpoint: Endpoint,
    subnet_ids: list[str] | None,
    group_ids: list[str] | None,
    route_table_ids: list[str] | None,
    private_dns: bool | None,
) -> Endpoint:
    """The endpoint where its type has a place in the VPC."""
    if endpoint.kind == GATEWAY:
        for member, given in (("SubnetIds", subnet_ids), ("SecurityGroupIds", group_ids)):
            if given:
                raise refusals.InvalidParameter(message=f"{member} not supported for Gateway endpoints")
        if private_dns:
            raise refusals.InvalidParameter(message="Private DNS can only be enabled for Interface endpoints")
        return _routed(vpc, replace(endpoint, route_table_ids=owned.ids(route_table_ids)))
    if route_table_ids:
        raise refusals.InvalidParameter(message="Route table IDs are not supported for Interface endpoints")
    groups = owned.ids(group_ids) or tuple(group.group_id for group in vpc.groups if group.name == "default")
    named = private_dns is None or private_dns
    return _attached(vpc, replace(endpoint, subnet_ids=owned.ids(subnet_ids), group_ids=groups, private_dns=named))


def _routed(vpc: Vpc, endpoint: Endpoint) -> Endpoint:
    """A gateway endpoint whose route tables are there and lead to no other one of its service."""
    known = {table.route_table_id for table in vpc.route_tables}
    for route_table_id in endpoint.route_table_ids:
        if route_table_id not in known:
            raise refusals.RouteTableMissing(name=route_table_id)
        for other in vpc.endpoints:
            if other.endpoint_id != endpoint.endpoint_id and route_table_id in other.route_table_ids:
                raise refusals.RouteExists(
                    route_table_id=route_table_id, service=service_name(vpc.region, endpoint.service)
                )
    return endpoint


def _attached(vpc: Vpc, endpoint: Endpoint) -> Endpoint:
    """An interface endpoint whose subnets and groups are there, and whose private name no other one has."""
    subnets = {subnet.subnet_id for subnet in vpc.subnets}
    for subnet_id in endpoint.subnet_ids:
        if subnet_id not in subnets:
            raise refusals.SubnetMissing(name=subnet_id)
    groups = {group.group_id for group in vpc.groups}
    for group_id in endpoint.group_ids:
        if group_id not in groups:
            raise refusals.GroupMissing(name=group_id)
    if not endpoint.group_ids:
        raise refusals.InvalidParameter(message="An Interface endpoint has at least one security group")
    for other in vpc.endpoints:
        same = other.service == endpoint.service and other.endpoint_id != endpoint.endpoint_id
        if same and other.private_dns and endpoint.private_dns:
            raise refusals.InvalidParameter(
                message="private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{private_dns_name(endpoint.service, vpc.region, None)} in the VPC {vpc.vpc_id}"
            )
    return endpoint


@operation("DescribeVpcEndpoints", writes=False, action="ec2:DescribeVpcEndpoints", resources=no_resource)
def describe_vpc_endpoints(
    call: Call,
    *,
    dry_run: bool | None = None,
    vpc_endpoint_ids: list[str] | None = None,
    filters: list[dict[str, Any]] | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> dict[str, Any]:
    """The endpoints of the account's VPCs."""
    owned.refuse_dry_run(dry_run)
    found = [
        Listed(
            endpoint.endpoint_id,
            _told(call, vpc, endpoint),
            {
                "service-name": (service_name(vpc.region, endpoint.service),),
                "vpc-id": (vpc.vpc_id,),
                "vpc-endpoint-id": (endpoint.endpoint_id,),
                "vpc-endpoint-state": (_state(vpc),),
                "vpc-endpoint-type": (endpoint.kind,),
            },
            endpoint.tags,
        )
        for vpc in owned.every(call)
        for endpoint in vpc.endpoints
    ]
    told, token = listings.page(
        call,
        "DescribeVpcEndpoints",
        found,
        filters=filters,
        names=vpc_endpoint_ids,
        missing=lambda name: refusals.EndpointMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=_FILTERS,
    )
    return {"VpcEndpoints": told, "NextToken": token}


@operation(
    "ModifyVpcEndpoint",
    writes=True,
    action="ec2:ModifyVpcEndpoint",
    resources=owned.touched(
        ("vpc-endpoint", "vpc_endpoint_id"),
        ("route-table", "add_route_table_ids"),
        ("route-table", "remove_route_table_ids"),
        ("subnet", "add_subnet_ids"),
        ("subnet", "remove_subnet_ids"),
        ("security-group", "add_security_group_ids"),
        ("security-group", "remove_security_group_ids"),
    ),
)
def modify_vpc_endpoint(
    call: Call,
    *,
    vpc_endpoint_id: str,
    dry_run: bool | None = None,
    reset_policy: bool | None = None,
    policy_document: str | None = None,
    add_route_table_ids: list[str] | None = None,
    remove_route_table_ids: list[str] | None = None,
    add_subnet_ids: list[str] | None = None,
    remove_subnet_ids: list[str] | None = None,
    add_security_group_ids: list[str] | None = None,
    remove_security_group_ids: list[str] | None = None,
    ip_address_type: str | None = None,
    dns_options: dict[str, Any] | None = None,
    private_dns_enabled: bool | None = None,
    subnet_configurations: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Change an endpoint's policy, its place, or whether plain names lead to it."""
    owned.refuse_unused(
        "VPC endpoints",
        ip_address_type=ip_address_type if ip_address_type != "ipv4" else None,
        dns_options=_unusual(dns_options),
        subnet_configurations=subnet_configurations,
    )
    owned.refuse_dry_run(dry_run)
    vpc, endpoint = owned.require_endpoint(call, vpc_endpoint_id)
    if reset_policy and policy_document is not None:
        raise refusals.InvalidCombination(message="ResetPolicy and PolicyDocument cannot be given together")
    if reset_policy:
        endpoint = replace(endpoint, policy=None)
    elif policy_document is not None:
        endpoint = replace(endpoint, policy=endpoint_policies.require(policy_document))
    if endpoint.kind == GATEWAY:
        if add_subnet_ids or remove_subnet_ids or add_security_group_ids or remove_security_group_ids:
            raise refusals.InvalidParameter(message="Gateway endpoints have route tables, no subnets and no groups")
        if private_dns_enabled:
            raise refusals.InvalidParameter(message="Private DNS can only be enabled for Interface endpoints")
        tables = _changed(endpoint.route_table_ids, add_route_table_ids, remove_route_table_ids)
        endpoint = _routed(vpc, replace(endpoint, route_table_ids=tables))
    else:
        if add_route_table_ids or remove_route_table_ids:
            raise refusals.InvalidParameter(message="Route table IDs are not supported for Interface endpoints")
        endpoint = _attached(
            vpc,
            replace(
                endpoint,
                subnet_ids=_changed(endpoint.subnet_ids, add_subnet_ids, remove_subnet_ids),
                group_ids=_changed(endpoint.group_ids, add_security_group_ids, remove_security_group_ids),
                private_dns=endpoint.private_dns if private_dns_enabled is None else private_dns_enabled,
            ),
        )
    owned.put(call.db, owned.with_endpoint(vpc, endpoint))
    return {"Return": True}


def _changed(there: tuple[str, ...], added: list[str] | None, removed: list[str] | None) -> tuple[str, ...]:
    return tuple(name for name in owned.ids((*there, *(added or ()))) if name not in (removed or ()))


@operation(
    "DeleteVpcEndpoints",
    writes=True,
    action="ec2:DeleteVpcEndpoints",
    resources=owned.arns("vpc-endpoint", "vpc_endpoint_ids"),
)
def delete_vpc_endpoints(call: Call, *, vpc_endpoint_ids: list[str], dry_run: bool | None = None) -> dict[str, Any]:
    """Delete endpoints; those that are not there are told one by one."""
    owned.refuse_dry_run(dry_run)
    failed: list[dict[str, Any]] = []
    for endpoint_id in owned.ids(vpc_endpoint_ids):
        try:
            vpc, endpoint = owned.require_endpoint(call, endpoint_id)
        except refusals.EndpointMissing as missing:
            error = {"Code": missing.code, "Message": missing.message}
            failed.append({"ResourceId": endpoint_id, "Error": error})
            continue
        owned.put(call.db, replace(vpc, endpoints=tuple(item for item in vpc.endpoints if item != endpoint)))
    return {"Unsuccessful": failed}


@operation("DescribeVpcEndpointServices", writes=False, action="ec2:DescribeVpcEndpointServices", resources=no_resource)
def describe_vpc_endpoint_services(
    call: Call,
    *,
    dry_run: bool | None = None,
    service_names: list[str] | None = None,
    filters: list[dict[str, Any]] | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
    service_regions: list[str] | None = None,
) -> dict[str, Any]:
    """What endpoints can lead to in this region: what openecr serves."""
    owned.refuse_dry_run(dry_run)
    region = call.registry().region
    known = ENDPOINT_SERVICES if service_regions in (None, [], [region]) else {}
    found = [_listed_service(call, region, service, kind) for service, kind in known.items()]
    told, token = listings.page(
        call,
        "DescribeVpcEndpointServices",
        found,
        filters=filters,
        names=service_names,
        missing=lambda name: refusals.ServiceMissing(name=name),
        max_results=max_results,
        next_token=next_token,
        known=("service-name", "service-type", "owner"),
    )
    return {"ServiceNames": [detail["ServiceName"] for detail in told], "ServiceDetails": told, "NextToken": token}


def _listed_service(call: Call, region: str, service: str, kind: str) -> Listed:
    name = service_name(region, service)
    private = private_dns_name(service, region, call.settings.domain) if kind == INTERFACE else None
    detail = {
        "ServiceName": name,
        "ServiceType": [{"ServiceType": kind}],
        "ServiceRegion": region,
        "AvailabilityZones": [f"{region}a"],
        "Owner": "amazon",
        "PrivateDnsName": private,
        "PrivateDnsNames": None if private is None else [{"PrivateDnsName": private}],
        "VpcEndpointPolicySupported": True,
        "AcceptanceRequired": False,
        "ManagesVpcEndpoints": False,
        "SupportedIpAddressTypes": ["ipv4"],
        "Tags": [],
    }
    attributes: dict[str, Iterable[str]] = {"service-name": (name,), "service-type": (kind,), "owner": ("amazon",)}
    return Listed(name, detail, attributes, {})


def _state(vpc: Vpc) -> str:
    """An endpoint leads somewhere only once its VPC counts."""
    return "available" if vpc.counts else "pending"


def _told(call: Call, vpc: Vpc, endpoint: Endpoint) -> dict[str, Any]:
    names = {group.group_id: group.name for group in vpc.groups}
    return {
        "VpcEndpointId": endpoint.endpoint_id,
        "VpcEndpointType": endpoint.kind,
        "VpcId": vpc.vpc_id,
        "ServiceName": service_name(vpc.region, endpoint.service),
        "State": _state(vpc),
        "PolicyDocument": endpoint.policy or endpoint_policies.FULL_ACCESS,
        "RouteTableIds": list(endpoint.route_table_ids),
        "SubnetIds": list(endpoint.subnet_ids),
        "Groups": [{"GroupId": group_id, "GroupName": names[group_id]} for group_id in endpoint.group_ids],
        "IpAddressType": "ipv4" if endpoint.kind == INTERFACE else None,
        "PrivateDnsEnabled": endpoint.private_dns,
        "RequesterManaged": False,
        "NetworkInterfaceIds": [],
        "DnsEntries": [{"DnsName": name} for name in dns_entries(endpoint, vpc.region, call.settings.domain)],
        "CreationTimestamp": endpoint.created_us,
        "Tags": owned.told_tags(endpoint.tags),
        "OwnerId": vpc.account_id,
    }
