"""The listening sockets. The parent binds them and keeps them open; workers accept.

Every worker has sockets of its own on the same port (SO_REUSEPORT), because the kernel then spreads connections evenly,
which workers that share one socket do not. Because the parent holds them too, connections that wait for a worker that
died are answered by the one that takes its place.
"""

import errno
import socket
import sys
from contextlib import ExitStack, closing

from openecr.settings import Settings, SettingsError, metadata_address

_BACKLOG = 1024
_Address = tuple[socket.AddressFamily, tuple[str, int]]


def addresses(settings: Settings) -> list[_Address]:
    """Where to listen: what ``--host`` names, else the loopback addresses that this machine has; then those of VPCs."""
    more: list[_Address] = [
        (socket.AF_INET6 if ":" in text else socket.AF_INET, (text, settings.port)) for text in settings.vpc_listeners
    ]
    return list(dict.fromkeys([*_usual(settings), *more]))


def _usual(settings: Settings) -> list[_Address]:
    if settings.host is not None:
        try:
            found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except socket.gaierror as error:
            raise SettingsError(
                f"--host {settings.host} is no address of this machine ({error.strerror}); give an address, "
                "such as 0.0.0.0 for all"
            ) from None
        wanted = [(family, (str(place[0]), settings.port)) for family, _, _, _, place in found]
        return list(dict.fromkeys(wanted))
    loopback: list[_Address] = [(socket.AF_INET, ("127.0.0.1", settings.port))]
    if _has_ipv6_loopback():
        loopback.append((socket.AF_INET6, ("::1", settings.port)))
    return loopback


def metadata_addresses(settings: Settings) -> list[_Address]:
    """Where nodes are told their role's credentials."""
    places = [metadata_address(text) for text in settings.metadata_listen]
    return [(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in places]


def require_free(settings: Settings) -> None:
    """See that nobody has the port; a socket with SO_REUSEPORT would share it silently with another of this user.

    Raises:
        SettingsError: the port is taken, or not for this user.
    """
    for address in (*addresses(settings), *metadata_addresses(settings)):
        with closing(_bind(address, share=False, settings=settings)):
            pass


def bind(settings: Settings, count: int) -> list[list[socket.socket]]:
    """Listening sockets for ``count`` workers, each with one per address; those of ``metadata_listen`` come last."""
    if sys.platform != "linux":
        # Others deliver everything to one of several sockets on a port: there, workers share one.
        shared = _bind_all(settings, share=False)
        return [shared for _ in range(count)]
    return [_bind_all(settings, share=True) for _ in range(count)]


def _bind_all(settings: Settings, *, share: bool) -> list[socket.socket]:
    with ExitStack() as undone:
        bound = [undone.enter_context(_bind(place, share=share, settings=settings)) for place in addresses(settings)]
        for place in metadata_addresses(settings):
            listener = undone.enter_context(_bind(place, share=share, settings=settings))
            _limit_hops(listener, settings.metadata_hop_limit)
            bound.append(listener)
        undone.pop_all()
    return bound


def _limit_hops(listener: socket.socket, hops: int) -> None:
    """Let no answer travel further: accepted connections have the listener's limit. EC2 limits the answer to the PUT
    alone; here a connection from further away is not even made."""
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    else:
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def _bind(address: _Address, *, share: bool, settings: Settings) -> socket.socket:
    family, place = address
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if place[0] == "::" else 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SettingsError(_told(error, place, settings)) from None
    return listener


def _told(error: OSError, place: tuple[str, int], settings: Settings) -> str:
    if place in [metadata for _, metadata in metadata_addresses(settings)]:
        return _told_of_metadata(error, place)
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} on {place[0]} is taken by another program; stop it, or choose another port "
            f"with --port"
        )
    if error.errno == errno.EACCES:
        return (
            f"this user may not listen on port {settings.port}; choose one above 1023 with --port, or grant "
            "CAP_NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{place[0]} is no address of this machine; give one of its own with --host, such as 0.0.0.0 for all"
    return f"cannot listen on {place[0]} port {settings.port}: {error.strerror}; check --host and --port"


def _told_of_metadata(error: OSError, place: tuple[str, int]) -> str:
    remedy = {
        errno.EADDRINUSE: "stop the program that has it, or choose another port",
        errno.EACCES: "choose a port above 1023, or grant CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: f"give this machine the address first: ip address add {place[0]} dev lo",
    }.get(error.errno or 0, "check metadata_listen")
    return f"cannot listen for nodes on {place[0]} port {place[1]} ({error.strerror}); {remedy}"


def _has_ipv6_loopback() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_STREAM)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
