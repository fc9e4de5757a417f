"""What would be decided: IAM's simulator on the evaluator that decides every request.

A result is one action on one resource; a page of them is worked out at a time. The keys of a request that does not take
place come from ``ContextEntries``; of a principal that is there, what openecr knows of it is known too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openecr.access.policies.document import Effect, PolicyInvalid, PolicyKind, Position, parse
from openecr.access.policies.evaluation import (
    AccessRequest,
    Match,
    NamedPolicy,
    PolicySet,
    Principal,
    Verdict,
    evaluate,
)
from openecr.access.policies.wording import Layer
from openecr.call import Call
from openecr.errors import InvalidInput
from openecr.services.iam import arns, pages, simulated_principals
from openecr.services.iam.declaring import iam_operation
from openecr.services.iam.simulated_principals import Source, Sources

Keys = Mapping[str, tuple[str, ...]]
Entries = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that the results of one request have in common."""

    principal: Principal
    policies: PolicySet
    sources: Sources
    context: Keys
    owner: str
    """The account of resources whose ARNs name none."""


@iam_operation("SimulateCustomPolicy", writes=False, located=arns.anything)
def simulate_custom_policy(
    call: Call,
    *,
    policy_input_list: list[str],
    action_names: list[str],
    permissions_boundary_policy_input_list: list[str] | None = None,
    ordered_organization_policy_input_list: Entries | None = None,
    resource_arns: list[str] | None = None,
    resource_policy: str | None = None,
    resource_owner: str | None = None,
    caller_arn: str | None = None,
    context_entries: Entries | None = None,
    resource_handling_option: str | None = None,
    max_items: int | None = None,
    marker: str | None = None,
) -> dict[str, Any]:
    """What policies would decide that are nowhere stored."""
    _refuse_what_is_not_simulated(ordered_organization_policy_input_list, resource_handling_option)
    sources = Sources()
    principal = simulated_principals.named(caller_arn, call.registry().account_id)
    policies = PolicySet(
        identity=_read(sources, policy_input_list, "PolicyInputList", PolicyKind.IDENTITY),
        boundary=_read_boundary(sources, permissions_boundary_policy_input_list),
        resource=_read_resource_policy(sources, resource_policy),
    )
    simulation = Simulation(
        principal, policies, sources, _entered(context_entries), _owner(resource_owner, principal.account_id)
    )
    return _page(call, "SimulateCustomPolicy", simulation, action_names, resource_arns, marker, max_items)


@iam_operation("SimulatePrincipalPolicy", writes=False, located=arns.named("policy_source_arn"))
def simulate_principal_policy(
    call: Call,
    *,
    policy_source_arn: str,
    action_names: list[str],
    policy_input_list: list[str] | None = None,
    permissions_boundary_policy_input_list: list[str] | None = None,
    policy_exclusion_list: Entries | None = None,
    resource_arns: list[str] | None = None,
    resource_policy: str | None = None,
    resource_owner: str | None = None,
    caller_arn: str | None = None,
    context_entries: Entries | None = None,
    resource_handling_option: str | None = None,
    max_items: int | None = None,
    marker: str | None = None,
) -> dict[str, Any]:
    """What the policies of a user, group or role would decide, with more of them where given."""
    _refuse_what_is_not_simulated(None, resource_handling_option)
    found = simulated_principals.stored(call, policy_source_arn, policy_exclusion_list or [])
    sources = found.sources
    added = _read(sources, policy_input_list or [], "PolicyInputList", PolicyKind.IDENTITY)
    policies = PolicySet(
        identity=(*found.identity, *added),
        boundary=_read_boundary(sources, permissions_boundary_policy_input_list) or found.boundary,
        resource=_read_resource_policy(sources, resource_policy),
    )
    simulation = Simulation(
        found.principal if caller_arn is None else simulated_principals.named(caller_arn, found.principal.account_id),
        policies,
        sources,
        {**found.context, **_entered(context_entries)},
        _owner(resource_owner, found.principal.account_id),
    )
    return _page(call, "SimulatePrincipalPolicy", simulation, action_names, resource_arns, marker, max_items)


@iam_operation("GetContextKeysForCustomPolicy", writes=False, located=arns.anything)
def get_context_keys_for_custom_policy(_call: Call, *, policy_input_list: list[str]) -> dict[str, Any]:
    """The condition keys that policies read, in lower case."""
    read = _read(Sources(), policy_input_list, "PolicyInputList", PolicyKind.IDENTITY)
    return {"ContextKeyNames": _keys_of(read)}


@iam_operation("GetContextKeysForPrincipalPolicy", writes=False, located=arns.named("policy_source_arn"))
def get_context_keys_for_principal_policy(
    call: Call, *, policy_source_arn: str, policy_input_list: list[str] | None = None
) -> dict[str, Any]:
    """The condition keys that the policies of a user, group or role read, in lower case."""
    found = simulated_principals.stored(call, policy_source_arn, [])
    added = _read(Sources(), policy_input_list or [], "PolicyInputList", PolicyKind.IDENTITY)
    return {"ContextKeyNames": _keys_of((*found.identity, *added))}


def _refuse_what_is_not_simulated(organization: Entries | None, handling: str | None) -> None:
    if organization:
        raise InvalidInput(message="openecr has no organization policies; leave OrderedOrganizationPolicyInputList out")
    if handling is not None:
        raise InvalidInput(message="openecr simulates no instances; leave ResourceHandlingOption out")


def _keys_of(policies: Sequence[NamedPolicy]) -> list[str]:
    return sorted({key for named in policies for key in named.policy.depends_on})


def _read(sources: Sources, texts: Sequence[str], member: str, kind: PolicyKind) -> tuple[NamedPolicy, ...]:
    """The policies of a request's list; each is known by its place in it.

    Raises:
        InvalidInput: one is no policy.
    """
    found = []
    for number, text in enumerate(texts, start=1):
        name = f"{member}.{number}"
        try:
            found.append(NamedPolicy(name, parse(text, kind)))
        except PolicyInvalid as invalid:
            raise InvalidInput(message=f"{name}: {invalid.why}") from None
        sources.add(name, Source(name, "none"))
    return tuple(found)


def _read_boundary(sources: Sources, texts: list[str] | None) -> NamedPolicy | None:
    if not texts:
        return None
    if len(texts) > 1:
        raise InvalidInput(message="A simulation takes one permissions boundary at most")
    return _read(sources, texts, "PermissionsBoundaryPolicyInputList", PolicyKind.BOUNDARY)[0]


def _read_resource_policy(sources: Sources, text: str | None) -> NamedPolicy | None:
    """A resource's policy: with resources as most services have them, or without as ECR's repositories."""
    if text is None:
        return None
    try:
        policy = parse(text, PolicyKind.REPOSITORY)
    except PolicyInvalid:
        try:
            policy = parse(text, PolicyKind.ENDPOINT)
        except PolicyInvalid as invalid:
            raise InvalidInput(message=f"ResourcePolicy: {invalid.why}") from None
    sources.add("ResourcePolicy", Source("ResourcePolicy", "resource"))
    return NamedPolicy("ResourcePolicy", policy)


def _owner(resource_owner: str | None, account_id: str) -> str:
    if resource_owner is None:
        return account_id
    owner = simulated_principals.account_of(resource_owner)
    if owner is None:
        raise InvalidInput(message=f"ResourceOwner {resource_owner} is not the ARN of an account")
    return owner


def _entered(entries: Entries | None) -> dict[str, tuple[str, ...]]:
    return {
        str(entry["ContextKeyName"]).lower(): tuple(entry.get("ContextKeyValues") or ())
        for entry in entries or ()
        if entry.get("ContextKeyName")
    }


def _page(
    call: Call,
    operation_name: str,
    simulation: Simulation,
    action_names: list[str],
    resource_arns: list[str] | None,
    marker: str | None,
    most: int | None,
) -> dict[str, Any]:
    for action in action_names:
        service, colon, name = action.partition(":")
        if not (service and colon and name) or "*" in action:
            raise InvalidInput(message=f"Invalid or unsupported action: {action}")
    resources = resource_arns or ["*"]
    total = len(action_names) * len(resources)

    def load(position: list[str | int], wanted: int) -> list[int]:
        begin = int(position[0]) + 1
        return list(range(begin, min(begin + wanted, total)))

    return pages.page(
        call,
        operation_name,
        {"of": call.caller.arn, "actions": action_names, "resources": resources},
        marker,
        most,
        member="EvaluationResults",
        start=[-1],
        load=load,
        position_of=lambda number: [number],
        told=lambda number: _result(
            simulation, action_names[number // len(resources)], resources[number % len(resources)]
        ),
    )


def _result(simulation: Simulation, action: str, resource: str) -> dict[str, Any]:
    parts = resource.split(":", 5)
    account_id = parts[4] if len(parts) == 6 and parts[4] not in ("", "aws") else simulation.owner
    verdict = evaluate(
        AccessRequest(
            principal=simulation.principal,
            action=action,
            resource=resource,
            resource_account_id=account_id,
            context=simulation.context,
        ),
        simulation.policies,
    )
    told: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": _decision(verdict),
        "MatchedStatements": [_told(match, simulation.sources) for match in _weighty(verdict)],
        "MissingContextValues": list(verdict.missing_keys),
    }
    if simulation.policies.boundary is not None:
        effects = {match.statement.effect for match in verdict.matched if match.layer is Layer.BOUNDARY}
        told["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": effects == {Effect.ALLOW}}
    return told


def _decision(verdict: Verdict) -> str:
    if verdict.allowed:
        return "allowed"
    return "explicitDeny" if verdict.explicit else "implicitDeny"


def _weighty(verdict: Verdict) -> list[Match]:
    """The statements that made the decision: denials where there are any, else what allows."""
    denials = [match for match in verdict.matched if match.statement.effect is Effect.DENY]
    return denials or list(verdict.matched)


def _told(match: Match, sources: Sources) -> dict[str, Any]:
    source = sources.of(match.policy.name)
    return {
        "SourcePolicyId": source.id,
        "SourcePolicyType": source.type,
        "StartPosition": _place(match.statement.start),
        "EndPosition": _place(match.statement.end),
    }


def _place(position: Position) -> dict[str, int]:
    return {"Line": position.line, "Column": position.column}
