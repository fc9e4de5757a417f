"""EC2 on the api plane, as its clients call it: VPCs, and what is in them."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from openecr.services.ec2 import owned
from tests.api.support import ACCOUNT, error_of, members_of
from tests.places import ON_DATABASES
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_DATABASES

pytestmark = ON_DATABASES

ALLOW_ALL = {"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}
_NUMBERS = itertools.count(1)


@pytest.fixture
def forget(server: Server) -> Iterator[Callable[[str], None]]:
    """What removes VPCs at the end of a test, with all that is in them."""
    made: list[str] = []
    yield made.append
    for vpc_id in made:
        server.write(lambda db, vpc_id=vpc_id: owned.remove(db, vpc_id))  # type: ignore[misc]


@pytest.fixture
def make(ec2: Any, forget: Callable[[str], None]) -> Callable[..., dict[str, Any]]:
    """Make a VPC on networks that nobody comes from."""

    def made(client: Any = ec2, **members: Any) -> dict[str, Any]:
        members.setdefault("CidrBlock", f"10.{next(_NUMBERS)}.0.0/16")
        vpc: dict[str, Any] = client.create_vpc(**members)["Vpc"]
        forget(vpc["VpcId"])
        return vpc

    return made


@pytest.fixture
def vpc(make: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make()


@pytest.fixture
def subnet(ec2: Any, vpc: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=inside(vpc, "1.0/24"))["Subnet"]
    return made


@pytest.fixture
def group_id(ec2: Any, vpc: dict[str, Any]) -> str:
    made = ec2.create_security_group(GroupName="endpoints", Description="who may", VpcId=vpc["VpcId"])
    return str(made["GroupId"])


def inside(vpc: dict[str, Any], rest: str) -> str:
    """A network or address in the VPC."""
    return ".".join(vpc["CidrBlock"].split(".")[:2]) + "." + rest


def interface(ec2: Any, vpc: dict[str, Any], service: str = "ecr.dkr", **members: Any) -> dict[str, Any]:
    name = f"com.amazonaws.us-east-1.{service}"
    created = ec2.create_vpc_endpoint(VpcId=vpc["VpcId"], VpcEndpointType="Interface", ServiceName=name, **members)
    made: dict[str, Any] = created["VpcEndpoint"]
    return made


def gateway(ec2: Any, vpc: dict[str, Any], **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = ec2.create_vpc_endpoint(
        VpcId=vpc["VpcId"], ServiceName="com.amazonaws.us-east-1.s3", **members
    )["VpcEndpoint"]
    return made


def main_table(ec2: Any, vpc: dict[str, Any]) -> dict[str, Any]:
    filters = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}, {"Name": "association.main", "Values": ["true"]}]
    found: dict[str, Any] = ec2.describe_route_tables(Filters=filters)["RouteTables"][0]
    return found


def test_a_vpc_is_described_as_it_was_made(ec2: Any, make: Callable[..., dict[str, Any]]) -> None:
    tags = [{"Key": "Name", "Value": "prod"}]
    made = make(CidrBlock="172.20.5.9/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])

    described = ec2.describe_vpcs(VpcIds=[made["VpcId"]])["Vpcs"]

    assert described == [made]
    assert (made["CidrBlock"], made["State"], made["OwnerId"]) == ("172.20.0.0/16", "available", ACCOUNT)
    assert made["Tags"] == tags
    assert not made["IsDefault"]


def test_every_vpc_has_a_main_route_table_and_a_default_group_that_admits_its_networks(
    ec2: Any, vpc: dict[str, Any]
) -> None:
    table = main_table(ec2, vpc)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["SecurityGroups"]

    assert [association["Main"] for association in table["Associations"]] == [True]
    assert [route["DestinationCidrBlock"] for route in table["Routes"]] == [vpc["CidrBlock"]]
    assert [group["GroupName"] for group in groups] == ["default"]
    assert groups[0]["IpPermissions"][0]["IpRanges"] == [{"CidrIp": vpc["CidrBlock"]}]
    told = error_of(ec2.delete_security_group, GroupId=groups[0]["GroupId"])
    assert told == (
        "CannotDelete",
        f'the specified group: "{groups[0]["GroupId"]}" name: "default" cannot be deleted by a user',
    )


@pytest.mark.parametrize(
    ("call", "members", "expected"),
    [
        ("describe_vpcs", {"VpcIds": ["vpc-1"]}, ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist")),
        ("delete_vpc", {"VpcId": "vpc-1"}, ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist")),
        (
            "create_subnet",
            {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"},
            ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist"),
        ),
        (
            "create_vpc_endpoint",
            {"VpcId": "vpc-1", "ServiceName": "com.amazonaws.us-east-1.s3"},
            ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist"),
        ),
        (
            "describe_subnets",
            {"SubnetIds": ["subnet-1"]},
            ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist"),
        ),
        (
            "delete_subnet",
            {"SubnetId": "subnet-1"},
            ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist"),
        ),
        (
            "describe_security_groups",
            {"GroupIds": ["sg-1"]},
            ("InvalidGroup.NotFound", "The security group 'sg-1' does not exist"),
        ),
        (
            "delete_security_group",
            {"GroupId": "sg-1"},
            ("InvalidGroup.NotFound", "The security group 'sg-1' does not exist"),
        ),
        (
            "authorize_security_group_ingress",
            {"GroupId": "sg-1", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/8"},
            ("InvalidGroup.NotFound", "The security group 'sg-1' does not exist"),
        ),
        (
            "describe_route_tables",
            {"RouteTableIds": ["rtb-1"]},
            ("InvalidRouteTableID.NotFound", "The routeTable ID 'rtb-1' does not exist"),
        ),
        (
            "associate_route_table",
            {"RouteTableId": "rtb-1", "SubnetId": "subnet-1"},
            ("InvalidRouteTableID.NotFound", "The routeTable ID 'rtb-1' does not exist"),
        ),
        (
            "disassociate_route_table",
            {"AssociationId": "rtbassoc-1"},
            ("InvalidAssociationID.NotFound", "The association ID 'rtbassoc-1' does not exist"),
        ),
        (
            "describe_vpc_endpoints",
            {"VpcEndpointIds": ["vpce-1"]},
            ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id 'vpce-1' does not exist"),
        ),
        (
            "modify_vpc_endpoint",
            {"VpcEndpointId": "vpce-1"},
            ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id 'vpce-1' does not exist"),
        ),
        (
            "describe_vpc_endpoint_services",
            {"ServiceNames": ["com.amazonaws.us-east-1.logs"]},
            ("InvalidServiceName", "The Vpc Endpoint Service 'com.amazonaws.us-east-1.logs' does not exist"),
        ),
        ("create_vpc", {"CidrBlock": "10.0.0.0/8"}, ("InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid.")),
        ("create_vpc", {"CidrBlock": "10.0.0.0/29"}, ("InvalidVpc.Range", "The CIDR '10.0.0.0/29' is invalid.")),
        ("create_vpc", {"CidrBlock": "127.0.0.0/16"}, ("InvalidVpc.Range", "The CIDR '127.0.0.0/16' is invalid.")),
        (
            "create_vpc",
            {"CidrBlock": "10.0.0.0"},
            (
                "InvalidParameterValue",
                "Value (10.0.0.0) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
            ),
        ),
        (
            "create_vpc",
            {},
            ("InvalidParameterCombination", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."),
        ),
        (
            "create_vpc",
            {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "dedicated"},
            ("UnsupportedOperation", "openecr's VPCs have no InstanceTenancy; leave it out"),
        ),
        (
            "describe_vpcs",
            {"Filters": [{"Name": "dhcp-options-id", "Values": ["x"]}]},
            ("InvalidParameterValue", "The filter 'dhcp-options-id' is invalid"),
        ),
        (
            "describe_vpc_endpoints",
            {"MaxResults": 2000},
            ("InvalidParameterValue", "Value ( 2000 ) for parameter maxResults is invalid."),
        ),
    ],
)
def test_what_cannot_be_is_told_in_ec2s_words(
    ec2: Any, call: str, members: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert error_of(getattr(ec2, call), **members) == expected


def test_a_subnet_lies_in_its_vpc_and_on_no_other(ec2: Any, vpc: dict[str, Any], subnet: dict[str, Any]) -> None:
    outside = "192.168.0.0/24"
    overlapping = inside(vpc, "1.128/25")

    assert ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"] == [subnet]
    assert (subnet["AvailabilityZone"], subnet["AvailableIpAddressCount"]) == ("us-east-1a", 251)
    told = error_of(ec2.create_subnet, VpcId=vpc["VpcId"], CidrBlock=outside)
    assert told == ("InvalidSubnet.Range", f"The CIDR '{outside}' is invalid.")
    told = error_of(ec2.create_subnet, VpcId=vpc["VpcId"], CidrBlock=overlapping)
    assert told == ("InvalidSubnet.Conflict", f"The CIDR '{overlapping}' conflicts with another subnet")


def test_networks_that_another_vpc_has_are_refused_whoever_owns_it(
    server: Server, ec2: Any, make: Callable[..., dict[str, Any]], vpc: dict[str, Any]
) -> None:
    other = server.client("ec2", OTHER_ACCOUNT)
    pending = make(other, CidrBlock=vpc["CidrBlock"])

    code, message = error_of(ec2.create_vpc, CidrBlock=inside(vpc, "64.0/24"))

    assert code == "CidrConflict"
    assert message.startswith(f"The CIDR '{inside(vpc, '64.0/24')}' conflicts with another VPC of this deployment")
    # Another account's counts only once the operator declares it, which cannot be while its networks are taken.
    assert pending["State"] == "pending"
    refused = server.command("vpc", "declare", pending["VpcId"], "--account", OTHER_ACCOUNT, check=False)
    assert refused.returncode == 1
    assert f"The CIDR '{vpc['CidrBlock']}' conflicts with another VPC" in refused.stderr
    told = error_of(ec2.describe_vpcs, VpcIds=[pending["VpcId"]])
    assert told == ("InvalidVpcID.NotFound", f"The vpc ID '{pending['VpcId']}' does not exist")


def test_a_group_admits_what_its_rules_say(ec2: Any, vpc: dict[str, Any], group_id: str) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.1.2.3/24"}]}
    answer = ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
    made = answer["SecurityGroupRules"][0]
    flat = {"IpProtocol": "6", "FromPort": 443, "ToPort": 443, "CidrIp": "10.1.2.0/24"}

    group = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    assert (made["CidrIpv4"], made["IsEgress"]) == ("10.1.2.0/24", False)
    assert [(p["IpProtocol"], p["FromPort"], p["IpRanges"]) for p in group["IpPermissions"]] == [
        ("tcp", 443, [{"CidrIp": "10.1.2.0/24"}])
    ]
    assert error_of(ec2.authorize_security_group_ingress, GroupId=group_id, **flat) == (
        "InvalidPermission.Duplicate",
        'the specified rule "peer: 10.1.2.0/24, TCP, from port: 443, to port: 443, ALLOW" already exists',
    )
    ec2.revoke_security_group_ingress(GroupId=group_id, **flat)
    missing = ("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    assert error_of(ec2.revoke_security_group_ingress, GroupId=group_id, IpPermissions=[rule]) == missing
    ids = {"SecurityGroupRuleIds": [made["SecurityGroupRuleId"]]}
    assert error_of(ec2.revoke_security_group_ingress, GroupId=group_id, **ids) == missing


@pytest.mark.parametrize(
    ("permission", "code", "told"),
    [
        ({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}, "MissingParameter", "IpPermissions.IpRanges"),
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "InvalidParameterValue", "from and to ports"),
        (
            {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
            "InvalidParameterValue",
            "Invalid TCP/UDP port range (9:1)",
        ),
        (
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 9, "IpRanges": [{"CidrIp": "300.0.0.0/8"}]},
            "InvalidParameterValue",
            "Value (300.0.0.0/8) for parameter cidrIp is invalid",
        ),
        ({"IpProtocol": "smoke", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "InvalidParameterValue", "Unknown protocol"),
        (
            {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]},
            "UnsupportedOperation",
            "openecr knows sources by their addresses",
        ),
        (
            {"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1"}]},
            "UnsupportedOperation",
            "openecr knows sources by their addresses",
        ),
    ],
)
def test_a_rule_that_would_admit_nobody_is_refused(
    ec2: Any, group_id: str, permission: dict[str, Any], code: str, told: str
) -> None:
    refused = error_of(ec2.authorize_security_group_ingress, GroupId=group_id, IpPermissions=[permission])

    assert refused[0] == code
    assert told in refused[1]


def test_a_subnet_follows_a_route_table_of_its_own_until_it_is_taken_away(
    ec2: Any, vpc: dict[str, Any], subnet: dict[str, Any]
) -> None:
    table_id = ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
    there = {"RouteTableId": table_id, "SubnetId": subnet["SubnetId"]}
    association_id = ec2.associate_route_table(**there)["AssociationId"]

    by_subnet = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
    found = ec2.describe_route_tables(Filters=by_subnet)["RouteTables"]
    assert [table["RouteTableId"] for table in found] == [table_id]
    assert ec2.associate_route_table(**there)["AssociationId"] == association_id
    other = {"RouteTableId": main_table(ec2, vpc)["RouteTableId"], "SubnetId": subnet["SubnetId"]}
    assert error_of(ec2.associate_route_table, **other)[0] == "Resource.AlreadyAssociated"
    told = f"The routeTable '{table_id}' has dependencies and cannot be deleted."
    assert error_of(ec2.delete_route_table, RouteTableId=table_id) == ("DependencyViolation", told)
    ec2.disassociate_route_table(AssociationId=association_id)
    ec2.delete_route_table(RouteTableId=table_id)
    assert ec2.describe_route_tables(Filters=by_subnet)["RouteTables"] == []


def test_an_interface_endpoint_is_described_as_it_was_made(
    ec2: Any, vpc: dict[str, Any], subnet: dict[str, Any], group_id: str
) -> None:
    made = interface(ec2, vpc, SubnetIds=[subnet["SubnetId"]], SecurityGroupIds=[group_id])

    assert datetime.now(UTC) - made.pop("CreationTimestamp") < timedelta(seconds=60)
    assert json.loads(made.pop("PolicyDocument")) == {"Statement": [ALLOW_ALL]}
    assert made == {
        "VpcEndpointId": made["VpcEndpointId"],
        "VpcEndpointType": "Interface",
        "VpcId": vpc["VpcId"],
        "ServiceName": "com.amazonaws.us-east-1.ecr.dkr",
        "State": "available",
        "RouteTableIds": [],
        "SubnetIds": [subnet["SubnetId"]],
        "Groups": [{"GroupId": group_id, "GroupName": "endpoints"}],
        "IpAddressType": "ipv4",
        "PrivateDnsEnabled": True,
        "RequesterManaged": False,
        "NetworkInterfaceIds": [],
        "DnsEntries": [],
        "Tags": [],
        "OwnerId": ACCOUNT,
    }
    for call, members, told in (
        (ec2.delete_security_group, {"GroupId": group_id}, f"resource {group_id} has a dependent object"),
        (
            ec2.delete_subnet,
            {"SubnetId": subnet["SubnetId"]},
            f"The subnet '{subnet['SubnetId']}' has dependencies and cannot be deleted.",
        ),
        (
            ec2.delete_vpc,
            {"VpcId": vpc["VpcId"]},
            f"The vpc '{vpc['VpcId']}' has dependencies and cannot be deleted.",
        ),
    ):
        assert error_of(call, **members) == ("DependencyViolation", told)


def test_an_endpoint_is_made_once_for_one_token(ec2: Any, vpc: dict[str, Any]) -> None:
    first = gateway(ec2, vpc, ClientToken="once")

    assert gateway(ec2, vpc, ClientToken="once") == first
    assert len(ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["VpcEndpoints"]) == 1


def test_what_an_endpoint_may_not_be_is_refused(ec2: Any, vpc: dict[str, Any], subnet: dict[str, Any]) -> None:
    table_id = main_table(ec2, vpc)["RouteTableId"]
    s3 = gateway(ec2, vpc, RouteTableIds=[table_id])
    interface(ec2, vpc, "ecr.api")
    at = {"VpcId": vpc["VpcId"]}
    api = at | {"ServiceName": "com.amazonaws.us-east-1.ecr.api", "VpcEndpointType": "Interface"}
    layers = at | {"ServiceName": "com.amazonaws.us-east-1.s3"}

    conflict = (
        "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
        f"api.ecr.us-east-1.amazonaws.com in the VPC {vpc['VpcId']}"
    )
    for members, code, told in (
        (api, "InvalidParameter", conflict),
        (api | {"VpcEndpointType": "Gateway"}, "InvalidParameter", "type (Gateway) should be Interface"),
        (layers | {"VpcEndpointType": "Interface"}, "InvalidParameter", "type (Interface) should be Gateway"),
        (layers | {"SubnetIds": [subnet["SubnetId"]]}, "InvalidParameter", "SubnetIds not supported"),
        (layers | {"RouteTableIds": ["rtb-1"]}, "InvalidRouteTableID.NotFound", "'rtb-1' does not exist"),
        (layers | {"RouteTableIds": [table_id]}, "RouteAlreadyExists", table_id),
        (api | {"SubnetIds": ["subnet-1"]}, "InvalidSubnetID.NotFound", "'subnet-1' does not exist"),
        (api | {"SecurityGroupIds": ["sg-1"]}, "InvalidGroup.NotFound", "'sg-1' does not exist"),
        (api | {"RouteTableIds": [table_id]}, "InvalidParameter", "Route table IDs are not supported"),
        (api | {"ServiceName": "com.amazonaws.us-east-1.logs"}, "InvalidServiceName", "us-east-1.logs' does not exist"),
        (api | {"ServiceName": "com.amazonaws.eu-west-1.ecr.api"}, "InvalidServiceName", "does not exist"),
        (api | {"ServiceRegion": "eu-west-1"}, "UnsupportedOperation", "have no ServiceRegion"),
        (api | {"IpAddressType": "dualstack"}, "UnsupportedOperation", "have no IpAddressType"),
        (layers | {"PolicyDocument": "no policy"}, "InvalidPolicyDocument", "The policy document is invalid"),
        (layers | {"PolicyDocument": '{"Statement": [{"Effect": "Allow"}]}'}, "InvalidPolicyDocument", "invalid"),
        (layers | {"DryRun": False, "PrivateDnsEnabled": True}, "InvalidParameter", "Private DNS"),
    ):
        refused = error_of(ec2.create_vpc_endpoint, **members)
        assert refused[0] == code, members
        assert told in refused[1], members
    described = ec2.describe_vpc_endpoints(VpcEndpointIds=[s3["VpcEndpointId"]])["VpcEndpoints"]
    assert described == [s3]


def test_an_endpoint_is_changed_piece_by_piece(ec2: Any, vpc: dict[str, Any], group_id: str) -> None:
    table_id = main_table(ec2, vpc)["RouteTableId"]
    s3, dkr = gateway(ec2, vpc)["VpcEndpointId"], interface(ec2, vpc)["VpcEndpointId"]
    policy = json.dumps({"Statement": [ALLOW_ALL | {"Action": "s3:GetObject"}]})
    default_group = ec2.describe_vpc_endpoints(VpcEndpointIds=[dkr])["VpcEndpoints"][0]["Groups"][0]["GroupId"]

    ec2.modify_vpc_endpoint(VpcEndpointId=s3, AddRouteTableIds=[table_id], PolicyDocument=policy)
    ec2.modify_vpc_endpoint(
        VpcEndpointId=dkr,
        AddSecurityGroupIds=[group_id],
        RemoveSecurityGroupIds=[default_group],
        PrivateDnsEnabled=False,
    )

    changed = {item["VpcEndpointId"]: item for item in ec2.describe_vpc_endpoints()["VpcEndpoints"]}
    assert (changed[s3]["RouteTableIds"], changed[s3]["PolicyDocument"]) == ([table_id], policy)
    assert ([group["GroupId"] for group in changed[dkr]["Groups"]], changed[dkr]["PrivateDnsEnabled"]) == (
        [group_id],
        False,
    )
    routes = main_table(ec2, vpc)["Routes"]
    assert [route["GatewayId"] for route in routes] == ["local", s3]
    ec2.modify_vpc_endpoint(VpcEndpointId=s3, ResetPolicy=True)
    reset = ec2.describe_vpc_endpoints(VpcEndpointIds=[s3])["VpcEndpoints"][0]
    assert json.loads(reset["PolicyDocument"]) == {"Statement": [ALLOW_ALL]}
    assert error_of(ec2.modify_vpc_endpoint, VpcEndpointId=dkr, RemoveSecurityGroupIds=[group_id])[0] == (
        "InvalidParameter"
    )
    assert error_of(ec2.modify_vpc_endpoint, VpcEndpointId=s3, AddSecurityGroupIds=[group_id])[0] == "InvalidParameter"


def test_endpoints_are_deleted_and_those_that_are_not_there_told(ec2: Any, vpc: dict[str, Any]) -> None:
    s3 = gateway(ec2, vpc)["VpcEndpointId"]

    answer = ec2.delete_vpc_endpoints(VpcEndpointIds=[s3, "vpce-1"])

    error = {"Code": "InvalidVpcEndpointId.NotFound", "Message": "The Vpc Endpoint Id 'vpce-1' does not exist"}
    assert answer["Unsuccessful"] == [{"ResourceId": "vpce-1", "Error": error}]
    assert error_of(ec2.describe_vpc_endpoints, VpcEndpointIds=[s3])[0] == "InvalidVpcEndpointId.NotFound"
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert error_of(ec2.describe_vpcs, VpcIds=[vpc["VpcId"]])[0] == "InvalidVpcID.NotFound"


def test_listings_are_filtered_and_come_in_pages(ec2: Any, vpc: dict[str, Any]) -> None:
    for number in range(11):
        name = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": f"private-{number}"}]}]
        ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=inside(vpc, f"{number}.0/24"), TagSpecifications=name)
    ours = {"Name": "vpc-id", "Values": [vpc["VpcId"]]}

    def named(*filters: dict[str, Any]) -> list[str]:
        found = ec2.describe_subnets(Filters=[ours, *filters])["Subnets"]
        return sorted(subnet["Tags"][0]["Value"] for subnet in found)

    assert named({"Name": "tag:Name", "Values": ["private-1", "private-3"]}) == ["private-1", "private-3"]
    assert len(named({"Name": "tag:Name", "Values": ["private-?"]})) == 10
    assert named({"Name": "tag:Name", "Values": ["private-[13]"]}) == []
    assert named({"Name": "tag-key", "Values": ["Owner"]}) == []
    assert named({"Name": "cidr-block", "Values": [inside(vpc, "2.0/24")]}) == ["private-2"]
    pages = list(ec2.get_paginator("describe_subnets").paginate(Filters=[ours], PaginationConfig={"PageSize": 5}))
    assert [len(page["Subnets"]) for page in pages] == [5, 5, 1]
    assert len({subnet["SubnetId"] for page in pages for subnet in page["Subnets"]}) == 11
    token = pages[0]["NextToken"]
    assert error_of(ec2.describe_subnets, NextToken=token)[0] == "InvalidParameterValue"


def test_the_services_are_those_that_openecr_serves(ec2: Any) -> None:
    answer = members_of(ec2.describe_vpc_endpoint_services())

    short = ("ec2", "ecr.api", "ecr.dkr", "kms", "s3", "sts")
    assert answer["ServiceNames"] == [f"com.amazonaws.us-east-1.{name}" for name in short]
    types = {d["ServiceName"].partition("us-east-1.")[2]: d["ServiceType"] for d in answer["ServiceDetails"]}
    assert types["s3"] == [{"ServiceType": "Gateway"}]
    assert types["ecr.dkr"] == [{"ServiceType": "Interface"}]
    assert ec2.describe_vpc_endpoint_services(ServiceRegions=["eu-west-1"])["ServiceNames"] == []


def test_a_dry_run_says_that_it_would_succeed_and_does_nothing(ec2: Any, vpc: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        ec2.delete_vpc(VpcId=vpc["VpcId"], DryRun=True)

    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert answer["Error"] == {
        "Code": "DryRunOperation",
        "Message": "Request would have succeeded, but DryRun flag is set.",
    }
    assert len(ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"]) == 1


def test_the_cli_makes_the_courses_endpoint_for_ids_that_were_declared(
    server: Server, forget: Callable[[str], None]
) -> None:
    forget("vpc-12345678")
    server.command(
        "vpc",
        "declare",
        "vpc-12345678",
        *("--cidr", "10.200.0.0/16", "--security-group", "sg-55556666"),
        *("--subnet", "subnet-11112222=10.200.1.0/24", "--subnet", "subnet-33334444=10.200.2.0/24"),
    )

    created = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("aws")), "ec2", "create-vpc-endpoint", "--vpc-id", "vpc-12345678"),
            *("--vpc-endpoint-type", "Interface", "--service-name", "com.amazonaws.us-east-1.ecr.dkr"),
            *("--subnet-ids", "subnet-11112222", "subnet-33334444", "--security-group-ids", "sg-55556666"),
        ],
        env=server.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert created.returncode == 0, created.stderr
    endpoint = json.loads(created.stdout)["VpcEndpoint"]
    assert endpoint["SubnetIds"] == ["subnet-11112222", "subnet-33334444"]
    assert [group["GroupId"] for group in endpoint["Groups"]] == ["sg-55556666"]
    assert endpoint["State"] == "available"
    assert endpoint["VpcEndpointId"] in server.command("vpc", "show", "vpc-12345678").stdout
