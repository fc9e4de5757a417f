"""What an operation is written with: the call that it gets, and how it is declared.

A *decision* is a plain function with an open transaction; ``@decision`` says which IAM action it is and whether it
writes. ``@operation`` is a decision that is also an operation of an AWS service, with the arguments and the answer of
its model. ``@flow`` is an operation that moves bytes between decisions. ``waist`` runs them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from openecr.access.authorization import Question
from openecr.access.identity import Caller
from openecr.access.policies.evaluation import NamedPolicy, Verdict
from openecr.db.connection import Connection
from openecr.deployment import Deployment, Effect, Needs
from openecr.errors import AccessDenied
from openecr.events.trail import Event
from openecr.names import RegistryName, parse_repository_arn, repository_arn
from openecr.origin import Origin, Strictness
from openecr.settings import Settings

T = TypeVar("T")


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
