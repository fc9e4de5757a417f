"""Nodes' networks, hosts that a browser could be tricked into naming, and when sessions are renewed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.services.workloads.workload_rules import (
    NoNetwork,
    names_this_machine,
    networks_of,
    node_network,
    renews_at_us,
    was_forwarded,
)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.7", "10.0.0.7/32"),
        ("10.0.7.0/24", "10.0.7.0/24"),
        ("10.0.7.0/255.255.255.0", "10.0.7.0/24"),
        ("FD00:0::7", "fd00::7/128"),
        ("fd00::/64", "fd00::/64"),
    ],
)
def test_a_network_has_one_spelling(text: str, network: str) -> None:
    assert node_network(text) == network


@pytest.mark.parametrize("text", ["", "x", "10.0.0.1/8", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0.1:80"])
def test_what_is_no_network_of_nodes_is_told(text: str) -> None:
    with pytest.raises(NoNetwork):
        node_network(text)


@given(st.ip_addresses(), st.integers(1, 128))
def test_an_address_is_in_its_networks_the_narrowest_first(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    found = networks_of(str(source))

    if getattr(source, "ipv4_mapped", None) is None:
        assert found[0] == node_network(str(source))
        assert all(source in ipaddress.ip_network(network) for network in found)
        declared = ipaddress.ip_network((source, min(length, source.max_prefixlen)), strict=False)
        assert node_network(str(declared)) in found
    lengths = [ipaddress.ip_network(network).prefixlen for network in found]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == 1


def test_an_ipv4_address_in_ipv6_is_the_ipv4_address() -> None:
    assert networks_of("::ffff:10.0.0.7") == networks_of("10.0.0.7")


@pytest.mark.parametrize("source", ["", "unix:", "10.0.0", "localhost"])
def test_what_is_no_address_is_in_no_network(source: str) -> None:
    assert networks_of(source) == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("169.254.169.254", True),
        ("127.0.0.1:5051", True),
        ("[fd00:ec2::254]", True),
        ("[fd00:ec2::254]:80", True),
        ("localhost:5051", True),
        ("LOCALHOST", True),
        ("", False),
        ("metadata", False),
        ("rebound.example.com", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com:80", False),
        ("[example.com]", False),
    ],
)
def test_a_name_that_dns_could_point_anywhere_is_refused(host: str, expected: bool) -> None:
    assert names_this_machine(host) is expected


def test_a_proxys_headers_are_seen() -> None:
    assert was_forwarded({b"host": b"x", b"x-forwarded-for": b""})
    assert not was_forwarded({b"host": b"x"})


def test_half_of_a_session_is_left_when_the_next_begins() -> None:
    assert renews_at_us(1_000_000, 3600) == 1_000_000 + 1_800_000_000
