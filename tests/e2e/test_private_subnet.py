"""A private subnet, a network namespace of its own: AWS CLI and skopeo reach what its VPC has endpoints for."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.images import push_busybox
from tests.e2e.shell import Shell
from tests.many.network import Network, network
from tests.registry_client import RegistryClient
from tests.running import DEFAULT_ACCOUNT, Server, openecr

PORT = 5050
NAME = "team/app"
VPC_ID, SUBNET, GROUP = "vpc-12345678", "subnet-11112222", "sg-55556666"
PATIENCE = "6s"
"""How long a client that gets no answer is waited for."""


@dataclass(frozen=True)
class Hosts:
    """A registry, a host in a private subnet, and one that is in no VPC."""

    network: Network
    server: Server
    shell: Shell
    folder: Path

    def run(self, host: str, *command: str, stdin: str | None = None) -> str:
        """Run a client on a host, which must succeed."""
        return self.shell.both(*self.network.inside(host), *command, stdin=stdin)

    def fail(self, host: str, *command: str) -> str:
        """Run a client on a host, which must fail; what it said."""
        return self.shell.fail(*self.network.inside(host), *command)

    def login(self, host: str) -> str:
        """Exchange the keys for a password on a host, and hand it to skopeo, as its user would."""
        password = self.run(host, "aws", "ecr", "get-login-password")
        login = ("login", "--tls-verify=false", "--username", "AWS", "--password-stdin", self.server.host)
        return self.run(host, "skopeo", *login, stdin=password)

    def copy(self, host: str) -> tuple[str, ...]:
        """The command that pulls the image whole."""
        target = self.folder / f"pulled-by-{host}"
        source = f"docker://{self.server.host}/{NAME}:v1"
        options = (f"--command-timeout={PATIENCE}", "copy", "--src-tls-verify=false")
        return ("skopeo", *options, source, f"dir:{target}")

    def manifest(self, host: str) -> Any:
        """The manifest, as skopeo gets it."""
        source = f"docker://{self.server.host}/{NAME}:v1"
        return json.loads(self.run(host, "skopeo", "inspect", "--raw", "--tls-verify=false", source))

    def endpoint(self, service: str, *more: str) -> str:
        """Make an endpoint with the AWS CLI, from outside; its id."""
        kind = "Gateway" if service == "s3" else "Interface"
        place = () if service == "s3" else ("--subnet-ids", SUBNET, "--security-group-ids", GROUP)
        named = ("--vpc-endpoint-type", kind, "--service-name", f"com.amazonaws.us-east-1.{service}")
        made = self.run("outside", "aws", "ec2", "create-vpc-endpoint", "--vpc-id", VPC_ID, *named, *place, *more)
        return str(json.loads(made)["VpcEndpoint"]["VpcEndpointId"])

    def main_table(self) -> str:
        """The route table that the subnet follows."""
        asked = ("--filters", f"Name=vpc-id,Values={VPC_ID}", "--query", "RouteTables[0].RouteTableId")
        return self.run("outside", "aws", "ec2", "describe-route-tables", *asked, "--output", "text").strip()


@pytest.fixture
def hosts(debian: None, aws_programs: Path, tmp_path: Path) -> Iterator[Hosts]:
    net = f"10.{160 + os.getpid() // 250 % 16}.{os.getpid() % 250}"
    with network(f"vp{os.getpid() % 100_000}", net, "registry", "private", "outside") as made:
        address = made.addresses["registry"]
        flags = ("--host", address, "--url", f"http://{address}:{PORT}", "--workers", "1")
        server = Server(tmp_path / "data", PORT, flags, address=address, inside=made.inside("registry"))
        server.data_dir.mkdir()
        server.start()
        try:
            server.client("ecr").create_repository(repositoryName=NAME)
            push_busybox(RegistryClient(PORT, server.password(), address), NAME, "v1", "private")
            networks = ("--cidr", f"{made.addresses['private']}/32", "--public-access", "no")
            parts = ("--subnet", f"{SUBNET}={made.addresses['private']}/32", "--security-group", GROUP)
            server.command("vpc", "declare", VPC_ID, *networks, *parts)
            kept = {name: value for name, value in server.environment().items() if name.startswith("AWS_")}
            variables = kept | {
                "HOME": str(tmp_path),
                "XDG_RUNTIME_DIR": str(tmp_path),
                "PATH": f"{aws_programs}:{os.environ['PATH']}",
                "AWS_MAX_ATTEMPTS": "1",
                "AWS_PAGER": "",
            }
            yield Hosts(made, server, Shell(variables), tmp_path)
        finally:
            server.stop()


def test_a_private_subnet_pulls_with_all_three_endpoints_and_hangs_at_the_layers_without_s3(hosts: Hosts) -> None:
    silent = hosts.fail("private", "aws", "ecr", "get-login-password", "--cli-read-timeout", "3")
    assert "Read timeout on endpoint URL" in silent
    hosts.endpoint("ecr.api")
    hosts.endpoint("ecr.dkr")
    assert "Login Succeeded" in hosts.login("private")
    assert len(hosts.manifest("private")["layers"]) > 0
    # The course's "hang indefinitely": the client is the one that gives up, without a word from the registry.
    said = hosts.fail("private", *hosts.copy("private"))
    assert "context deadline exceeded" in said
    assert not any(word in said for word in ("denied", "403", "404", "EOF", "reset"))

    hosts.endpoint("s3", "--route-table-ids", hosts.main_table())
    hosts.run("private", *hosts.copy("private"))
    pulled = {path.name for path in (hosts.folder / "pulled-by-private").iterdir()}
    assert "manifest.json" in pulled
    assert len(pulled) >= 4


def test_an_endpoint_policy_and_a_repository_policy_decide_who_gets_what_from_where(hosts: Hosts) -> None:
    allow = {"Effect": "Allow", "Principal": "*", "Resource": "*"}
    narrow = {"Statement": [allow | {"Action": ["ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken"]}]}
    api = hosts.endpoint("ecr.api")
    dkr = hosts.endpoint("ecr.dkr", "--policy-document", json.dumps(narrow))
    hosts.endpoint("s3", "--route-table-ids", hosts.main_table())
    hosts.login("private")
    hosts.login("outside")

    said = hosts.fail("private", *hosts.copy("private"))
    assert "is not authorized to perform: ecr:BatchGetImage on resource: " in said
    assert "because no VPC endpoint policy allows the ecr:BatchGetImage action" in said
    hosts.run("outside", "aws", "ec2", "modify-vpc-endpoint", "--vpc-endpoint-id", dkr, "--reset-policy")
    hosts.run("private", *hosts.copy("private"))
    hosts.run("outside", *hosts.copy("outside"))

    # From now on only through these endpoints, whatever the caller's rights.
    deny = {
        "Sid": "OnlyFromOurVpc",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"StringNotEquals": {"aws:SourceVpce": [api, dkr]}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    named = ("--repository-name", NAME, "--policy-text", policy)
    hosts.run("outside", "aws", "ecr", "set-repository-policy", *named)
    said = hosts.fail("outside", *hosts.copy("outside"))
    principal = f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/administrator"
    assert f"User: {principal} is not authorized to perform: ecr:BatchGetImage on resource: " in said
    assert "with an explicit deny in a resource-based policy" in said
    image = ("--repository-name", NAME, "--image-ids", "imageTag=v1")
    assert "explicit deny" in hosts.fail("outside", "aws", "ecr", "batch-get-image", *image)
    hosts.run("private", *hosts.copy("private"))
    assert json.loads(hosts.run("private", "aws", "ecr", "batch-get-image", *image))["images"]


def test_the_private_subnet_explains_itself_to_its_operator(hosts: Hosts) -> None:
    shown = openecr("vpc", "show", VPC_ID, "--data-dir", str(hosts.server.data_dir)).stdout

    assert "public access   no" in shown
    assert f"{SUBNET}  {hosts.network.addresses['private']}/32" in shown
