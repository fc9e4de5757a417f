"""What a request is before any plane looks at it: from where, to which host and path, over TLS or not.

Forwarding headers count where the peer is a trusted proxy, and nowhere else: anyone can send them.
"""

import ipaddress
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from openecr.access.networks import parse_source
from openecr.addressing import Arrival, address
from openecr.asgi import Scope
from openecr.names import RegistryName
from openecr.settings import Settings

HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""A host that answers may repeat; a proxy that passes on a client's header passes on whatever it holds."""
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15}):[0-9]{1,5}")
"""An address as some proxies put it into X-Forwarded-For."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whose Host and X-Forwarded-* headers count."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def trusts(self, source: str) -> bool:
        """Whether the peer's address is a trusted proxy's."""
        peer = parse_source(source) if self.networks else None
        return peer is not None and any(
            peer.version == network.version and peer in network for network in self.networks
        )


@dataclass(frozen=True, slots=True)
class Front:
    """How this server is reached, which decides what its requests are."""

    default: RegistryName
    """The registry that plain host names address."""
    base_url: str
    """The server's own name, without a slash at the end."""
    has_url: bool
    """Whether an operator said what clients call it."""
    proxies: Proxies

    @classmethod
    def of(cls, settings: Settings, base_url: str) -> Self:
        """As the settings say."""
        proxies = Proxies(tuple(ipaddress.ip_network(text) for text in settings.trusted_proxies))
        default = RegistryName(settings.account_id, settings.region)
        return cls(default, base_url.rstrip("/"), settings.url is not None, proxies)

    def arrival(self, scope: Scope, request_id: str) -> Arrival:
        """What is known of a request."""
        headers = headers_of(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        client = scope.get("client")
        source = _plain(str(client[0])) if client else ""
        server = scope.get("server")
        listener = str(server[0]) if server else ""
        secure = scope["scheme"] == "https"
        base_url = self.base_url
        if self.proxies.trusts(source):
            told = headers.get(b"x-forwarded-host", b"").decode("latin-1")
            host = told if HOST.fullmatch(told) else host
            secure = headers.get(b"x-forwarded-proto", b"https" if secure else b"http") == b"https"
            if not self.has_url and HOST.fullmatch(host):
                base_url = f"{'https' if secure else 'http'}://{host}"
            source = forwarded_for(headers.get(b"x-forwarded-for"), source, self.proxies)
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        where = address(host, scope["method"], path, self.default, signed=_is_signed(headers, scope))
        return Arrival(request_id, where, headers, base_url, source, secure, host, listener)


def new_request_id() -> str:
    """A uuid4 that need not be hard to guess: it names a request in logs, and opens nothing."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _is_signed(headers: dict[bytes, bytes], scope: Scope) -> bool:
    """Whether a request carries a Signature Version 4, in its header or its query."""
    return headers.get(b"authorization", b"").startswith(b"AWS4-") or b"X-Amz-Signature=" in scope["query_string"]


def is_loopback(source: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(source).is_loopback
    except ValueError:
        return False


def headers_of(received: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; one that is repeated is one list (RFC 9110 §5.3), as Go's clients send Accept."""
    gathered: dict[bytes, bytes] = {}
    for name, value in received:
        gathered[name] = value if name not in gathered else gathered[name] + b", " + value
    return gathered


def forwarded_for(header: bytes | None, peer: str, proxies: Proxies) -> str:
    """The nearest address in the chain that is not a trusted proxy's."""
    for text in reversed((header or b"").decode("latin-1").split(",")):
        candidate = _plain(text.strip())
        if candidate and not proxies.trusts(candidate):
            return candidate
    return peer


def _plain(text: str) -> str:
    """An address without brackets, port, or an IPv6 spelling of IPv4; what is none stays as it was told."""
    found = _WITH_PORT.fullmatch(text)
    address = parse_source(text if found is None else found[1] or found[2])
    return text if address is None else str(address)
