"""Whose forwarding headers count, and which address a chain of proxies leads to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.arrivals import HOST, Proxies, forwarded_for, headers_of

PROXIES = Proxies((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))
NOBODY = Proxies(())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("fe80::1", False),
        ("127.0.0.1", False),
        ("", False),
        ("unix:", False),
        ("10.1.2.3.4", False),
        ("10.1.2", False),
    ],
)
def test_a_peer_is_trusted_by_its_address_alone(source: str, expected: bool) -> None:
    assert PROXIES.trusts(source) is expected
    assert not NOBODY.trusts(source)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "10.0.0.1"),
        (b"", "10.0.0.1"),
        (b"192.0.2.7", "192.0.2.7"),
        (b"192.0.2.7, 10.0.0.9", "192.0.2.7"),
        (b"198.51.100.1, 192.0.2.7, 10.0.0.9, fd00::2", "192.0.2.7"),
        (b"10.0.0.8, 10.0.0.9", "10.0.0.1"),
        (b" 192.0.2.7 ,, 10.0.0.9 ", "192.0.2.7"),
        (b"192.0.2.7:51000, 10.0.0.9:443", "192.0.2.7"),
        (b"[2001:db8::7]:51000, [fd00::2]", "2001:db8::7"),
        (b"::ffff:192.0.2.7, ::ffff:10.0.0.9", "192.0.2.7"),
        # What is no address is nobody's: the chain does not go on to what a client may have written before it.
        (b"192.0.2.7, unknown", "unknown"),
        (b"192.0.2.7, 10.0.0.256", "10.0.0.256"),
        (b"192.0.2.7, 10.0.0.9/8", "10.0.0.9/8"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxys(header: bytes | None, expected: str) -> None:
    """What a client wrote into the header itself stands further from us than what our own proxies added."""
    assert forwarded_for(header, "10.0.0.1", PROXIES) == expected


@given(st.binary(max_size=60))
def test_any_chain_leads_to_an_address_that_no_proxy_has(header: bytes) -> None:
    found = forwarded_for(header, "10.0.0.1", PROXIES)
    assert found == "10.0.0.1" or not PROXIES.trusts(found)


@pytest.mark.parametrize(
    "text", ["localhost", "localhost:5050", "registry.example.com", "1.2.3.4:80", "[::1]", "[fd00::1]:443", "a_b"]
)
def test_a_host_may_be_repeated(text: str) -> None:
    assert HOST.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    ["", "a b", 'a"b', "a,b", "a/b", "a:b", "a:123456", "user@a", "a\r\nb", "a\n", "[::1", "-a", ".a", "é", "<a>"],
)
def test_what_is_no_host_is_not_repeated(text: str) -> None:
    assert not HOST.fullmatch(text)


def test_a_repeated_header_is_one_list() -> None:
    received = [(b"accept", b"a"), (b"host", b"h"), (b"accept", b"b")]
    assert headers_of(received) == {b"accept": b"a, b", b"host": b"h"}
