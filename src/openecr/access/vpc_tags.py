"""The tags of a VPC and of what is in it, for conditions that ask."""

from collections.abc import Iterable, Mapping

from openecr.access.vpcs import Vpc
from openecr.db import vpcs
from openecr.db.connection import Connection


def of_arn(db: Connection, arn: str) -> Mapping[str, str]:
    """The tags of the VPC, subnet, group, route table or endpoint of an ARN; none where it is not there."""
    region, account_id, resource = (*arn.split(":", 5)[3:], "", "", "")[:3]
    name = resource.partition("/")[2]
    for row in vpcs.of_owner(db, account_id, region):
        for named, tags in _tagged(Vpc.load(row.document)):
            if named == name:
                return tags
    return {}


def _tagged(vpc: Vpc) -> Iterable[tuple[str, Mapping[str, str]]]:
    yield vpc.vpc_id, vpc.tags
    yield from ((subnet.subnet_id, subnet.tags) for subnet in vpc.subnets)
    yield from ((group.group_id, group.tags) for group in vpc.groups)
    yield from ((table.route_table_id, table.tags) for table in vpc.route_tables)
    yield from ((endpoint.endpoint_id, endpoint.tags) for endpoint in vpc.endpoints)
