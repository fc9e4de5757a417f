"""What all policies that apply to a request decide together."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from openecr.access.policies.document import Policy, Statement

PrincipalKind = Literal["root", "user", "role", "federated", "service", "anonymous"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    kind: PrincipalKind
    arn: str = ""
    """The user's ARN, or that of the assumed-role or federated-user session; empty for anonymous."""
    account_id: str = ""
    role_arn: str = ""
    """For a session of a role: the IAM role's ARN."""
    unique_id: str = ""
    """``AIDA…`` or ``AROA…``: what a stored policy names after the principal was deleted."""
    service: str = ""
    """For a service: ``replication.ecr.amazonaws.com``."""
    provider: str = ""
    """For a web or SAML identity that assumes a role: the provider, as ``Federated`` principals name it."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One action on one resource."""

    principal: Principal
    action: str
    resource: str
    """An ARN, or ``*`` for actions without a resource type."""
    resource_account_id: str
    """The account that owns the resource; empty where the action has none."""
    context: Mapping[str, tuple[str, ...]]
    """Condition keys, lower case, with their values; an absent key is not there. Only ``get`` is called, so that it can
    find values when they are read."""


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy and how an administrator knows it: its ARN, or words like "inline policy pull of user dev"."""

    name: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies that apply to a request."""

    identity: Sequence[NamedPolicy] = ()
    boundary: NamedPolicy | None = None
    session: Sequence[NamedPolicy] | None = None
    """None where the session has no policy, or there is no session; an empty one allows nothing."""
    resource: NamedPolicy | None = None
    """The repository's policy, or the trust policy of the role to assume."""
    registry: NamedPolicy | None = None
    registry_scope: Literal["V1", "V2"] = "V2"
    endpoint: NamedPolicy | None = None
    """The policy of the VPC endpoint that the request came through; None where there is none, or full access."""


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that applied."""

    policy: NamedPolicy
    policy_type: str
    """In the words of denials: "identity-based policy", "permissions boundary"."""
    statement: Statement


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, by what, and what would change it."""

    allowed: bool
    reason: str = ""
    """How AWS ends the sentence of the denial; empty where allowed."""
    explicit: bool = False
    """Whether a statement denied."""
    decided_by: Match | None = None
    """The statement that allowed or denied; None for an implicit denial, and for a root user in its account."""
    matched: tuple[Match, ...] = ()
    """Every statement that applied."""
    missing_keys: tuple[str, ...] = ()
    """The condition keys that were read and that the request does not have."""
    remedy: str = ""
    """What would have to change for the request to be allowed; empty where it is."""
    read_context: bool = False
    """Whether any condition key was read: a decision that read none holds for every such request."""


def evaluate(request: AccessRequest, policies: PolicySet) -> Verdict:
    """May this principal do this action on this resource?"""
    raise NotImplementedError


class DecisionCache:
    """Answers again what was decided without reading the request's context; holds so many decisions and no more."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most

    def decide(self, version: Hashable, request: AccessRequest, policies: Callable[[], PolicySet]) -> Verdict:
        """The verdict, kept if it read no context.

        ``version`` must be another one whenever any policy that may apply has changed; ``policies`` is asked only when
        nothing is kept.
        """
        raise NotImplementedError
