"""What one request turned out to be: begun by its plane, filled by the waist, written down at its end.

A request of the api plane is one event, its operation. One of the dkr plane is an event for each IAM action that it
took, under ECR's names: ``POST uploads?digest=`` is InitiateLayerUpload, UploadLayerPart and CompleteLayerUpload.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from openecr.db.callers import KeyOwner
from openecr.names import RegistryName

API, DKR, LAYERS, WORKLOADS = "api", "dkr", "layers", "workloads"
"""The planes, as records name them."""


class _Statement(Protocol):
    @property
    def index(self) -> int: ...
    @property
    def sid(self) -> str: ...
    @property
    def source(self) -> str: ...


class _Policy(Protocol):
    @property
    def name(self) -> str: ...


class _Match(Protocol):
    @property
    def policy_type(self) -> str: ...
    @property
    def policy(self) -> _Policy: ...
    @property
    def statement(self) -> _Statement: ...


class Decided(Protocol):
    """A verdict of the evaluator, as far as records tell it."""

    @property
    def allowed(self) -> bool:
        """Whether the request was."""
        ...

    @property
    def reason(self) -> str:
        """What a denial is told with."""
        ...

    @property
    def remedy(self) -> str:
        """What would have to change."""
        ...

    @property
    def decided_by(self) -> _Match | None:
        """The statement that made it, where one did."""
        ...


@dataclass(slots=True)
class Event:
    """One thing that a request did or tried."""

    service: str
    """As IAM's actions begin with it: ``ecr``."""
    name: str
    parameters: Mapping[str, Any]
    """On the api plane the model's members; on the dkr plane the decision's arguments."""
    hidden: frozenset[str] = frozenset()
    """Members that the model calls sensitive."""
    action: str = ""
    """The IAM action that was asked of the evaluator."""
    resources: Sequence[str] = ()
    answer: Any = None
    error: BaseException | None = None
    verdict: Decided | None = None
    """Why it was allowed; a denial's is in the error."""
    kept: bool = False
    """Whether its record was committed together with what it did."""


@dataclass(slots=True)
class Trail:
    """One request."""

    plane: str
    request_id: str
    now_us: int
    source_address: str
    user_agent: str
    registry: RegistryName
    """The addressed one; on the api plane the caller's."""
    access_key_id: str = ""
    """The access key that the request names."""
    is_proven: bool = False
    """Whether the request was proven to come from that key."""
    owner: KeyOwner | None = None
    """Whose key it is."""
    vpc_endpoint_id: str | None = None
    only: Event | None = None
    """The operation of an api-plane request."""
    events: list[Event] = field(default_factory=list)

    def begin(
        self, service: str, name: str, parameters: Mapping[str, Any], hidden: frozenset[str] = frozenset()
    ) -> None:
        """Whatever the request does is this operation; said again, with more of its parameters."""
        self.only = Event(service, name, parameters, hidden=hidden)
        self.events = [self.only]

    def answered(self, answer: Any) -> None:
        """What the operation answered."""
        if self.only is not None:
            self.only.answer = answer

    def event(self, service: str, name: str, arguments: Mapping[str, Any]) -> Event:
        """The event that a decision belongs to: several of one name are one event."""
        if self.only is not None:
            return self.only
        for event in self.events:
            if event.name == name:
                return event
        event = Event(service, name, arguments)
        self.events.append(event)
        return event

    def instant_us(self, event: Event) -> int:
        """When an event was: a request's own, in their order, each a µs after the one before."""
        return self.now_us if self.events[0] is event else self.now_us + self.events.index(event)

    def fail(self, error: BaseException, service: str, name: str, arguments: Mapping[str, Any]) -> Event:
        """The request failed: in the event that it came to last, else in one that it would have become."""
        event = self.events[-1] if self.events else self.event(service, name, arguments)
        event.error = error
        return event


class Refused(Exception):
    """What a plane answered that has errors of its own."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)
