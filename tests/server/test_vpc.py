"""What an operator sees of VPCs: their commands, the explaining setting, listeners of their own, proxies in front."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.registry_client import RegistryClient, digest_of
from tests.running import OTHER_ACCOUNT, Server, openecr, running

PROXY = "127.0.0.1"
LISTENER = "127.66.0.1"
SOURCE = "127.77.1.5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that explains, trusts a proxy and has an address for a VPC; two VPCs share their networks."""
    folder = tmp_path_factory.mktemp("vpc")
    flags = ("--workers", "1", "--trusted-proxy", f"{PROXY}/32", "--vpc-listener", LISTENER)
    variables = {"OPENECR_VPC_REFUSALS": "explain"}
    with running(folder, *flags, accounts=(OTHER_ACCOUNT,), variables=variables) as started:
        networks = ("--cidr", "127.77.0.0/16", "--cidr", "198.51.100.0/24")
        started.command("vpc", "declare", "vpc-11111111", *networks, "--public-access", "no")
        started.command("vpc", "declare", "vpc-22222222", *networks, "--listener", LISTENER)
        yield started


@pytest.fixture(scope="module")
def docker(server: Server) -> RegistryClient:
    client = RegistryClient(server.port, server.password(), host=PROXY)
    server.client("ecr").create_repository(repositoryName="kept")
    client.push_image("kept", "v1", b"layer")
    return client


def test_a_refusal_is_explained_on_every_plane(server: Server, docker: RegistryClient) -> None:
    inside = replace(docker, source=SOURCE)
    reason = f"{SOURCE} is in vpc-11111111, which has no public access and no endpoint for com.amazonaws.us-east-1"

    status, code, message = inside.request("GET", "/v2/").error
    assert (status, code) == (403, "DENIED")
    assert message == f"On AWS this request would get no answer: {reason}.ecr.dkr; create one in the VPC"
    location = docker.request("GET", f"/v2/kept/blobs/{digest_of(b'layer')}").headers["location"]
    layer = inside.request("GET", location)
    assert layer.status == 403
    assert f"<Code>AccessDenied</Code><Message>On AWS this request would get no answer: {reason}.s3;".encode() in (
        layer.body
    )
    client = server.client("ecr")
    client._endpoint.http_session._manager.connection_pool_kw["source_address"] = (SOURCE, 0)
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.describe_repositories()
    told = refused.value.response
    assert (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]) == (403, "AccessDeniedException")
    assert f"{reason}.ecr.api" in told["Error"]["Message"]


def test_a_vpc_with_a_listener_is_meant_there_and_the_other_everywhere_else(docker: RegistryClient) -> None:
    inside = replace(docker, source=SOURCE)

    assert replace(inside, host=LISTENER).request("GET", "/v2/").status == 200
    assert inside.request("GET", "/v2/").status == 403
    assert replace(docker, host=LISTENER).request("GET", "/v2/").status == 200


@pytest.mark.parametrize(
    ("chain", "inside"),
    [
        ("198.51.100.7", True),
        ("198.51.100.7:51000", True),
        ("::ffff:198.51.100.7", True),
        ("192.0.2.9, 198.51.100.7", True),
        (f"198.51.100.7, {PROXY}", True),
        # What stands before the address that our proxy saw is the client's own word.
        ("198.51.100.7, 192.0.2.9", False),
        (f"198.51.100.7, 192.0.2.9, {PROXY}", False),
        ("192.0.2.9", False),
        ("198.51.100.7, unknown", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_a_trusted_proxys_word_says_which_network_a_client_is_in(
    docker: RegistryClient, chain: str, inside: bool
) -> None:
    answer = replace(docker, source=PROXY, headers={"X-Forwarded-For": chain}).request("GET", "/v2/")

    assert answer.status == (403 if inside else 200), answer


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Original-Forwarded-For"]
)
def test_no_other_header_counts_even_from_a_trusted_proxy(docker: RegistryClient, name: str) -> None:
    value = "for=198.51.100.7" if name == "Forwarded" else "198.51.100.7"

    assert replace(docker, source=PROXY, headers={name: value}).request("GET", "/v2/").status == 200


def test_a_header_in_two_lines_is_one_chain(server: Server, docker: RegistryClient) -> None:
    """Whoever sends a line of his own before the proxy's gains nothing."""
    with socket.create_connection((PROXY, server.port), 30, (PROXY, 0)) as connection:
        lines = "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 192.0.2.9\r\n"
        connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_an_untrusted_peer_is_where_it_is_whatever_it_says(docker: RegistryClient) -> None:
    says = {"X-Forwarded-For": "192.0.2.9"}

    assert replace(docker, source=SOURCE, headers=says).request("GET", "/v2/").status == 403


def test_a_vpc_is_declared_listed_shown_changed_and_forgotten(server: Server) -> None:
    server.command("vpc", "declare", "vpc-33333333", "--cidr", "10.3.0.0/16", "--security-group", "sg-33333333")
    shown = server.command(
        "vpc",
        "declare",
        "vpc-33333333",
        *("--subnet", "subnet-33333333=10.3.1.0/24", "--cidr", "fd00:3::/48", "--public-access", "no"),
    ).stdout

    assert "networks        10.3.0.0/16, fd00:3::/48\n" in shown
    assert "public access   no\n" in shown
    assert "security group  sg-33333333  declared-sg-33333333  admits 10.3.0.0/16 on tcp 443\n" in shown
    assert "subnet          subnet-33333333  10.3.1.0/24" in shown
    assert server.command("vpc", "show", "vpc-33333333").stdout == shown
    document = json.loads(server.command("vpc", "show", "vpc-33333333", "--json").stdout)
    assert document["subnets"][0]["subnet_id"] == "subnet-33333333"
    assert "vpc-33333333" in server.command("vpc", "list").stdout
    assert server.client("ec2").describe_vpcs(VpcIds=["vpc-33333333"])["Vpcs"][0]["CidrBlock"] == "10.3.0.0/16"
    server.command("vpc", "forget", "vpc-33333333")
    assert server.command("vpc", "forget", "vpc-33333333", check=False).returncode == 1
    assert "vpc-33333333" not in server.command("vpc", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("vpc-1", "--cidr", "10.0.0.0/16"), "'vpc-1' is no id like vpc-11112222"),
        (("vpc-44444444",), "there is no vpc-44444444 yet; say which networks it has with --cidr"),
        (("vpc-44444444", "--cidr", "10.0.0.1/16"), "10.0.0.1/16 is no network"),
        (("vpc-44444444", "--cidr", "127.77.1.0/24"), "conflicts with another VPC of this deployment"),
        (("vpc-44444444", "--cidr", "10.4.0.0/16", "--listener", "here"), "--listener here is no address"),
        (("vpc-44444444", "--cidr", "10.4.0.0/16", "--subnet", "subnet-44444444"), "has no network"),
        (("vpc-44444444", "--cidr", "10.4.0.0/16", "--subnet", "subnet-44444444=10.5.0.0/24"), "is invalid"),
        (("vpc-44444444", "--cidr", "10.4.0.0/16", "--security-group", "web"), "'web' is no id like sg-11112222"),
        (("vpc-44444444", "--cidr", "10.4.0.0/16", "--account", "111111111111"), "there is no account 111111111111"),
        (("vpc-11111111", "--account", OTHER_ACCOUNT), "vpc-11111111 is a VPC of account 123456789012 in us-east-1"),
    ],
)
def test_what_cannot_be_declared_is_told_in_one_sentence(server: Server, arguments: tuple[str, ...], told: str) -> None:
    refused = server.command("vpc", "declare", *arguments, check=False)

    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert told in refused.stderr


def test_a_vpc_of_another_account_counts_once_it_is_declared(server: Server, docker: RegistryClient) -> None:
    made = server.client("ec2", OTHER_ACCOUNT).create_vpc(CidrBlock="203.0.113.0/24")["Vpc"]
    at = replace(docker, source=PROXY, headers={"X-Forwarded-For": "203.0.113.7"})

    assert (made["State"], at.request("GET", "/v2/").status) == ("pending", 200)
    server.command("vpc", "declare", made["VpcId"], "--account", OTHER_ACCOUNT, "--public-access", "no")
    assert at.request("GET", "/v2/").status == 403
    server.command("vpc", "forget", made["VpcId"])
    assert at.request("GET", "/v2/").status == 200


def test_silence_ends_after_the_set_time_and_a_stop_waits_for_none(tmp_path: Path) -> None:
    variables = {"OPENECR_VPC_TIMEOUT_SECONDS": "1"}
    with running(tmp_path, "--workers", "1", variables=variables) as server:
        server.command("vpc", "declare", "vpc-11111111", "--cidr", "127.77.0.0/16", "--public-access", "no")
        answer = RegistryClient(server.port, None, host=PROXY, source=SOURCE).request("GET", "/v2/")
        assert answer.error == (504, "UNAVAILABLE", "The request got no answer in time")
    server.variables = {}
    server.start()
    try:
        with socket.create_connection((PROXY, server.port), 30, (SOURCE, 0)) as held:
            held.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # The request after it on the same worker shows that it was taken up.
            assert RegistryClient(server.port, None, host=PROXY).request("GET", "/v2/").status == 401
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 25
    finally:
        server.stop()


def test_the_settings_are_checked(tmp_path: Path) -> None:
    for variable, value, told in (
        ("OPENECR_VPC_REFUSALS", "shout", "vpc_refusals is timeout or explain, not 'shout'"),
        ("OPENECR_VPC_TIMEOUT_SECONDS", "0", "vpc_timeout_seconds must be at least 1"),
        ("OPENECR_VPC_LISTENERS", "here", "--vpc-listener here is no address"),
    ):
        refused = openecr("serve", "--data-dir", str(tmp_path), check=False, env={variable: value, "PATH": "/usr/bin"})
        assert refused.returncode == 2
        assert told in refused.stderr
