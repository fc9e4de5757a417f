"""May this caller do this? Gathers the policies that weigh on a request and asks the evaluator.

What may change is read at each request, inside its transaction: who the caller is, the version of what it may do, the
policies of the repository and its registry. Texts are compiled once; compiled policies of an identity are known by its
access version, which is another text after every change.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from openecr.access import aws_managed, vpc_tags
from openecr.access.condition_keys import Asked, Context
from openecr.access.identity import Caller
from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import (
    AccessRequest,
    DecisionCache,
    NamedPolicy,
    PolicySet,
    Verdict,
    evaluate,
)
from openecr.db import accounts, callers, identity_tags, resource_policies
from openecr.db.connection import Connection
from openecr.names import RegistryName, parse_repository_arn

T = TypeVar("T")
_MOST_KEPT = 4096
_ABSENT = 0
"""The key of no repository."""
_NO_POLICIES: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class IdentityPolicies:
    """What weighs on a principal wherever it goes."""

    identity: tuple[NamedPolicy, ...]
    boundary: NamedPolicy | None


@dataclass(frozen=True, slots=True)
class ResourcePolicies:
    """The texts that weigh on a resource whoever asks."""

    repository: str | None = None
    registry: str | None = None
    registry_scope: str = "V2"
    repository_key: int = field(default=_ABSENT, compare=False)
    from_memory: bool = field(default=False, compare=False)
    """Whether memory had the repository, as it never has one that is not there."""


@dataclass(frozen=True, slots=True)
class Question:
    """One action on one resource, asked by one request."""

    caller: Caller
    action: str
    resource: str
    """An ARN, or ``*`` for an action without a resource type."""
    registry: RegistryName
    """The registry that the request addresses."""
    now_us: int
    source_address: str = ""
    secure: bool = False
    user_agent: str = ""
    vpc_id: str | None = None
    vpc_endpoint_id: str | None = None
    endpoint_policy: str | None = None
    vpc_source_ip: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    trust: NamedPolicy | None = None
    """The resource's own policy where it is not a repository: a role's trust policy."""
    more: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_POLICIES)
    """Condition keys in lower case that this operation alone has."""


class _Kept(Generic[T]):
    """The compiled forms that were used last. Any thread may call: what two compile at once is the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """What is known by a key, loaded where it is not known yet."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        loaded = load()
        with self._lock:
            self._kept[key] = loaded
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return loaded


class Authorizer:
    """Decides questions on one server process; remembers only what a change makes another key."""

    def __init__(self) -> None:
        self._identities: _Kept[IdentityPolicies] = _Kept()
        self._sessions: _Kept[tuple[NamedPolicy, ...]] = _Kept()
        self._decisions = DecisionCache()

    def decide(self, db: Connection, question: Question) -> Verdict:
        """The evaluator's verdict under the policies as they are in this transaction."""
        resource = _resource(db, question)
        owner = question.caller.owner
        version = (
            None if owner is None else (owner.access_version, owner.session_key, owner.principal_key),
            resource,
            question.endpoint_policy,
            question.trust,
        )
        request = self._request(db, question, resource)
        verdict = self._decisions.decide(version, request, lambda: self._gather(db, question, resource))
        if resource.from_memory and not verdict.allowed:
            _ask_as_for_one_that_is_absent(db, question.resource)
        return verdict

    def explain(self, db: Connection, question: Question) -> Verdict:
        """The same, worked out anew."""
        return evaluate(self._request(db, question, _resource(db, question)), self.gather(db, question))

    def gather(self, db: Connection, question: Question) -> PolicySet:
        """The policies that weigh on a question."""
        return self._gather(db, question, _resource(db, question))

    def _gather(self, db: Connection, question: Question, resource: ResourcePolicies) -> PolicySet:
        caller = question.caller
        attached = question.trust
        if attached is None and resource.repository is not None:
            attached = _named("the repository's policy", resource.repository, PolicyKind.REPOSITORY)
        registry = endpoint = None
        if resource.registry is not None:
            registry = _named("the registry's policy", resource.registry, PolicyKind.REGISTRY)
        if question.endpoint_policy is not None:
            name = f"the policy of {question.vpc_endpoint_id}"
            endpoint = _named(name, question.endpoint_policy, PolicyKind.ENDPOINT)
        identity = IdentityPolicies((), None) if caller.is_anonymous else self._identity(db, caller)
        return PolicySet(
            identity=identity.identity,
            boundary=identity.boundary,
            session=self._session(db, caller),
            resource=attached,
            registry=registry,
            registry_scope="V1" if resource.registry_scope == "V1" else "V2",
            endpoint=endpoint,
        )

    def _request(self, db: Connection, question: Question, resource: ResourcePolicies) -> AccessRequest:
        caller, owner = question.caller, question.caller.owner
        account_id = _account_of(question.resource) or caller.account_id
        asked = Asked(
            caller=caller,
            now_us=question.now_us,
            region=question.registry.region,
            action=question.action,
            resource_account_id=account_id,
            source_address=question.source_address,
            secure=question.secure,
            user_agent=question.user_agent,
            vpc_id=question.vpc_id,
            vpc_endpoint_id=question.vpc_endpoint_id,
            vpc_source_ip=question.vpc_source_ip,
            arguments=question.arguments,
            principal_tags=dict if owner is None else lambda: callers.tags_of(db, owner.principal_key),
            resource_tags=lambda: _tags_of(db, question.resource, resource),
            resource_organization=lambda: _organization_of(db, account_id),
            more=question.more,
        )
        return AccessRequest(
            principal=caller.principal,
            action=question.action,
            resource=question.resource,
            resource_account_id=account_id,
            context=Context(asked),
        )

    def _identity(self, db: Connection, caller: Caller) -> IdentityPolicies:
        owner = caller.known

        def load() -> IdentityPolicies:
            texts = callers.policies_of(db, owner.principal_key)
            named = [(text.type, _named(text.name, text.document, PolicyKind(text.type))) for text in texts]
            boundary = next((policy for type_, policy in named if type_ == "boundary"), None)
            return IdentityPolicies(tuple(policy for type_, policy in named if type_ == "identity"), boundary)

        return self._identities.get((owner.principal_key, owner.access_version), load)

    def _session(self, db: Connection, caller: Caller) -> tuple[NamedPolicy, ...] | None:
        owner = caller.owner
        if owner is None or owner.session_key is None or not owner.has_policies:
            return None
        session_key = owner.session_key

        def load() -> tuple[NamedPolicy, ...]:
            texts = callers.session_policies(db, session_key)
            return tuple(_named(name, document, PolicyKind.SESSION) for name, document in texts)

        return self._sessions.get((session_key, owner.issued_us, owner.access_key_id), load)


def _resource(db: Connection, question: Question) -> ResourcePolicies:
    """What is attached to a repository and its registry; nothing for what is not ECR's."""
    if not question.action.startswith("ecr:"):
        return ResourcePolicies()
    named, before = parse_repository_arn(question.resource), db.asked
    repository = None if named is None else resource_policies.of_repository(db, *named)
    from_memory = repository is not None and db.asked == before
    registry = resource_policies.of_registry(db, _registry_of(question))
    if repository is None:
        return ResourcePolicies(None, registry.policy, registry.scope)
    return ResourcePolicies(repository.policy, registry.policy, registry.scope, repository.key, from_memory)


def _ask_as_for_one_that_is_absent(db: Connection, resource: str) -> None:
    named = parse_repository_arn(resource)
    if named is not None:
        resource_policies.ask_for_repository(db, *named)


def _tags_of(db: Connection, arn: str, resource: ResourcePolicies) -> Mapping[str, str]:
    """The tags of what an ARN names; of a repository that is not there they are asked for too, so that it takes no
    less time."""
    parts = arn.split(":", 3)
    if arn.startswith("arn:aws:iam::"):
        return identity_tags.of_arn(db, arn)
    if parts[2:3] == ["ec2"]:
        return vpc_tags.of_arn(db, arn)
    return (
        {} if parse_repository_arn(arn) is None else resource_policies.tags_of_repository(db, resource.repository_key)
    )


def _registry_of(question: Question) -> RegistryName:
    """The registry that owns the resource, of which ``repository/*`` names no repository; the one that is addressed
    where the action has no resource. A caller's own registry policy says nothing of another account's."""
    parts = question.resource.split(":", 5)
    return RegistryName(parts[4], parts[3]) if len(parts) == 6 else question.registry


def _named(name: str, document: str | None, kind: PolicyKind) -> NamedPolicy:
    """A policy by its text; one of AWS by its ARN."""
    if document is None:
        known = aws_managed.find(name)
        assert known is not None, name  # noqa: S101 - attachments name only policies that there are
        document = known.document
    return NamedPolicy(name, compiled(document, kind))


def _account_of(resource: str) -> str:
    """The account in an ARN; empty for ``*``, and for AWS's own policies, which every account has."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4] != "aws" else ""


def _organization_of(db: Connection, account_id: str) -> str | None:
    found = accounts.find(db, account_id)
    return None if found is None else found.organization_id
