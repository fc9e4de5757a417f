"""The keys that OpenID Connect issuers publish: found by discovery, kept for a while, asked for again with restraint.

    issuer → /.well-known/openid-configuration → jwks_uri → JSON Web Key Set

Whoever can send a token makes a server ask an issuer, so asking is bounded: only issuers that an administrator
registered; one question at a time for each; again at once only for a key that is not there, and then not twice within
``AGAIN_SECONDS``; bodies of bounded size within bounded time; no redirects. HTTPS, with the system's authorities (or
those of ``SSL_CERT_FILE``), and never to an address of the machine or link itself, where metadata services are; an
operator may allow issuers on the loopback, by http too.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from openecr import bounded_json
from openecr.bounded_json import JsonRefused
from openecr.errors import IdentityProviderAway

DISCOVERY = "/.well-known/openid-configuration"
KEPT_SECONDS = 3600.0
"""How long keys are used without asking again: a key that its issuer withdrew is good no longer than this."""
AGAIN_SECONDS = 30.0
"""The shortest time between two questions for a key that is not there."""
FAILED_SECONDS = 5.0
"""How long a failure stands before the issuer is asked again."""
TOTAL_SECONDS = 10.0
_STEP_SECONDS = 5.0
_LARGEST_BYTES = 256 * 1024
_PIECE_BYTES = 16 * 1024
_MOST_ISSUERS = 256


@dataclass(frozen=True, slots=True)
class _Published:
    keys: str
    """The key set as it came."""
    key_ids: frozenset[str]
    asked_at: float


class FetchFailed(Exception):
    """The issuer's keys could not be fetched; the message says why and names no address inside."""


class IssuerKeys:
    """One process's knowledge of issuers' keys.

    Args:
        fetch: gets the body of a URL; blocking, run in a thread.
    """

    def __init__(
        self,
        fetch: "Callable[[str, bool], bytes] | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch or fetch_body
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Published] = OrderedDict()
        self._failed: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, asyncio.Task[_Published]] = {}

    async def find(self, issuer: str, key_id: str | None, *, loopback: bool) -> str:
        """The issuer's key set; asked for again where it lacks this key.

        Raises:
            IdentityProviderAway
        """
        known = self._known.get(issuer)
        if known is not None and not self._is_stale(known, key_id):
            self._known.move_to_end(issuer)
            return known.keys
        failed_at, why = self._failed.get(issuer, (float("-inf"), ""))
        if self._monotonic() - failed_at < FAILED_SECONDS:
            raise IdentityProviderAway(issuer=issuer, why=why)
        asking = self._asking.get(issuer)
        if asking is None:
            asking = self._asking[issuer] = asyncio.create_task(self._ask(issuer, loopback))
            asking.add_done_callback(lambda _done: self._asking.pop(issuer, None))
        try:
            # One client that leaves does not end what others wait for.
            return (await asyncio.shield(asking)).keys
        except FetchFailed as failed:
            raise IdentityProviderAway(issuer=issuer, why=str(failed)) from None

    def _is_stale(self, known: _Published, key_id: str | None) -> bool:
        age = self._monotonic() - known.asked_at
        lacks = key_id is not None and key_id not in known.key_ids
        return age >= KEPT_SECONDS or (lacks and age >= AGAIN_SECONDS)

    async def _ask(self, issuer: str, loopback: bool) -> _Published:
        asked_at = self._monotonic()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                published = await asyncio.to_thread(self._published, issuer, loopback, asked_at)
        except (FetchFailed, TimeoutError) as failed:
            why = str(failed) or f"no answer within {TOTAL_SECONDS:.0f} seconds"
            self._failed[issuer] = (self._monotonic(), why)
            while len(self._failed) > _MOST_ISSUERS:
                self._failed.pop(next(iter(self._failed)))
            raise FetchFailed(why) from None
        self._failed.pop(issuer, None)
        self._known[issuer] = published
        self._known.move_to_end(issuer)
        while len(self._known) > _MOST_ISSUERS:
            self._known.popitem(last=False)
        return published

    def _published(self, issuer: str, loopback: bool, asked_at: float) -> _Published:
        _require_address(issuer, loopback)
        discovered = _document(self._fetch(issuer.rstrip("/") + DISCOVERY, loopback))
        if discovered.get("issuer") != issuer:
            raise FetchFailed("its discovery document is another issuer's")
        where = discovered.get("jwks_uri")
        if not isinstance(where, str):
            raise FetchFailed("its discovery document has no jwks_uri")
        _require_address(where, loopback)
        body = self._fetch(where, loopback)
        keys = _document(body).get("keys")
        if not isinstance(keys, list):
            raise FetchFailed("what it publishes is no key set")
        named = (key.get("kid") for key in keys if isinstance(key, dict))
        return _Published(body.decode(), frozenset(name for name in named if isinstance(name, str)), asked_at)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = bounded_json.loads(body)
    except JsonRefused as refused:
        raise FetchFailed(f"its answer {refused}") from None
    if not isinstance(document, dict):
        raise FetchFailed("its answer is no JSON object")
    return document


def _require_address(url: str, loopback: bool) -> None:
    """HTTPS, or http to a loopback address where that is allowed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise FetchFailed("its address cannot be read") from None
    if not host or parts.username is not None or len(url) > 2048:
        raise FetchFailed("its address cannot be read")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http" and _is_loopback(host)):
        raise FetchFailed("its address is not https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fetch_body(url: str, loopback: bool) -> bytes:
    """The body of a 200 answer, within bounds.

    Raises:
        FetchFailed
    """
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, loopback)
    deadline = time.monotonic() + TOTAL_SECONDS
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "openecr"}
        connection.request("GET", path, headers=headers, preload_content=False, decode_content=False)
        answer = connection.getresponse()
        if answer.status != 200:
            raise FetchFailed(f"it answered {answer.status}")
        pieces: list[bytes] = []
        received = 0
        while piece := answer.read1(_PIECE_BYTES):
            received += len(piece)
            if received > _LARGEST_BYTES:
                raise FetchFailed(f"its answer is larger than {_LARGEST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise FetchFailed("its answer takes too long")
            pieces.append(piece)
        return b"".join(pieces)
    except (HTTPError, OSError, ValueError) as failed:
        raise FetchFailed(_why(failed)) from None
    finally:
        connection.close()


def _why(failed: Exception) -> str:
    """What went wrong, without the addresses that exceptions carry."""
    if isinstance(failed, ssl.SSLError | urllib3.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(failed, _AddressRefused):
        return "its address is this machine's own or link-local"
    return "it cannot be reached"


class _AddressRefused(OSError):
    """The name leads to where no issuer is."""


def _connection(scheme: str, host: str, port: int | None, loopback: bool) -> "_Http | _Https":
    if scheme == "https":
        return _Https(host, port, timeout=_STEP_SECONDS, ssl_context=ssl.create_default_context()).to(loopback)
    return _Http(host, port, timeout=_STEP_SECONDS).to(loopback)


def _require_elsewhere(connected: socket.socket, loopback: bool) -> socket.socket:
    """The address is looked at once it is connected to: what a name leads to may change between two look-ups."""
    address = ipaddress.ip_address(connected.getpeername()[0].partition("%")[0])
    reached = (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
    is_own = reached.is_link_local or reached.is_unspecified or reached.is_multicast
    if is_own or (reached.is_loopback and not loopback):
        connected.close()
        raise _AddressRefused
    return connected


class _Http(HTTPConnection):
    _loopback = False

    def to(self, loopback: bool) -> "_Http":
        """Whether it may lead to this machine."""
        self._loopback = loopback
        return self

    def _new_conn(self) -> socket.socket:
        return _require_elsewhere(super()._new_conn(), self._loopback)


class _Https(HTTPSConnection):
    _loopback = False

    def to(self, loopback: bool) -> "_Https":
        """Whether it may lead to this machine."""
        self._loopback = loopback
        return self

    def _new_conn(self) -> socket.socket:
        return _require_elsewhere(super()._new_conn(), self._loopback)
