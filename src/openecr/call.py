"""The waist: every request on every plane passes here on its way to a decision.

    plane → Waist.run(decision, origin, arguments) → identify → authorize → function(call, arguments) → commit → answer

A *decision* is a plain function with an open transaction; ``@decision`` says which IAM action it is and whether it
writes. ``@operation`` is a decision that is also an operation of an AWS service, with the arguments and the answer of
its model. ``@flow`` is an operation that moves bytes between decisions. Reads run inline on the event loop, writes on
the database's writer; nothing is awaited while a transaction is open. A decision that needs the outside asks for an
effect (``call.obtain``): the waist rolls back, performs it, and runs the decision again with its result.
"""

import contextlib
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from openecr.access.authorization import Authorizer, Question
from openecr.access.identity import ANONYMOUS, Caller, find_caller
from openecr.access.known_networks import KnownNetworks
from openecr.access.networks import Asked, Way
from openecr.access.policies.evaluation import NamedPolicy, Verdict
from openecr.asgi import Receive
from openecr.blobs.store import BlobStore
from openecr.db.callers import find_key_owner
from openecr.db.connection import Connection, Database
from openecr.encryption import KeyService, LocalKeys, open_store
from openecr.errors import AccessDenied, NotReachable, Unanswered, UnrecognizedClient
from openecr.events.auditing import NO_AUDIT, Auditing, is_kept, keep
from openecr.events.trail import Event, Trail
from openecr.keyring import Keyring
from openecr.names import RegistryName, parse_repository_arn, repository_arn
from openecr.remote.issuer_keys import IssuerKeys
from openecr.settings import Settings
from openecr.waiting_room import WaitingRoom

T = TypeVar("T")
_MOST_EFFECTS = 8


@dataclass(frozen=True, slots=True)
class Strictness:
    """Where the planes differ in what they take; a plane passes it and decides nothing itself."""

    empty_layers: bool
    """Whether a layer may have no bytes."""
    minimum_part_bytes: int
    """The least size of a part that is not the last."""
    identical_image_is_error: bool
    """Whether pushing an image again under the tag it has is told as an error."""
    known_layer_is_error: bool
    """Whether completing an upload of a layer that is there is told as an error."""
    layerless_images: bool
    """Whether an image may have no layers."""
    members_may_lose_their_tags: bool
    """Whether deleting the last tag of an image that an index names unties the tag, or is refused as ECR does."""


API = Strictness(
    empty_layers=False,
    minimum_part_bytes=5 * 1024 * 1024,
    identical_image_is_error=True,
    known_layer_is_error=True,
    layerless_images=False,
    members_may_lose_their_tags=False,
)
OCI = Strictness(
    empty_layers=True,
    minimum_part_bytes=0,
    identical_image_is_error=False,
    known_layer_is_error=False,
    layerless_images=True,
    members_may_lose_their_tags=True,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One request: who was proven to send it, from where, to which registry, when."""

    request_id: str
    access_key_id: str
    """Empty where nothing was proven: only a decision that takes anonymous callers runs then."""
    registry: RegistryName
    """On the dkr plane what host and path address; on the api plane the account is the caller's."""
    base_url: str
    """How answers name this server, without a slash at the end: ``http://localhost:5050``."""
    now_us: int
    strictness: Strictness
    source_address: str = ""
    secure: bool = False
    user_agent: str = ""
    vpc_id: str | None = None
    """The VPC whose network the source is in, where the request came through one of its endpoints: aws:SourceVpc."""
    vpc_endpoint_id: str | None = None
    """The endpoint that the request came through: aws:SourceVpce; None on the public side."""
    endpoint_policy: str | None = None
    """That endpoint's policy; None where it has none of its own, which allows everything."""
    vpc_source_ip: str | None = None
    """The source's address in its VPC: aws:VpcSourceIp. AWS has no aws:SourceIp beside it."""
    in_vpc: bool = False
    """Whether the source is in a declared VPC, by whichever way it came: then its layers come from openecr itself."""
    trail: Trail | None = None
    """Where the request's audit records come from; None for what is no client's request."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What every decision may use, composed once by ``app``."""

    settings: Settings
    database: Database
    blobs: BlobStore
    keyring: Keyring
    now_us: Callable[[], int]
    """The rules' clock, µs UTC: the host's, moved by ``--clock`` where the data directory has one."""
    wall_us: Callable[[], int]
    """The true clock, µs UTC, for what other machines check too: presigned URLs."""
    new_id: Callable[[], str]
    """A fresh opaque id (uuid4 text) for uploads and leases."""
    new_object_id: Callable[[str], str]
    """A fresh id for an object of a registry in this region; it says which store the object is in."""
    note_pull: Callable[[int, int], None]
    """(image key, now_us): remember that an image was pulled; flushed in batches, so a pull writes no row."""
    note_key_use: Callable[[str, str, str, int], None] = field(default=lambda _key_id, _service, _region, _now_us: None)
    """(access key id, service, region, now_us): remember that a key was used; flushed in batches, as pulls are."""
    networks: KnownNetworks = field(default_factory=KnownNetworks)
    """The declared VPCs, as this process knows them."""
    waiting_room: WaitingRoom = field(default_factory=lambda: WaitingRoom(0))
    """Where requests stay that get no answer."""
    authorizer: Authorizer = field(default_factory=Authorizer)
    """Who may do what, with what this process compiled before."""
    issuer_keys: IssuerKeys = field(default_factory=IssuerKeys)
    """The keys of identity providers, asked for on this process's account."""
    audit: Auditing = NO_AUDIT
    """Where what requests did is recorded."""

    @property
    def kms_keys(self) -> KeyService:
        """Whoever holds the KMS keys: openecr's own KMS."""
        return LocalKeys(self.database, self.keyring)

    async def way(self, asked: Asked, receive: Receive) -> Way:
        """By which way a request came; the first thing that a plane asks.

        Raises:
            NotReachable, Unanswered: by none, told at once or after the request was held.
            DatabaseAway
        """
        found = await self.networks.way(self.database, asked)
        if isinstance(found, Way):
            return found
        if self.settings.vpc_refusals == "explain":
            raise NotReachable(reason=found.reason)
        await self.waiting_room.hold(receive)
        raise Unanswered

    async def store_of(self, data_key: bytes | None) -> BlobStore:
        """The store to read and write one object with, by the wrapped data key of its row; to delete, use ``blobs``.

        Raises:
            KmsRefused: the object's KMS key is disabled, pending deletion, or not there.
        """
        return await open_store(self.blobs, self.keyring, self.kms_keys, data_key)


class Effect(Hashable, Protocol):
    """Something outside the transaction that a decision needs; equal effects are performed once a request."""

    async def perform(self, deployment: Deployment) -> Any:
        """Do it and return what the decision asked for."""
        ...


class Needs(Exception):
    """A decision stops here until the effect has been performed."""

    def __init__(self, effect: Effect) -> None:
        self.effect = effect
        super().__init__(effect)


@dataclass(frozen=True, slots=True)
class Call:
    """What a decision knows: caller, registry, time, transaction. Complete when made, never changed."""

    caller: Caller
    origin: Origin
    deployment: Deployment
    db: Connection
    writes: bool = False
    """Whether the transaction is one that writes; then what it finds is held where others might change it."""
    results: Mapping[Effect, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the operation was called with, for conditions that ask."""

    @property
    def now_us(self) -> int:
        """The instant of the request on the rules' clock, µs UTC."""
        return self.origin.now_us

    @property
    def settings(self) -> Settings:
        """The deployment's settings."""
        return self.deployment.settings

    @property
    def strictness(self) -> Strictness:
        """What the plane takes."""
        return self.origin.strictness

    def registry(self, registry_id: str | None = None) -> RegistryName:
        """The addressed registry, or another account's in the same region."""
        addressed = self.origin.registry
        return addressed if registry_id is None else RegistryName(registry_id, addressed.region)

    def verdict(
        self,
        action: str,
        resource: str,
        *,
        trust: NamedPolicy | None = None,
        more: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Verdict:
        """Whether the caller may do something, and why.

        Args:
            trust: the resource's own policy where the resource is no repository.
            more: condition keys in lower case that this action alone has.
        """
        origin = self.origin
        question = Question(
            caller=self.caller,
            action=action,
            resource=resource,
            registry=origin.registry,
            now_us=origin.now_us,
            source_address=origin.source_address,
            secure=origin.secure,
            user_agent=origin.user_agent,
            vpc_id=origin.vpc_id,
            vpc_endpoint_id=origin.vpc_endpoint_id,
            endpoint_policy=origin.endpoint_policy,
            vpc_source_ip=origin.vpc_source_ip,
            arguments=self.arguments,
            trust=trust,
            more=more or {},
        )
        return self.deployment.authorizer.decide(self.db, question)

    def authorize(
        self,
        action: str,
        resource: str,
        *,
        trust: NamedPolicy | None = None,
        more: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Verdict:
        """Refuse what the caller may not do. Comes before existence, so that a denial tells nothing.

        Raises:
            AccessDenied: in AWS's words, with the verdict.
        """
        verdict = self.verdict(action, resource, trust=trust, more=more)
        if not verdict.allowed:
            raise AccessDenied(
                principal=self.caller.arn, action=action, resource=resource, reason=verdict.reason, verdict=verdict
            )
        return verdict

    def obtain(self, effect: Effect) -> Any:
        """The effect's result, performed between two runs of this decision."""
        if effect not in self.results:
            raise Needs(effect)
        return self.results[effect]


Resources = Callable[[RegistryName, Mapping[str, Any]], list[str]]
Located = Callable[[Call, Mapping[str, Any]], list[str]]
Keys = Callable[[Call, Mapping[str, Any]], Mapping[str, tuple[str, ...]]]


def repository_resources(registry: RegistryName, arguments: Mapping[str, Any]) -> list[str]:
    """The ARN of the repository that the arguments name."""
    arn = arguments.get("resource_arn")
    if arn is not None and parse_repository_arn(arn) is not None:
        return [arn]
    account_id = arguments.get("registry_id") or registry.account_id
    return [repository_arn(RegistryName(account_id, registry.region), arguments.get("repository_name", "*"))]


def no_resource(_registry: RegistryName, _arguments: Mapping[str, Any]) -> list[str]:
    """For actions without a resource type."""
    return ["*"]


def without_permission(_registry: RegistryName, _arguments: Mapping[str, Any]) -> list[str]:
    """For what every known caller may do, whatever policies say."""
    return []


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """A function with an open transaction, the IAM action it is, and the resources it touches."""

    function: Callable[..., T]
    action: str
    writes: bool
    resources: Resources
    consistent: bool = True
    """Whether its statements must see one snapshot; a read that is one statement need not."""
    anonymous: bool = False
    """Whether it takes callers who proved nothing, and decides itself what they may."""
    event: str = ""
    """What audit records of the dkr plane call it; empty where it is no event of its own."""
    located: Located | None = None
    """The resources instead, where their ARNs need what is stored, or who is calling."""
    keys: Keys | None = None
    """Condition keys in lower case that the operation alone has."""

    def authorize(self, call: "Call", arguments: Mapping[str, Any], event: Event | None = None) -> None:
        """Refuse the call unless the caller may do this to every resource that it touches; the event notes why."""
        if self.located is not None:
            resources = self.located(call, arguments)
        else:
            resources = self.resources(call.registry(), arguments)
        if event is not None:
            event.action, event.resources = self.action, resources
        more = None if self.keys is None else self.keys(call, arguments)
        for resource in resources:
            verdict = call.authorize(self.action, resource, more=more)
            if event is not None:
                event.verdict = verdict


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of an AWS service: a decision, or a flow of several, in the model's arguments and answer."""

    name: str
    decision: Decision[dict[str, Any]] | None
    flow: "Callable[..., Awaitable[dict[str, Any]]] | None" = None

    @property
    def function(self) -> Callable[..., Any]:
        """The function whose keyword arguments are the model's members in snake case."""
        if self.flow is not None:
            return self.flow
        assert self.decision is not None  # noqa: S101 - one of the two is always there
        return self.decision.function


def decision(
    action: str,
    *,
    writes: bool,
    resources: Resources = repository_resources,
    consistent: bool = True,
    anonymous: bool = False,
    event: str | None = None,
) -> Callable[[Callable[..., T]], Decision[T]]:
    """Declare a decision that planes and flows run through the waist; audit records call it as its action is called,
    unless said otherwise."""
    recorded = action.partition(":")[2] if event is None else event

    def declare(function: Callable[..., T]) -> Decision[T]:
        return Decision(function, action, writes, resources, consistent, anonymous, event=recorded)

    return declare


def operation(
    name: str,
    *,
    writes: bool,
    action: str | None = None,
    resources: Resources = repository_resources,
    anonymous: bool = False,
    located: Located | None = None,
    keys: Keys | None = None,
) -> Callable[[Callable[..., dict[str, Any]]], Operation]:
    """Declare an operation; its IAM action is ``ecr:{name}`` unless said otherwise."""

    def declare(function: Callable[..., dict[str, Any]]) -> Operation:
        decided = action or f"ecr:{name}"
        made = Decision(
            function, decided, writes, resources, anonymous=anonymous, event=name, located=located, keys=keys
        )
        return Operation(name, made)

    return declare


def flow(name: str) -> Callable[[Callable[..., Awaitable[dict[str, Any]]]], Operation]:
    """Declare an operation that moves bytes between decisions; each decision authorizes itself."""

    def declare(function: Callable[..., Awaitable[dict[str, Any]]]) -> Operation:
        return Operation(name, None, function)

    return declare


@dataclass(frozen=True, slots=True)
class Flow:
    """One request that takes several decisions, with bytes moved between them."""

    waist: "Waist"
    origin: Origin

    @property
    def deployment(self) -> Deployment:
        """What the deployment offers outside of transactions."""
        return self.waist.deployment

    async def run(self, step: Decision[T], /, **arguments: Any) -> T:
        """Run one decision of the flow."""
        return await self.waist.run(step, self.origin, **arguments)


@dataclass(frozen=True, slots=True)
class Waist:
    """Runs decisions and operations for the planes."""

    deployment: Deployment

    async def invoke(self, chosen: Operation, origin: Origin, /, **arguments: Any) -> dict[str, Any]:
        """Run an operation with the model's arguments in snake case."""
        if chosen.decision is not None:
            return await self.run(chosen.decision, origin, **arguments)
        answer: dict[str, Any] = await chosen.function(Flow(self, origin), **arguments)
        return answer

    async def run(self, step: Decision[T], origin: Origin, /, **arguments: Any) -> T:
        """Identify the caller, authorize, decide and commit, and leave in the trail what came of it."""
        if origin.trail is None or not step.event:
            return await self._decide(step, origin, arguments, None)
        event = origin.trail.event(step.action.partition(":")[0], step.event, arguments)
        try:
            answer = await self._decide(step, origin, arguments, event)
        except BaseException as error:
            event.error = error
            raise
        event.error = None
        event.kept = event.kept or (step.writes and is_kept(origin.trail, event))
        return answer

    async def _decide(self, step: Decision[T], origin: Origin, arguments: Mapping[str, Any], event: Event | None) -> T:
        """Run the decision until it has what it asks for; perform effects in between."""
        results: dict[Effect, Any] = {}
        trail = origin.trail
        if origin.access_key_id:
            service, _, _ = step.action.partition(":")
            self.deployment.note_key_use(origin.access_key_id, service, origin.registry.region, origin.now_us)

        def body(db: Connection) -> T:
            caller = identify(db, origin, step.action, anonymous=step.anonymous)
            call = Call(caller, origin, self.deployment, db, step.writes, results, arguments)
            if trail is not None:
                trail.owner, trail.vpc_endpoint_id = caller.owner, origin.vpc_endpoint_id
            if not step.anonymous:
                step.authorize(call, arguments, event)
            answer = step.function(call, **arguments)
            if trail is not None and event is not None:
                event.answer = answer
                if step.writes and is_kept(trail, event):
                    keep(db, trail, event)
            return answer

        for _ in range(_MOST_EFFECTS):
            try:
                if step.writes:
                    return await self.deployment.database.write(body)
                return await self.deployment.database.read(body, consistent=step.consistent)
            except Needs as needs:
                results[needs.effect] = await needs.effect.perform(self.deployment)
        raise RuntimeError(f"{step.function.__name__} asked for more than {_MOST_EFFECTS} effects")

    async def finish(self, trail: Trail) -> None:
        """A request is over: record it. Nothing that fails here fails the request."""
        if trail.owner is None and trail.is_proven:
            # It failed before any decision: who asked is known, and is not looked up yet.
            with contextlib.suppress(Exception):
                trail.owner = await self.deployment.database.read(
                    lambda db: find_key_owner(db, trail.access_key_id), consistent=False
                )
        self.deployment.audit.finish(trail)


def identify(db: Connection, origin: Origin, action: str, *, anonymous: bool = False) -> Caller:
    """The caller behind a proven access key, or the error of a key that is gone, or that this action does not take."""
    if anonymous and not origin.access_key_id:
        return ANONYMOUS
    caller = find_caller(db, origin.access_key_id)
    if caller is None or not caller.credentials_take(action):
        raise UnrecognizedClient
    return caller
