"""What all policies that apply to a request decide together.

Sources: IAM User Guide, "How AWS enforcement code logic evaluates requests to allow or deny access"
(reference_policies_evaluation-logic_policy-eval-denyallow), "Policy evaluation for requests within a single account"
(…_policy-eval-basics) and "Cross-account policy evaluation logic" (reference_policies_evaluation-logic-cross-account);
ECR User Guide, "Private registry permissions" for what the scope of a registry policy means.

Of several policies that deny, AWS names one and does not document which; openecr names the outermost: endpoint,
boundary, session, resource, identity. Across accounts a resource's policy that allows nothing is named once nothing
else is lacking.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from openecr.access.policies import wording
from openecr.access.policies.context import Reading
from openecr.access.policies.document import Effect, Policy, PolicyKind, Statement
from openecr.access.policies.principals import Grant, Principal, PrincipalKind
from openecr.access.policies.wording import Layer

__all__ = [
    "AccessRequest",
    "DecisionCache",
    "Match",
    "NamedPolicy",
    "PolicySet",
    "Principal",
    "PrincipalKind",
    "Verdict",
    "evaluate",
]

_V1_ACTIONS = frozenset(("ecr:replicateimage", "ecr:batchimportupstreamimage", "ecr:createrepository"))


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One action on one resource."""

    principal: Principal
    action: str
    resource: str
    """An ARN, or ``*`` for actions without a resource type."""
    resource_account_id: str
    """The account that owns the resource; empty where the action has none."""
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Condition keys, lower case, with their values; an absent key is not there. Only ``get`` is called, so that it can
    find values when they are read."""

    @property
    def crosses_accounts(self) -> bool:
        """Whether the resource belongs to an account that is not the principal's."""
        return self.resource_account_id not in ("", self.principal.account_id)


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
    layer: Layer
    statement: Statement
    grant: Grant

    @property
    def policy_type(self) -> str:
        """In the words of denials: "identity-based policy", "permissions boundary"."""
        return self.layer.words


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
    reading = Reading(request.context)
    matched: list[Match] = []
    for layer, present in _layers(request, policies):
        for named in present:
            _match(layer, named, request, reading, matched)
    denial = next((match for match in matched if match.statement.effect is Effect.DENY), None)
    allows = [match for match in matched if match.statement.effect is Effect.ALLOW]
    needed, lacking = _judge(request, policies, allows)
    explicit = denial is not None
    return Verdict(
        allowed=not explicit and not lacking,
        reason=_reason(request, denial, lacking),
        explicit=explicit,
        decided_by=denial if explicit else _deciding(allows, needed, lacking),
        matched=tuple(matched),
        missing_keys=tuple(sorted(reading.missing)),
        remedy=_remedy(request, policies, denial, lacking),
        read_context=reading.used,
    )


def _layers(request: AccessRequest, policies: PolicySet) -> Sequence[tuple[Layer, Sequence[NamedPolicy]]]:
    """The policies that apply, in the order in which an explicit denial is looked for."""
    attached = [] if policies.resource is None else [policies.resource]
    if policies.registry is not None and _is_in_scope(request.action.lower(), policies.registry_scope):
        attached.append(policies.registry)
    # What limits or grants as an identity's policy is no policy of a service, nor of whoever has not signed; nothing
    # of an account's own limits its root user.
    identity = request.principal.has_identity and request.principal.kind != "root"
    return (
        (Layer.ENDPOINT, () if policies.endpoint is None else (policies.endpoint,)),
        (Layer.BOUNDARY, () if policies.boundary is None or not identity else (policies.boundary,)),
        (Layer.SESSION, (policies.session or ()) if identity else ()),
        (_resource_layer(policies), attached),
        (Layer.IDENTITY, policies.identity if identity else ()),
    )


def _is_in_scope(action: str, scope: Literal["V1", "V2"]) -> bool:
    return action in _V1_ACTIONS if scope == "V1" else action.startswith("ecr:")


def _resource_layer(policies: PolicySet) -> Layer:
    trust = policies.resource is not None and policies.resource.policy.kind is PolicyKind.TRUST
    return Layer.TRUST if trust else Layer.RESOURCE


def _match(layer: Layer, named: NamedPolicy, request: AccessRequest, reading: Reading, matched: list[Match]) -> None:
    for statement in named.policy.statements_for(request.action.lower()):
        grant = statement.applies(request.principal, request.resource, reading)
        if grant is not Grant.NONE:
            matched.append(Match(named, layer, statement, grant))


def _judge(
    request: AccessRequest, policies: PolicySet, allows: Sequence[Match]
) -> tuple[Sequence[Layer], Sequence[Layer]]:
    """The layers that must allow this request, and those of them that do not, the one to name first."""
    layer = _resource_layer(policies)
    granted = max((match.grant for match in allows if match.layer is layer), default=Grant.NONE)
    needed = [Layer.ENDPOINT] if policies.endpoint is not None else []
    needed += _needed(request, layer, granted)
    if policies.boundary is None and Layer.BOUNDARY in needed:
        needed.remove(Layer.BOUNDARY)
    if policies.session is None and Layer.SESSION in needed:
        needed.remove(Layer.SESSION)
    # The resource's is named last: who is not allowed by its own account must not learn what a repository's policy
    # says, or that there is one.
    lacking = [each for each in needed if not any(match.layer is each for match in allows)]
    return needed, sorted(lacking, key=lambda each: each is Layer.RESOURCE)


_OF_IDENTITY = (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)


def _needed(request: AccessRequest, layer: Layer, granted: Grant) -> Sequence[Layer]:
    """Which of resource, identity, boundary and session must allow, given how the resource's policy means the caller.

    A role's trust policy must allow in any case; so must the policy of a resource in another account, and one whose
    caller has no identity-based policies. Within an account, what names the user or session needs nothing else, what
    names the session's role is still limited, and what names the account leaves the decision to its own policies.
    """
    principal = request.principal
    if not principal.has_identity:
        return (layer,)
    required = request.crosses_accounts or layer is Layer.TRUST
    if principal.kind == "root":
        return (layer,) if required else ()
    if request.crosses_accounts:
        return (layer, *_OF_IDENTITY)
    if granted is Grant.DIRECT:
        return (layer,)
    if granted is Grant.ROLE:
        return (layer, Layer.BOUNDARY, Layer.SESSION)
    return (layer, *_OF_IDENTITY) if required else _OF_IDENTITY


def _deciding(allows: Sequence[Match], needed: Sequence[Layer], lacking: Sequence[Layer]) -> Match | None:
    """The statement that granted: the resource's where that was needed, else the identity's."""
    if lacking:
        return None
    granting = [layer for layer in needed if layer in (Layer.RESOURCE, Layer.TRUST, Layer.IDENTITY)]
    candidates = [match for match in allows if match.layer in granting]
    return max(candidates, key=lambda match: (match.layer is granting[0], match.grant), default=None)


def _reason(request: AccessRequest, denial: Match | None, lacking: Sequence[Layer]) -> str:
    if denial is not None:
        return wording.explicit(denial.layer, denial.policy.name, same_account=not request.crosses_accounts)
    return wording.implicit(lacking[0], request.action) if lacking else ""


def _remedy(request: AccessRequest, policies: PolicySet, denial: Match | None, lacking: Sequence[Layer]) -> str:
    steps: list[str] = []
    if denial is not None:
        statement = denial.statement
        steps.append(wording.removal(statement.sid, statement.index + 1, denial.policy.name))
    if lacking:
        principal = request.principal
        places = [_place(layer, request, policies) for layer in lacking]
        caller = principal.role_arn or principal.arn or principal.service or principal.provider
        steps.append(wording.addition(request.action, request.resource, caller, places))
    return "; then ".join(steps)


def _place(layer: Layer, request: AccessRequest, policies: PolicySet) -> str:
    """Where a statement would have to be added."""
    match layer:
        case Layer.IDENTITY:
            return f"an identity-based policy of account {request.principal.account_id}"
        case Layer.BOUNDARY if policies.boundary is not None:
            return f"the permissions boundary {policies.boundary.name}"
        case Layer.ENDPOINT if policies.endpoint is not None:
            return f"the VPC endpoint policy {policies.endpoint.name}"
        case Layer.RESOURCE if ":repository/" in request.resource:
            return f"the repository's policy, of account {request.resource_account_id}"
        case Layer.TRUST:
            return f"the role's trust policy, of account {request.resource_account_id}"
        case _:
            return layer.one


class DecisionCache:
    """Answers again what was decided without reading the request's context; holds so many decisions and no more."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._kept: dict[Hashable, Verdict] = {}
        self._lock = Lock()

    def decide(self, version: Hashable, request: AccessRequest, policies: Callable[[], PolicySet]) -> Verdict:
        """The verdict, kept if it read no context.

        ``version`` must be another one whenever any policy that may apply has changed, or other policies apply: which
        identity, session and endpoint it is. ``policies`` is asked only when nothing is kept.
        """
        key = (version, request.principal, request.action, request.resource, request.resource_account_id)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        verdict = evaluate(request, policies())
        if not verdict.read_context:
            self._keep(key, verdict)
        return verdict

    def _keep(self, key: Hashable, verdict: Verdict) -> None:
        with self._lock:
            if len(self._kept) >= self._most:
                # The oldest goes: what is asked for often is back at once, and no answer has to move a key.
                del self._kept[next(iter(self._kept))]
            self._kept[key] = verdict
