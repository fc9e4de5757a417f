"""By which way requests of a declared network come, on every plane; sources are loopback addresses of this machine."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from openecr.names import RegistryName
from openecr.services.ec2 import declaring, owned
from openecr.services.ec2.declaring import Declaration
from tests.api.support import ACCOUNT, push
from tests.places import ON_AN_OBJECT_STORE_TOO
from tests.registry_client import RegistryClient, digest_of
from tests.running import Server

pytestmark = ON_AN_OBJECT_STORE_TOO

INSIDE, ELSEWHERE, OUTSIDE = "127.77.1.5", "127.77.2.5", "127.78.0.1"
VPC_ID, SUBNET, OTHER_SUBNET, GROUP = "vpc-77777777", "subnet-77777771", "subnet-77777772", "sg-77777777"
LAYER = b"a layer that a private subnet wants"
STARPORT = "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"
SILENCE_SECONDS = 0.7
"""How long a client listens before it takes silence for an answer."""


@dataclass(frozen=True)
class Network:
    """A declared network, and how its sources speak to the registry."""

    server: Server
    ec2: Any
    docker: RegistryClient
    repository: str
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, source: str) -> Any:
        """A boto3 client that comes from an address."""
        if (service, source) not in self.clients:
            made = self.server.client(service)
            made._endpoint.http_session._manager.connection_pool_kw["source_address"] = (source, 0)
            self.clients[service, source] = made
        return self.clients[service, source]

    def at(self, source: str) -> RegistryClient:
        """Docker at an address."""
        return replace(self.docker, source=source)

    def endpoint(self, service: str, **members: Any) -> str:
        """Make an endpoint in the VPC; its id."""
        kind = "Gateway" if service == "s3" else "Interface"
        if service != "s3":
            members.setdefault("SecurityGroupIds", [GROUP])
        name = f"com.amazonaws.us-east-1.{service}"
        made = self.ec2.create_vpc_endpoint(VpcId=VPC_ID, VpcEndpointType=kind, ServiceName=name, **members)
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    def main_table(self) -> str:
        """The route table that its subnets follow."""
        filters = [{"Name": "vpc-id", "Values": [VPC_ID]}]
        return str(self.ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"])

    def manifest(self, source: str) -> int:
        """The status of a pull by tag."""
        return self.at(source).request("GET", f"{self.docker.path(self.repository)}/manifests/v1").status

    def layer(self, source: str, found_from: str | None = None) -> Any:
        """The answer to a pull of the layer by the URL that the registry gave there."""
        path = f"{self.docker.path(self.repository)}/blobs/{digest_of(LAYER)}"
        found = self.at(found_from or source).request("GET", path)
        assert found.status == 307, found
        return self.at(source).follow(found)


def is_silent(server: Server, source: str, request: str) -> bool:
    """Whether a request gets not one byte and is not ended either, for as long as a test can wait."""
    with socket.create_connection(("127.0.0.1", server.port), 30, (source, 0)) as connection:
        connection.sendall(request.encode() + b"\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        connection.settimeout(SILENCE_SECONDS)
        try:
            connection.recv(1)
        except TimeoutError:
            return True
    return False


@pytest.fixture
def declare(server: Server) -> Iterator[Callable[..., None]]:
    """What declares the VPC of these tests, as ``openecr vpc declare`` does; it is forgotten at the end."""

    def declared(*, public_access: bool = True) -> None:
        told = Declaration(
            VPC_ID,
            ("127.77.0.0/16",),
            subnets=(f"{SUBNET}=127.77.1.0/24", f"{OTHER_SUBNET}=127.77.2.0/24"),
            groups=(f"{GROUP}=127.77.0.0/16",),
            public_access=public_access,
        )
        server.write(lambda db: declaring.declare(db, RegistryName(ACCOUNT, "us-east-1"), told, 1))

    yield declared
    server.write(lambda db: owned.remove(db, VPC_ID))


@pytest.fixture
def network(server: Server, ec2: Any, docker: RegistryClient, repository: str) -> Network:
    push(docker, repository, "vpc", "v1", layers=(LAYER,))
    return Network(server, ec2, docker, repository)


def test_a_private_vpc_without_the_s3_endpoint_gets_manifests_and_no_layer(
    network: Network, declare: Callable[..., None]
) -> None:
    declare(public_access=False)
    network.endpoint("ecr.api")
    network.endpoint("ecr.dkr")

    assert network.client("ecr", INSIDE).get_authorization_token()["authorizationData"]
    assert network.manifest(INSIDE) == 200
    found = network.at(INSIDE).request("GET", f"/v2/{network.repository}/blobs/{digest_of(LAYER)}")
    assert found.headers["location"].startswith("/layers/")
    assert is_silent(network.server, INSIDE, f"GET {found.headers['location']} HTTP/1.1")
    # With the route it works, and only where the subnet's table has it.
    network.endpoint("s3", RouteTableIds=[network.main_table()])
    assert network.layer(INSIDE).body == LAYER
    table_id = network.ec2.create_route_table(VpcId=VPC_ID)["RouteTable"]["RouteTableId"]
    network.ec2.associate_route_table(RouteTableId=table_id, SubnetId=OTHER_SUBNET)
    assert is_silent(network.server, ELSEWHERE, f"GET {found.headers['location']} HTTP/1.1")
    # What has no endpoint is silent too; who is elsewhere notices nothing.
    assert is_silent(network.server, INSIDE, f"GET /v2/{ACCOUNT}.eu-west-1/{network.repository}/manifests/v1 HTTP/1.1")
    assert network.layer(OUTSIDE).body == LAYER


def test_a_vpc_with_a_way_out_uses_it_where_it_has_no_endpoint(network: Network, declare: Callable[..., None]) -> None:
    declare()

    assert network.client("sts", INSIDE).get_caller_identity()["Account"] == ACCOUNT
    assert network.layer(INSIDE).body == LAYER


def test_a_source_that_no_group_admits_gets_no_answer(network: Network, declare: Callable[..., None]) -> None:
    declare()
    network.endpoint("ecr.dkr")
    rule = {"GroupId": GROUP, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}

    assert network.manifest(INSIDE) == 200
    network.ec2.revoke_security_group_ingress(**rule, CidrIp="127.77.0.0/16")
    network.ec2.authorize_security_group_ingress(**rule, CidrIp="127.77.2.0/24")
    # Not even to say hello, and not by the public side though there is a way out.
    assert is_silent(network.server, INSIDE, "GET /v2/ HTTP/1.1")
    assert network.manifest(ELSEWHERE) == 200


def test_an_endpoint_policy_denies_in_its_own_name(network: Network, declare: Callable[..., None]) -> None:
    declare()
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}
    policy = json.dumps({"Statement": [allowed]})
    network.endpoint("ecr.api", PolicyDocument=policy)
    network.endpoint("ecr.dkr", PolicyDocument=policy)
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{network.repository}"
    sentence = (
        f"User: arn:aws:iam::{ACCOUNT}:user/administrator is not authorized to perform: {{}} on resource: {{}} "
        "because no VPC endpoint policy allows the {} action"
    )

    assert network.manifest(INSIDE) == 200
    refused = network.at(INSIDE).request("GET", f"/v2/{network.repository}/blobs/{digest_of(LAYER)}")
    action = "ecr:GetDownloadUrlForLayer"
    assert refused.error == (403, "DENIED", sentence.format(action, arn, action))
    with pytest.raises(ClientError) as error:
        network.client("ecr", INSIDE).get_authorization_token()
    action = "ecr:GetAuthorizationToken"
    assert error.value.response["Error"]["Message"] == sentence.format(action, "*", action)
    # Through no endpoint there is no endpoint's policy.
    assert network.layer(OUTSIDE).body == LAYER


def test_the_s3_endpoints_policy_decides_about_layers_whoever_got_the_url(
    network: Network, declare: Callable[..., None]
) -> None:
    declare()
    s3 = network.endpoint("s3", RouteTableIds=[network.main_table()])
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": STARPORT}

    def with_policy(*statements: dict[str, Any]) -> Any:
        policy = json.dumps({"Statement": statements})
        network.ec2.modify_vpc_endpoint(VpcEndpointId=s3, PolicyDocument=policy)
        return network.layer(INSIDE)

    assert with_policy(allow).body == LAYER
    denied = with_policy(allow | {"Resource": "arn:aws:s3:::my-own-bucket/*"})
    assert denied.status == 403
    assert b"<Code>AccessDenied</Code>" in denied.body
    assert b"is not authorized to perform: s3:GetObject on resource: " in denied.body
    assert b"because no VPC endpoint policy allows the s3:GetObject action" in denied.body
    through = {"Condition": {"StringEquals": {"aws:SourceVpce": s3}}}
    assert with_policy(allow | through).body == LAYER
    assert with_policy(allow, {**allow, "Effect": "Deny", **through}).status == 403
    address = {"Condition": {"IpAddress": {"aws:VpcSourceIp": "127.77.1.0/24"}}}
    assert with_policy(allow | address).body == LAYER
    # The endpoint of whoever asks decides, not that of whoever was given the URL.
    with_policy(allow | {"Resource": "arn:aws:s3:::my-own-bucket/*"})
    assert network.layer(OUTSIDE, found_from=INSIDE).body == LAYER


def test_conditions_see_the_endpoint_on_both_planes(network: Network, declare: Callable[..., None]) -> None:
    declare()
    api = network.endpoint("ecr.api")
    conditions = {
        "aws:SourceVpce": ("StringEquals", api),
        "aws:SourceVpc": ("StringEquals", VPC_ID),
        "aws:VpcSourceIp": ("IpAddress", "127.77.1.0/24"),
    }
    for key, (operator, value) in conditions.items():
        deny = {"Effect": "Deny", "Principal": "*", "Action": "ecr:ListImages", "Resource": "*"}
        everything = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        policy = {"Statement": [everything, deny | {"Condition": {operator: {key: value}}}]}
        network.ec2.modify_vpc_endpoint(VpcEndpointId=api, PolicyDocument=json.dumps(policy))
        with pytest.raises(ClientError) as refused:
            network.client("ecr", INSIDE).list_images(repositoryName=network.repository)
        assert "with an explicit deny in a VPC endpoint policy" in str(refused.value), key
        network.client("ecr", INSIDE).describe_images(repositoryName=network.repository)
        network.client("ecr", OUTSIDE).list_images(repositoryName=network.repository)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Via"]
)
def test_nobody_gets_into_a_network_by_a_header(network: Network, declare: Callable[..., None], name: str) -> None:
    declare(public_access=False)
    value = f"for={INSIDE}" if name == "Forwarded" else INSIDE

    # A private network would be silent; whoever is outside is answered, whatever the header says.
    answer = replace(network.at(OUTSIDE), headers={name: value}).request("GET", "/v2/")
    assert answer.status == 200
    silent = f"GET /v2/ HTTP/1.1\r\n{name}: {OUTSIDE}"
    assert is_silent(network.server, INSIDE, silent)
