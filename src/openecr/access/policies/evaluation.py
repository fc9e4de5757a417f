"""Allowed or denied, by which statement, and in whose words: one pure function.

Sources: IAM User Guide, "Policy evaluation logic", "Cross-account policy evaluation logic", "Determining whether a
request is allowed or denied within an account", "Troubleshoot access denied error messages".

    any explicit deny                             denied; the first of: endpoint, boundary, session, resource, identity
    a VPC endpoint's policy that does not allow   denied
    the same account                              an identity policy or the resource's allows; boundary and session
                                                  policies must allow too, unless the resource's policy names the user
                                                  or the very session
    another account                               both sides allow
    a role's trust policy                         must allow; alone it does where it names more than the account
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from openecr.access.policies.document import Level, Named, Policy, PolicyKind, Statement

Kind = Literal["root", "user", "role", "federated", "service", "anonymous"]
REGISTRY_V1_ACTIONS = frozenset({"ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"})
"""What a registry policy weighs on while its scope is V1 (ECR user guide, "Registry permissions")."""
_MOST_DECISIONS = 16_384


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as policies name it."""

    arn: str
    """A user's ARN, or that of the session of a role; empty for an anonymous caller."""
    account_id: str
    kind: Kind
    role_arn: str = ""
    """The role of the session."""
    unique_id: str = ""
    """What a stored policy names a user or role by."""
    service: str = ""
    provider: str = ""
    """The ARN of the identity provider that vouched for a federated caller."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One action on one resource."""

    principal: Principal
    action: str
    resource: str
    """An ARN, or ``*`` for an action without a resource type."""
    resource_account_id: str
    """Empty where the action has no resource: then it is the principal's account."""
    context: Mapping[str, tuple[str, ...]]
    """Condition keys in lower case; one that the request does not have is not there."""


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy, and what it is called: its ARN, or words."""

    name: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything that weighs on a request."""

    identity: Sequence[NamedPolicy] = ()
    boundary: NamedPolicy | None = None
    session: Sequence[NamedPolicy] | None = None
    """None where the session has no policies of its own."""
    resource: NamedPolicy | None = None
    """The repository's policy, or a role's trust policy."""
    registry: NamedPolicy | None = None
    registry_scope: str = "V2"
    endpoint: NamedPolicy | None = None
    """None for full access."""

    @property
    def every(self) -> Iterable[tuple[str, NamedPolicy]]:
        """Each policy with its type, in the order in which an explicit deny is told."""
        singles = (("endpoint", self.endpoint), ("boundary", self.boundary))
        yield from ((type_, one) for type_, one in singles if one is not None)
        yield from (("session", one) for one in self.session or ())
        resources = (("resource", self.resource), ("registry", self.registry))
        yield from ((type_, one) for type_, one in resources if one is not None)
        yield from (("identity", one) for one in self.identity)


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that matched a request."""

    type: str
    """``identity``, ``boundary``, ``session``, ``resource``, ``registry`` or ``endpoint``."""
    policy: str
    """The policy's name."""
    statement: Statement
    level: Level | None = None
    """How closely a resource's policy names the principal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, and what made it."""

    allowed: bool
    reason: str
    """What AWS says after the sentence of a denial; empty where the request is allowed."""
    explicit: bool
    decided_by: Match | None
    matched: tuple[Match, ...]
    remedy: str
    """What would have to change for the request to be allowed; empty where it is."""


_TOLD = {
    "endpoint": ("a VPC endpoint policy", "VPC endpoint policy"),
    "boundary": ("a permissions boundary", "permissions boundary"),
    "session": ("a session policy", "session policy"),
    "resource": ("a resource-based policy", "resource-based policy"),
    "registry": ("a resource-based policy", "resource-based policy"),
    "identity": ("an identity-based policy", "identity-based policy"),
}


def evaluate(request: AccessRequest, policies: PolicySet) -> Verdict:
    """Decide a request."""
    matched = tuple(_matches(request, policies))
    for match in matched:
        if not match.statement.allows:
            return _denied(request, match.type, matched, match)
    allows: dict[str, list[Match]] = {}
    for match in matched:
        allows.setdefault(match.type, []).append(match)
    if policies.endpoint is not None and "endpoint" not in allows:
        return _denied(request, "endpoint", matched)
    lacking, decisive = _lacking(request, policies, allows)
    if lacking is not None:
        return _denied(request, lacking, matched)
    return Verdict(True, "", explicit=False, decided_by=decisive, matched=matched, remedy="")


def _matches(request: AccessRequest, policies: PolicySet) -> Iterable[Match]:
    values = request.context.get
    for type_, named in policies.every:
        if type_ == "registry" and policies.registry_scope == "V1" and request.action not in REGISTRY_V1_ACTIONS:
            continue
        for statement in named.policy.on(request.action):
            level = _level(statement, request.principal)
            if statement.principals is not None and level is None:
                continue
            if not statement.means_resource(request.resource, values):
                continue
            if all(condition.holds(request.context) for condition in statement.conditions):
                yield Match(type_, named.name, statement, level)


def _lacking(
    request: AccessRequest, policies: PolicySet, allows: Mapping[str, Sequence[Match]]
) -> tuple[str | None, Match | None]:
    """(the type of policy whose allow is missing, None where none is; the statement that allows)."""
    principal = request.principal
    resource = [*allows.get("resource", ()), *allows.get("registry", ())]
    named = next((match for match in resource if match.level is not Level.ACCOUNT), None)
    is_trust = policies.resource is not None and policies.resource.policy.kind is PolicyKind.TRUST
    if principal.kind in ("anonymous", "service", "federated"):
        return ("resource", None) if named is None else (None, named)
    identity = next(iter(allows.get("identity", ())), None)
    has_identity = identity is not None or principal.kind == "root"
    limit = _limit(policies, allows)
    if request.resource_account_id not in ("", principal.account_id) or is_trust:
        if not resource:
            return "resource", None
        if is_trust and request.resource_account_id == principal.account_id and named is not None:
            return limit if named.level is not Level.PRINCIPAL else None, named
        return ("identity" if not has_identity else limit), resource[0]
    if named is not None and named.level is Level.PRINCIPAL:
        return None, named
    if not has_identity and named is None:
        return "identity", None
    return limit, identity or named


def _limit(policies: PolicySet, allows: Mapping[str, Sequence[Match]]) -> str | None:
    """Which limit on the principal does not allow, boundary before session."""
    if policies.boundary is not None and "boundary" not in allows:
        return "boundary"
    return "session" if policies.session is not None and "session" not in allows else None


def _level(statement: Statement, principal: Principal) -> Level | None:
    """How closely a statement names a principal; None where it does not."""
    if statement.principals is None:
        return None
    levels = [level for named in statement.principals if (level := _named_level(named, principal)) is not None]
    if statement.not_principals:
        return None if levels else Level.EVERYONE
    return min(levels, key=list(Level).index) if levels else None


def _named_level(named: Named, principal: Principal) -> Level | None:
    if named.type == "Service":
        return Level.PRINCIPAL if principal.kind == "service" and named.value == principal.service else None
    if named.type == "Federated":
        return Level.PRINCIPAL if principal.kind == "federated" and named.value == principal.provider else None
    if named.type != "AWS" or (principal.kind in ("service", "federated") and named.value != "*"):
        return None
    if named.value == "*":
        return Level.EVERYONE
    if principal.kind == "anonymous":
        return None
    if named.value == principal.arn or (named.value == principal.unique_id and principal.kind == "user"):
        return Level.PRINCIPAL if principal.kind != "root" else Level.ACCOUNT
    if principal.kind == "role" and named.value in (principal.role_arn, principal.unique_id):
        return Level.ROLE
    if named.value == principal.account_id or named.value.endswith(f":iam::{principal.account_id}:root"):
        return Level.ACCOUNT
    return None


def _denied(request: AccessRequest, type_: str, matched: tuple[Match, ...], by: Match | None = None) -> Verdict:
    with_article, plain = _TOLD[type_]
    if by is not None:
        sid = f" {by.statement.sid}" if by.statement.sid else ""
        return Verdict(
            False,
            f"with an explicit deny in {with_article}",
            explicit=True,
            decided_by=by,
            matched=matched,
            remedy=f"change statement {by.statement.index + 1}{sid} of {by.policy}, which denies it",
        )
    reason = f"because no {plain} allows the {request.action} action"
    return Verdict(False, reason, explicit=False, decided_by=None, matched=matched, remedy=_remedy(request, type_))


def _remedy(request: AccessRequest, type_: str) -> str:
    """What would have to be allowed, and where."""
    principal, what = request.principal, f"{request.action} on {request.resource}"
    where = {
        "endpoint": "the policy of the VPC endpoint that the request came through",
        "boundary": f"the permissions boundary of {principal.role_arn or principal.arn}",
        "session": f"the session policies that {principal.arn} was given",
        "identity": f"an identity-based policy of {principal.role_arn or principal.arn}",
        "resource": f"the policy of {request.resource}, for {principal.arn or 'everyone'}",
    }[type_]
    other_side = ""
    if type_ == "resource" and principal.account_id:
        other_side = f"; an identity-based policy of {principal.role_arn or principal.arn} must allow it too"
    return f"allow {what} in {where}{other_side}"


class DecisionCache:
    """Decisions that no condition made, by what they depend on. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Verdict] = OrderedDict()

    def decide(self, version: Hashable, request: AccessRequest, policies: PolicySet) -> Verdict:
        """The verdict, from memory where nothing that it was made of changed.

        Args:
            version: another value whenever any of the policies is another.
        """
        key = (version, request.principal.arn, request.action, request.resource)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        verdict = evaluate(request, policies)
        if not any(named.policy.depends_on for _, named in policies.every):
            with self._lock:
                self._known[key] = verdict
                if len(self._known) > _MOST_DECISIONS:
                    self._known.popitem(last=False)
        return verdict
