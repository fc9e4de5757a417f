"""The api plane: signed POST requests of the AWS CLI, the SDKs and Terraform, answered by operations.

    target or form → authorization there → scope, date → key id known → body (under a budget, hashed) → signature
    → session token → operation known → body parses → constraints → waist (authorize, decide, commit) → answer

The order is the behaviour reference's (§1.3): what comes earlier is told first, and a key that is not known is refused
before its body is read. A plane holds no rule of the registry: it decodes, checks shapes, calls and encodes.

An operation that its model declares with ``authtype: none`` comes without a signature, and by a small form only.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from openecr.access import sigv4
from openecr.access.networks import Asked, Way
from openecr.asgi import Receive, Scope, Send
from openecr.aws import ec2_protocol, json_protocol, model, query_protocol, validate
from openecr.aws.bodies import Bodies, Body, ClientLeft
from openecr.aws.model import Service
from openecr.aws.signers import SigningKeys
from openecr.call import Operation
from openecr.db.callers import SigningSecret, find_signing_secret
from openecr.errors import (
    ExpiredToken,
    MissingAuthenticationToken,
    ProtocolError,
    RegistryError,
    ServerFault,
    ServiceNotServed,
    UnknownOperation,
    UnrecognizedClient,
)
from openecr.events.trail import API as API_PLANE
from openecr.events.trail import Trail
from openecr.names import RegistryName
from openecr.origin import API, Origin
from openecr.waist import Waist

JSON_SKEW_MINUTES = 5
QUERY_SKEW_MINUTES = 15
CLIENT_LEFT = 499
_FORMS = {"query": query_protocol, "ec2": ec2_protocol}
"""The protocols whose requests are forms and whose answers are XML."""
_ENDPOINT_SERVICES = {"ecr": "ecr.api"}
"""A service → what a VPC endpoint for it is called, where that differs."""


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One request before anything of it is proven."""

    id: str
    received: sigv4.Received
    target: str | None
    """``X-Amz-Target``; a request without one is of the query protocol."""
    scope: Scope

    @property
    def is_query(self) -> bool:
        """Whether the request, and therefore its answer, is of the query protocol."""
        content_type = self.received.headers.get("content-type", [b""])[0].partition(b";")[0].strip().lower()
        return self.target is None and (
            content_type == b"application/x-www-form-urlencoded" or b"Action=" in self.received.raw_query
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire."""

    status: int
    content_type: bytes
    body: bytes


class ApiPlane:
    """Answers requests that ``app`` has routed to the api plane.

    Args:
        waist: runs the operations.
        services: the handlers, {service: {operation: Operation}}, as botocore names both. A modelled operation that is
            in no table answers that it is not built yet.
        wall_clock: seconds UTC, for the dates of signatures; the rules' clock is the deployment's.

    Keys of the ASGI scope that ``app`` sets: ``openecr.base_url`` (required), ``openecr.request_id``, ``openecr.host``
    (the host that the client signed, where a trusted proxy told it), ``openecr.source``, ``openecr.secure``,
    ``openecr.listener`` and ``openecr.vpc_endpoint_id`` (by which way it came).
    """

    def __init__(
        self,
        waist: Waist,
        services: Mapping[str, Mapping[str, Operation]],
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        deployment = waist.deployment
        self._waist = waist
        self._services = services
        self._wall_clock = wall_clock
        self._regions = model.regions() | {deployment.settings.region}
        self._signing_keys = SigningKeys(deployment.keyring)
        self._bodies = Bodies(deployment.settings.body_budget_bytes)
        for name in model.SERVICES:
            if name not in model.LOADED_LATE:
                model.load(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one request; the status that was sent, 499 where the client left before its body was complete."""
        request = _request(scope)
        trail = self._trail(request)
        service: Service | None = None
        try:
            if _is_unsigned(request):
                service = model.unsigned_service()
                way = await self._way(request, service, trail, receive)
                answer = await self._answer_unsigned(request, service, way, receive, trail)
            else:
                claim, service = self._claim(request, trail)
                trail.registry = RegistryName(trail.registry.account_id, claim.region)
                way = await self._way(request, service, trail, receive)
                answer = await self._answer(request, claim, service, way, receive, trail)
        except ClientLeft as error:
            await self._failed(trail, error, service)
            return CLIENT_LEFT
        except RegistryError as error:
            await self._failed(trail, error, service)
            answer = _told(request, service, error)
        except Exception as error:  # noqa: BLE001 - logged whole; the client is told the request id and nothing else
            _log.exception("api request failed", request_id=request.id, target=request.target)
            await self._failed(trail, error, service)
            answer = _told(request, service, ServerFault(request_id=request.id))
        else:
            self._waist.deployment.audit.finish(trail)
        await _send(send, request.id, answer)
        return answer.status

    def _trail(self, request: Request) -> Trail:
        """The audit trail of a request that begins, before it is known whose it is."""
        settings = self._waist.deployment.settings
        return Trail(
            API_PLANE,
            request.id,
            self._waist.deployment.now_us(),
            request.scope.get("openecr.source", ""),
            _user_agent(request),
            RegistryName(settings.account_id, settings.region),
        )

    async def _failed(self, trail: Trail, error: Exception, service: Service | None) -> None:
        trail.fail(error, "unknown" if service is None else service.name, "UnknownOperation", {})
        await self._waist.finish(trail)

    async def _way(self, request: Request, service: Service, trail: Trail, receive: Receive) -> Way:
        """By which way the request came, before anything of it is proven: a packet filter knows no signatures."""
        scope = request.scope
        asked = Asked(
            trail.source_address,
            scope.get("openecr.listener", ""),
            _ENDPOINT_SERVICES.get(service.name, service.name),
            trail.registry.region,
            scope.get("openecr.vpc_endpoint_id"),
        )
        way = await self._waist.deployment.way(asked, receive)
        trail.vpc_endpoint_id = way.endpoint_id
        return way

    def _claim(self, request: Request, trail: Trail) -> tuple[sigv4.Claim, Service]:
        """Who the request claims to come from, and the service it is for; scope and date hold, nothing is proven."""
        service = self._service_of_target(request)
        named = (request.target or "").partition(".")[2]
        if service is not None and named in service.operations:
            trail.begin(service.name, named, {})
        claim = sigv4.parse(request.received)
        trail.access_key_id = claim.access_key_id
        if service is None:
            service = self._service_of_scope(claim)
        sigv4.require_scope(claim, service.signing_name, self._regions)
        skew = JSON_SKEW_MINUTES if service.protocol == "json" else QUERY_SKEW_MINUTES
        sigv4.require_current(claim, self._wall_clock(), skew)
        return claim, service

    def _service_of_target(self, request: Request) -> Service | None:
        """The service that the target header names; None for the query protocol, where the credential's scope does."""
        if request.is_query:
            return None
        prefix, dot, _ = (request.target or "").partition(".")
        if not dot or request.received.method != "POST":
            claimed = _claimed_service(request)
            if claimed is not None and claimed not in model.SERVICES:
                raise self._not_served(claimed)
            raise UnknownOperation(message="A request of the AWS JSON protocol is a POST with an X-Amz-Target header")
        service = model.service_of_target(prefix)
        if service is None:
            raise self._not_served(_claimed_service(request) or prefix[:128])
        return service

    def _service_of_scope(self, claim: sigv4.Claim) -> Service:
        if claim.service not in model.SERVICES:
            raise self._not_served(claim.service[:128])
        service = model.load(claim.service)
        if service.protocol not in _FORMS:
            raise UnknownOperation(message=f"{claim.service} does not speak the AWS query protocol")
        return service

    def _not_served(self, service: str) -> ServiceNotServed:
        return ServiceNotServed(service=service, served=", ".join(sorted(self._services)))

    async def _answer(
        self, request: Request, claim: sigv4.Claim, service: Service, way: Way, receive: Receive, trail: Trail
    ) -> Answer:
        deployment = self._waist.deployment
        signer = await deployment.database.read(
            lambda db: find_signing_secret(db, claim.access_key_id), consistent=False
        )
        if signer is None:
            raise UnrecognizedClient
        trail.registry = RegistryName(signer.account_id, claim.region)
        if signer.expires_us is not None and trail.now_us >= signer.expires_us:
            raise ExpiredToken
        async with self._bodies.read(receive, _content_length(request)) as body:
            sigv4.verify(request.received, claim, self._signing_keys.key(signer, claim), body.sha256)
            _require_session_token(signer, claim)
            trail.is_proven = True
            name, handler, arguments = self._call(request, service, body, trail)
            answer = await self._waist.invoke(handler, self._origin(request, trail, way), **arguments)
            trail.answered(answer)
        return _encoded(request, service, name, answer)

    async def _answer_unsigned(
        self, request: Request, service: Service, way: Way, receive: Receive, trail: Trail
    ) -> Answer:
        """Run an operation that takes callers who prove nothing; to every other a signature is missing."""
        async with self._bodies.read(receive, _content_length(request), unsigned=True) as body:
            _require_unsigned_operation(service, query_protocol.parse_form(body.content))
            name, handler, arguments = self._call(request, service, body, trail)
            answer = await self._waist.invoke(handler, self._origin(request, trail, way), **arguments)
            trail.answered(answer)
        return _encoded(request, service, name, answer)

    def _origin(self, request: Request, trail: Trail, way: Way) -> Origin:
        return Origin(
            request_id=request.id,
            access_key_id=trail.access_key_id if trail.is_proven else "",
            registry=trail.registry,
            base_url=request.scope["openecr.base_url"],
            now_us=trail.now_us,
            strictness=API,
            source_address=trail.source_address,
            secure=request.scope.get("openecr.secure", False),
            user_agent=trail.user_agent,
            vpc_id=way.vpc_id,
            vpc_endpoint_id=way.endpoint_id,
            endpoint_policy=way.policy,
            vpc_source_ip=way.source,
            in_vpc=way.in_vpc,
            trail=trail,
        )

    def _call(
        self, request: Request, service: Service, body: Body, trail: Trail
    ) -> tuple[str, Operation, dict[str, Any]]:
        """(operation, its handler, its arguments): known, built, parsed and within the shapes' constraints."""
        fields: dict[str, str] = {}
        form = _FORMS.get(service.protocol)
        if form is not None:
            fields = query_protocol.parse_form(request.received.raw_query)
            fields |= query_protocol.parse_form(body.content)
            name = _action(service, fields)
        else:
            name = (request.target or "").partition(".")[2]
        if name in service.operations:
            trail.begin(service.name, name, {})
        handler = self._handler(service, name)
        shape = service.operations[name].input_shape
        values = form.decode(fields, shape) if form is not None else json_protocol.decode(body.content, shape)
        trail.begin(service.name, name, values, model.sensitive_members(service.name, name))
        validate.check(service, name, values)
        spelled = model.arguments_of(shape)
        return name, handler, {spelled[member]: value for member, value in values.items()}

    def _handler(self, service: Service, name: str) -> Operation:
        if name not in service.operations:
            raise UnknownOperation(message=f"The service {service.name} has no operation '{name[:128]}'")
        handler = self._services.get(service.name, {}).get(name)
        if handler is None:
            raise UnknownOperation(message=f"{name} is not built yet in openecr")
        return handler


def _is_unsigned(request: Request) -> bool:
    """Whether a form came that claims no signature at all."""
    received = request.received
    return (
        request.is_query
        and received.method == "POST"
        and "authorization" not in received.headers
        and not received.raw_query
    )


def _require_unsigned_operation(service: Service, fields: Mapping[str, str]) -> None:
    """Refuse a form that asks for something else than what the model lets come unsigned."""
    operation = service.operations.get(fields.get("Action", ""))
    if operation is None or operation.auth_type != "none" or fields.get("Version") != service.version:
        raise MissingAuthenticationToken


def _require_session_token(signer: SigningSecret, claim: sigv4.Claim) -> None:
    """A session's signature needs its token, header or query; a long-term key has none.

    Raises:
        UnrecognizedClient: not told apart from an unknown key, as on AWS.
    """
    given = (claim.session_token or "").encode("latin-1")
    if signer.token_digest is None:
        if given:
            raise UnrecognizedClient
        return
    if not hmac.compare_digest(hashlib.sha256(given).digest(), signer.token_digest):
        raise UnrecognizedClient


def _encoded(request: Request, service: Service, name: str, answer: Mapping[str, Any]) -> Answer:
    """An answer in the protocol of its service."""
    form = _FORMS.get(service.protocol)
    if form is not None:
        return Answer(200, query_protocol.CONTENT_TYPE, form.encode(service, name, answer, request.id))
    encoded = json_protocol.encode(answer, service.operations[name].output_shape)
    return Answer(200, json_protocol.CONTENT_TYPE, encoded)


def _request(scope: Scope) -> Request:
    headers = sigv4.headers_of(scope["headers"])
    host = scope.get("openecr.host")
    received = sigv4.Received(
        method=scope["method"],
        # granian's raw path carries the query; ASGI's does not.
        raw_path=(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0],
        raw_query=scope.get("query_string", b""),
        headers=headers,
        host=b",".join(headers.get("host", [])).strip() if host is None else host.encode("latin-1"),
    )
    targets = headers.get("x-amz-target")
    return Request(
        id=scope.get("openecr.request_id") or str(uuid4()),
        received=received,
        target=None if targets is None else b",".join(targets).decode("latin-1"),
        scope=scope,
    )


def _claimed_service(request: Request) -> str | None:
    """The service in the credential's scope, where there is one to read."""
    try:
        return sigv4.parse(request.received).service[:128]
    except (MissingAuthenticationToken, ProtocolError):
        return None


def _user_agent(request: Request) -> str:
    return b" ".join(request.received.headers.get("user-agent", [])).decode("latin-1")[:1024]


def _content_length(request: Request) -> int | None:
    given = request.received.headers.get("content-length")
    return int(given[0]) if given is not None and given[0].isdigit() and len(given[0]) < 19 else None


def _action(service: Service, fields: Mapping[str, str]) -> str:
    """The operation that a form asks for, by name and version of the API."""
    name, version = fields.get("Action", ""), fields.get("Version", "")
    if version != service.version or name not in service.operations:
        raise UnknownOperation(message=f"Could not find operation {name[:128]} for version {version[:32] or 'NONE'}")
    return name


def _told(request: Request, service: Service | None, error: RegistryError) -> Answer:
    """An error in the protocol that the request spoke."""
    if request.is_query:
        form = query_protocol if service is None else _FORMS.get(service.protocol, query_protocol)
        status, body = form.encode_error(service, error, request.id)
        return Answer(status, query_protocol.CONTENT_TYPE, body)
    return Answer(error.status, json_protocol.CONTENT_TYPE, json_protocol.encode_error(error))


async def _send(send: Send, request_id: str, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-amzn-requestid", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
