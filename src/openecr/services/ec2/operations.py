"""Every operation of EC2 that is built."""

from openecr.call import Operation
from openecr.services.ec2 import endpoints, networks, route_tables, security_groups

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        endpoints.create_vpc_endpoint,
        endpoints.delete_vpc_endpoints,
        endpoints.describe_vpc_endpoint_services,
        endpoints.describe_vpc_endpoints,
        endpoints.modify_vpc_endpoint,
        networks.create_subnet,
        networks.create_vpc,
        networks.delete_subnet,
        networks.delete_vpc,
        networks.describe_subnets,
        networks.describe_vpcs,
        route_tables.associate_route_table,
        route_tables.create_route_table,
        route_tables.delete_route_table,
        route_tables.describe_route_tables,
        route_tables.disassociate_route_table,
        security_groups.authorize_security_group_ingress,
        security_groups.create_security_group,
        security_groups.delete_security_group,
        security_groups.describe_security_groups,
        security_groups.revoke_security_group_ingress,
    )
}
