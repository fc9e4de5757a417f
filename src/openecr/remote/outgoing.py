"""Requests that openecr makes because an operator named an address: through proxies, with the right authorities.

Proxies are those of ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, authorities the system's or those
of ``SSL_CERT_FILE``. The address may be any; a redirect is followed to the same origin only, so that no answer leads to
where no operator pointed.
"""

import ssl
import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urljoin, urlsplit

import urllib3

_REDIRECTS = 3
_TIMEOUT = urllib3.Timeout(connect=10, read=60)


class OutgoingRefused(Exception):
    """It is not asked: a proxy that cannot be used, a redirect that is not followed; one sentence."""


class Outgoing:
    """Connections to other machines.

    Args:
        environment: where proxies are named.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._proxies = _proxies(environment)
        self._pools: dict[str, urllib3.PoolManager] = {}

    def close(self) -> None:
        """Let go of every connection."""
        for pool in self._pools.values():
            pool.clear()

    def ask(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to a GET, its body still to be read.

        Raises:
            OutgoingRefused
            urllib3.exceptions.HTTPError, OSError: the network.
        """
        for _ in range(_REDIRECTS + 1):
            answer = self._pool(url).request(
                "GET", url, headers=headers, redirect=False, retries=False, preload_content=False, timeout=_TIMEOUT
            )
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            target = urljoin(url, answer.headers.get("location", ""))
            answer.close()
            if _origin(target) != _origin(url):
                where = urlsplit(target).hostname or "nowhere"
                raise OutgoingRefused(f"{url} sends to another place ({where}), which is not followed; name it instead")
            url = target
        raise OutgoingRefused(f"{url} sends from one place to the next without an end")

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if proxy and _bypassed(parts.hostname or "", parts.port, self._proxies):
            proxy = None
        known = self._pools.get(proxy or "")
        if known is None:
            known = self._pools[proxy or ""] = _pool(proxy)
        return known


def _pool(proxy: str | None) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    if proxy is None:
        return urllib3.PoolManager(ssl_context=context)
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise OutgoingRefused(f"a proxy is http://host:port, not {parts.scheme}; see HTTPS_PROXY in the environment")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urllib3.ProxyManager(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None,
        ssl_context=context,
        proxy_ssl_context=context if parts.scheme == "https" else None,
    )


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """{scheme, ``all`` or ``no``: proxy}; the lower-case name wins, as everywhere."""
    found: dict[str, str] = {}
    for name in sorted(environment):  # capitals first
        scheme, underscore, what = name.lower().rpartition("_")
        if underscore and what == "proxy" and scheme in ("http", "https", "all", "no"):
            found[scheme] = environment[name]
    return {
        scheme: value if scheme == "no" or "://" in value else f"http://{value}"
        for scheme, value in found.items()
        if value
    }


def _bypassed(host: str, port: int | None, proxies: dict[str, str]) -> bool:
    address = f"{host}:{port}" if port is not None else host
    return bool(urllib.request.proxy_bypass_environment(address, proxies))  # type: ignore[attr-defined]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", None, None
