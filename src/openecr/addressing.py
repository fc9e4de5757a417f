"""Which plane, account and region a request means: one pure function of host, path and headers (design §3).

    {account}.dkr.ecr.{region}.{domain}  {account}.dkr-ecr.{region}.on.aws      dkr, that registry
    any other host: /v2/{account}.{region}/name                                 dkr, that registry
                    /v2/name                                                    dkr, the default registry
    prod-{region}-starport-layer-bucket.s3.{region}.{domain}, or /layers/...    layers
    vpce-{id}.{service}.{region}.vpce.{domain}                                  that VPC endpoint, as the path says
    a POST, or any request signed as AWS's are                                   api
    /v1/credentials                                                              workloads
    /livez, /readyz                                                             health

A host name decides what a request addresses and never how answers name this server.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum

from openecr.names import REGISTRY_COMPONENT, RegistryName

_REGISTRY_HOST = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z0-9.-]+", re.IGNORECASE)
_LAYER_HOST = re.compile(r"prod-([a-z0-9-]+)-starport-layer-bucket\.s3\.([a-z0-9-]+)\.[a-z0-9.-]+", re.IGNORECASE)
WORKLOADS_PATH = "/v1/credentials"
"""What ``AWS_CONTAINER_CREDENTIALS_FULL_URI`` names; no API that openecr serves has this path."""
_ENDPOINT_HOST = re.compile(
    r"(vpce-[0-9a-f]{8,17})\.(?:api\.ecr|dkr\.ecr|ec2|kms|sts)\.([a-z0-9-]+)\.vpce\.[a-z0-9.-]+", re.IGNORECASE
)
_PUBLIC_HOSTS = frozenset(("public.ecr.aws", "ecr-public.aws.com"))


class Plane(Enum):
    """A front door."""

    API = "api"
    DKR = "dkr"
    PUBLIC = "public"
    LAYERS = "layers"
    HEALTH = "health"
    WORKLOADS = "workloads"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Address:
    """What a request means."""

    plane: Plane
    registry: RegistryName
    path: str
    """On the dkr plane the path without the part that addressed the registry."""
    prefix: str = ""
    """That part, for links back: ``/123456789012.eu-west-1``."""
    by_host: bool = False
    """Whether the host name addressed the registry; then an account or region that is not served is 404."""
    vpc_endpoint_id: str | None = None
    """The VPC endpoint that the host name names."""
    layers_region: str | None = None
    """On the layers plane the region of the bucket that the host name names."""

    @property
    def is_regional(self) -> bool:
        """Whether the host name is one region's own, which takes no other region's tokens."""
        return self.by_host or self.vpc_endpoint_id is not None


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the application knows of a request before any plane looks at it."""

    request_id: str
    address: Address
    headers: dict[bytes, bytes]
    base_url: str
    source_address: str
    secure: bool
    host: str
    listener: str = ""
    """The address that the listener is bound to."""


def address(host: str, method: str, path: str, default: RegistryName, *, signed: bool = False) -> Address:
    """Where a request goes.

    Args:
        host: the Host header, with or without a port.
        path: the raw path, percent-encoded as received.
        default: the registry that a plain host addresses.
        signed: whether the request carries a Signature Version 4; on no other plane does it mean anything, so it is
            the api plane's to answer, if only with the service that is not served.
    """
    name = _without_port(host)
    if path in ("/livez", "/readyz"):
        return Address(Plane.HEALTH, default, path)
    layer_host = _LAYER_HOST.fullmatch(name)
    if path.startswith("/layers/") or layer_host is not None:
        return Address(Plane.LAYERS, default, path, layers_region=layer_host[1].lower() if layer_host else None)
    endpoint = _ENDPOINT_HOST.fullmatch(name)
    if endpoint is not None:
        there = RegistryName(default.account_id, endpoint[2].lower())
        return replace(_by_path(name, method, path, there, signed=signed), vpc_endpoint_id=endpoint[1].lower())
    return _by_path(name, method, path, default, signed=signed)


def _by_path(name: str, method: str, path: str, default: RegistryName, *, signed: bool) -> Address:
    if path == "/v2" or path.startswith("/v2/"):
        return _dkr(name, path, default)
    if path == WORKLOADS_PATH and method != "POST" and not signed:
        return Address(Plane.WORKLOADS, default, path)
    if method == "POST" or signed:
        return Address(Plane.API, default, path)
    return Address(Plane.NONE, default, path)


def _dkr(name: str, path: str, default: RegistryName) -> Address:
    if name in _PUBLIC_HOSTS or path.startswith("/v2/public.ecr.aws/"):
        return Address(Plane.PUBLIC, default, path)
    found = _REGISTRY_HOST.fullmatch(name)
    if found is not None:
        return Address(Plane.DKR, RegistryName(found[1], found[2].lower()), path, by_host=True)
    first, separator, rest = path.removeprefix("/v2/").partition("/")
    component = REGISTRY_COMPONENT.fullmatch(first) if separator else None
    if component is not None:
        return Address(Plane.DKR, RegistryName(component[1], component[2]), f"/v2/{rest}", f"/{first}")
    return Address(Plane.DKR, default, path)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
