"""The dkr plane's front: authenticate, find the route, run it, render its answer or error."""

from collections import OrderedDict
from dataclasses import dataclass, field

from openecr.access import tokens
from openecr.access.networks import Asked
from openecr.access.tokens import NotCredentials, RegistryToken
from openecr.addressing import Arrival
from openecr.asgi import Receive, Scope
from openecr.call import Call, decision, without_permission
from openecr.errors import (
    InvalidName,
    RegistryError,
    RegistryNotServed,
    ServerFault,
    TokenInvalid,
    UnrecognizedClient,
)
from openecr.events.trail import Trail
from openecr.names import RegistryName, is_repository_name
from openecr.oci import blobs, listing, manifests, recording, render, routes, uploads
from openecr.oci.http import Answer, ClientGone, Request
from openecr.oci.routes import Route
from openecr.origin import OCI, Origin
from openecr.services.ecr.registry import is_served
from openecr.waist import Waist

_MOST_TOKENS = 4096


@decision(
    "ecr:GetAuthorizationToken", writes=False, resources=without_permission, consistent=False, event="CheckCredentials"
)
def ping(_call: Call) -> None:
    """``GET /v2/``: the waist found the caller, which is all that is asked; clients ask it before they pull."""


_HANDLERS = {
    "manifest": manifests.handle,
    "blob": blobs.handle,
    "uploads": uploads.open_upload,
    "upload": uploads.handle,
    "tags": listing.tags,
    "catalog": listing.repositories,
    "referrers": listing.referrers,
}


@dataclass(slots=True)
class DkrPlane:
    """Answers requests under ``/v2/``."""

    waist: Waist
    served_regions: frozenset[str]
    _tokens: OrderedDict[bytes, RegistryToken] = field(default_factory=OrderedDict)
    """Verified tokens by header: only parsed forms, everything that may change is read at each request."""

    async def answer(self, scope: Scope, receive: Receive, arrival: Arrival) -> Answer | None:
        """The answer, or None where the client is gone."""
        now_us = self.waist.deployment.now_us()
        registry = arrival.address.registry
        trail = recording.begun(arrival.request_id, now_us, arrival.source_address, arrival.headers, registry)
        try:
            answer = await self._answer(scope, receive, arrival, trail)
        except Exception as error:
            # Who brings no credentials is told how to, and has done nothing.
            if b"authorization" in arrival.headers or not isinstance(error, NotCredentials):
                recording.fail(trail, error, routes.read(arrival.address.path), scope["method"])
                await self.waist.finish(trail)
            told = _told(scope, arrival, error)
            if told is None and not isinstance(error, ClientGone):
                raise
            return told
        self.waist.deployment.audit.finish(trail)
        return answer

    async def _answer(self, scope: Scope, receive: Receive, arrival: Arrival, trail: Trail) -> Answer:
        address = arrival.address
        way = await self.waist.deployment.way(
            Asked(
                arrival.source_address, arrival.listener, "ecr.dkr", address.registry.region, address.vpc_endpoint_id
            ),
            receive,
        )
        trail.vpc_endpoint_id = way.endpoint_id
        token = self._token(arrival.headers.get(b"authorization"))
        now_us = trail.now_us
        route = routes.read(address.path)
        trail.access_key_id = token.access_key_id
        tokens.require_unexpired(token, now_us - self._grace_us(route))
        if address.is_regional and address.registry.region in self.served_regions:
            # A region that is not served is told as such further down.
            tokens.require_region(token, address.registry.region)
        trail.is_proven = True
        origin = Origin(
            arrival.request_id,
            token.access_key_id,
            address.registry,
            arrival.base_url,
            now_us,
            OCI,
            arrival.source_address,
            arrival.secure,
            trail.user_agent,
            way.vpc_id,
            way.endpoint_id,
            way.policy,
            way.source,
            way.in_vpc,
            trail=trail,
        )
        if route is None:
            return render.not_found()
        default = RegistryName(self.waist.deployment.settings.account_id, self.waist.deployment.settings.region)
        if address.registry != default:
            await self._require_served(origin, arrival)
        if route.noun == "root":
            await self.waist.run(ping, origin)
            return render.empty(200, (b"content-type", b"application/json"))
        if route.noun != "catalog" and not is_repository_name(route.name):
            raise InvalidName
        request = Request(
            scope["method"],
            route.name,
            route.reference,
            address.prefix,
            arrival.headers,
            scope["query_string"].decode("latin-1"),
            receive,
            origin,
        )
        return await _HANDLERS[route.noun](self.waist, request)

    async def _require_served(self, origin: Origin, arrival: Arrival) -> None:
        """404 where host or path names an account or region that this deployment does not serve."""
        served = origin.registry.region in self.served_regions and await self.waist.run(is_served, origin)
        if not served:
            raise RegistryNotServed(host=arrival.host if arrival.address.by_host else str(origin.registry))

    def _grace_us(self, route: Route | None) -> int:
        """How long after its end a token still continues an upload: what was begun in time may be finished."""
        if route is None or route.noun != "upload":
            return 0
        return self.waist.deployment.settings.upload_expiry_seconds * 1_000_000

    def _token(self, header: bytes | None) -> RegistryToken:
        if header is None:
            raise NotCredentials
        known = self._tokens.get(header)
        if known is None:
            known = tokens.read_basic(self.waist.deployment.keyring, header.decode("latin-1"))
            self._tokens[header] = known
            if len(self._tokens) > _MOST_TOKENS:
                self._tokens.popitem(last=False)
        return known


def _told(scope: Scope, arrival: Arrival, error: BaseException) -> Answer | None:
    """What a client is told of an error; None for what is none of its business, or where it is gone."""
    if isinstance(error, NotCredentials):
        return render.challenge(arrival.base_url)
    if isinstance(error, UnrecognizedClient):
        return _refusal(scope, TokenInvalid())
    return _refusal(scope, error) if isinstance(error, RegistryError) else None


def _refusal(scope: Scope, error: RegistryError) -> Answer:
    answer = render.error(error)
    return answer if scope["method"] != "HEAD" else Answer(answer.status, answer.headers)


def fault(request_id: str) -> Answer:
    """The answer to a request on which openecr itself failed."""
    return render.error(ServerFault(request_id=request_id))
