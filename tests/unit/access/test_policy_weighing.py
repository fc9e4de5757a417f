"""What policies of several kinds decide together, and how a denial is worded."""

from typing import Any

import pytest
from tests.unit.access.deciding import (
    ANONYMOUS,
    APP,
    FEDERATED,
    GITHUB,
    OURS,
    PULL,
    ROLE_TO_ASSUME,
    ROOT,
    SERVICE,
    SESSION,
    THEIR_ROOT,
    THEIR_SESSION,
    THEIR_USER,
    THEIRS,
    USER,
    WORKFLOW,
    allow,
    decide,
    deny,
    policy,
)

from openecr.access.policies.document import PolicyKind
from openecr.access.policies.evaluation import AccessRequest, DecisionCache, PolicySet, evaluate
from openecr.access.policies.principals import Principal

LOGIC = "IAM User Guide, How AWS enforcement code logic evaluates requests to allow or deny access"
WITHIN = "IAM User Guide, Policy evaluation for requests within a single account"
ACROSS = "IAM User Guide, Cross-account policy evaluation logic"
BOUNDARIES = "IAM User Guide, Permissions boundaries for IAM entities"
SESSIONS = "IAM User Guide, Policies and permissions: Session policies"
PRINCIPAL = "IAM User Guide, AWS JSON policy elements: Principal"
ENDPOINTS = "AWS PrivateLink Guide, Control access to VPC endpoints using endpoint policies"
REGISTRY = "Amazon ECR User Guide, Private registry permissions in Amazon ECR"
TRUST = "IAM User Guide, Troubleshoot access denied error messages: role trust policies"
TEXTS = "IAM User Guide, Troubleshoot access denied error messages"

YES = ""
NO_IDENTITY = f"because no identity-based policy allows the {PULL} action"
NO_RESOURCE = f"because no resource-based policy allows the {PULL} action"
NO_BOUNDARY = f"because no permissions boundary allows the {PULL} action"
NO_SESSION = f"because no session policy allows the {PULL} action"
NO_ENDPOINT = f"because no VPC endpoint policy allows the {PULL} action"
DENIED = "with an explicit deny in "

A, D, OTHER = allow(), deny(), allow("ecr:PutImage")


def to(principal: Principal | str, effect: Any = A) -> Any:
    """A statement for a principal alone."""
    return {**effect, "Principal": {"AWS": principal if isinstance(principal, str) else principal.arn}}


THE_ROLE = to(SESSION.role_arn)
# source, who asks, the statements by kind of policy, how the denial ends (nothing: allowed)
SAME_ACCOUNT: list[tuple[str, Principal, dict[str, Any], str]] = [
    (LOGIC, USER, {}, NO_IDENTITY),
    (LOGIC, USER, {"identity": A}, YES),
    (LOGIC, USER, {"identity": OTHER}, NO_IDENTITY),
    (LOGIC, USER, {"identity": [A, D]}, DENIED + "an identity-based policy"),
    (LOGIC, USER, {"identity": [D, A]}, DENIED + "an identity-based policy"),
    (LOGIC, SESSION, {"identity": A}, YES),
    (LOGIC, FEDERATED, {"identity": A}, YES),
    (WITHIN, USER, {"identity": A, "repository": OTHER}, YES),
    (WITHIN, USER, {"repository": to(USER)}, YES),
    (WITHIN, USER, {"repository": A}, YES),
    (WITHIN, USER, {"identity": OTHER, "repository": to(USER)}, YES),
    (WITHIN, USER, {"identity": A, "repository": to(USER, D)}, DENIED + "a resource-based policy"),
    (WITHIN, USER, {"identity": D, "repository": to(USER)}, DENIED + "an identity-based policy"),
    (WITHIN, USER, {"repository": to(SESSION)}, NO_IDENTITY),
    (PRINCIPAL, USER, {"repository": to(OURS)}, NO_IDENTITY),
    (PRINCIPAL, USER, {"repository": to(ROOT)}, NO_IDENTITY),
    (PRINCIPAL, USER, {"repository": to(ROOT), "identity": A}, YES),
    (PRINCIPAL, SESSION, {"repository": to(ROOT)}, NO_IDENTITY),
    (BOUNDARIES, USER, {"identity": A, "boundary": A}, YES),
    (BOUNDARIES, USER, {"identity": A, "boundary": OTHER}, NO_BOUNDARY),
    (BOUNDARIES, USER, {"identity": OTHER, "boundary": A}, NO_IDENTITY),
    (BOUNDARIES, USER, {"boundary": A}, NO_IDENTITY),
    (BOUNDARIES, USER, {"identity": A, "boundary": [A, D]}, DENIED + "a permissions boundary"),
    (BOUNDARIES, USER, {"repository": to(ROOT), "identity": A, "boundary": OTHER}, NO_BOUNDARY),
    (LOGIC, USER, {"boundary": OTHER, "repository": to(USER)}, YES),
    (LOGIC, USER, {"boundary": OTHER, "repository": A}, YES),
    (LOGIC, USER, {"boundary": D, "repository": to(USER)}, DENIED + "a permissions boundary"),
    (LOGIC, SESSION, {"repository": THE_ROLE}, YES),
    (LOGIC, SESSION, {"repository": THE_ROLE, "boundary": OTHER}, NO_BOUNDARY),
    (LOGIC, SESSION, {"repository": THE_ROLE, "boundary": A}, YES),
    (LOGIC, SESSION, {"repository": to(SESSION.unique_id), "boundary": OTHER}, NO_BOUNDARY),
    (LOGIC, USER, {"repository": to(USER.unique_id), "boundary": OTHER}, YES),
    (LOGIC, SESSION, {"repository": THE_ROLE, "session": OTHER}, NO_SESSION),
    (LOGIC, SESSION, {"repository": THE_ROLE, "session": A}, YES),
    (LOGIC, SESSION, {"repository": THE_ROLE, "boundary": A, "session": OTHER}, NO_SESSION),
    (LOGIC, SESSION, {"repository": to(SESSION), "boundary": OTHER}, YES),
    (LOGIC, SESSION, {"repository": to(SESSION), "session": OTHER}, YES),
    (LOGIC, SESSION, {"repository": to(SESSION), "session": OTHER, "boundary": OTHER}, YES),
    (LOGIC, SESSION, {"repository": A, "session": OTHER, "boundary": OTHER}, YES),
    (LOGIC, SESSION, {"repository": to(SESSION), "session": D}, DENIED + "a session policy"),
    (LOGIC, FEDERATED, {"repository": to(FEDERATED), "session": OTHER}, YES),
    (SESSIONS, SESSION, {"identity": A, "session": A}, YES),
    (SESSIONS, SESSION, {"identity": A, "session": OTHER}, NO_SESSION),
    (SESSIONS, SESSION, {"identity": OTHER, "session": A}, NO_IDENTITY),
    (SESSIONS, SESSION, {"identity": A, "session": []}, NO_SESSION),
    (SESSIONS, SESSION, {"identity": A, "boundary": A, "session": A}, YES),
    (SESSIONS, SESSION, {"identity": A, "boundary": A, "session": [A, D]}, DENIED + "a session policy"),
    (SESSIONS, FEDERATED, {"identity": A, "session": OTHER}, NO_SESSION),
    (ENDPOINTS, USER, {"identity": A, "endpoint": A}, YES),
    (ENDPOINTS, USER, {"identity": A, "endpoint": OTHER}, NO_ENDPOINT),
    (ENDPOINTS, USER, {"identity": A, "endpoint": [A, D]}, DENIED + "a VPC endpoint policy"),
    (ENDPOINTS, USER, {"identity": A, "endpoint": to(SESSION)}, NO_ENDPOINT),
    (ENDPOINTS, USER, {"identity": A, "endpoint": to(USER)}, YES),
    (ENDPOINTS, USER, {"endpoint": A}, NO_IDENTITY),
    (ENDPOINTS, USER, {"repository": to(USER), "endpoint": OTHER}, NO_ENDPOINT),
    (LOGIC, ROOT, {}, YES),
    (LOGIC, ROOT, {"repository": D}, DENIED + "a resource-based policy"),
    (LOGIC, ROOT, {"repository": to(USER)}, YES),
    (LOGIC, ROOT, {"endpoint": D}, DENIED + "a VPC endpoint policy"),
    (LOGIC, ROOT, {"endpoint": OTHER}, NO_ENDPOINT),
    (LOGIC, ROOT, {"identity": D, "boundary": OTHER}, YES),
    (PRINCIPAL, ANONYMOUS, {}, NO_RESOURCE),
    (PRINCIPAL, ANONYMOUS, {"repository": A}, YES),
    (PRINCIPAL, ANONYMOUS, {"repository": to(ROOT)}, NO_RESOURCE),
    (PRINCIPAL, ANONYMOUS, {"identity": A}, NO_RESOURCE),
    (PRINCIPAL, SERVICE, {"identity": A}, NO_RESOURCE),
    (PRINCIPAL, SERVICE, {"repository": {**A, "Principal": {"Service": SERVICE.service}}}, YES),
    (PRINCIPAL, SERVICE, {"repository": {**A, "Principal": {"Service": "ecs.amazonaws.com"}}}, NO_RESOURCE),
    (REGISTRY, USER, {"registry": to(USER)}, YES),
    (REGISTRY, USER, {"registry": to(ROOT)}, NO_IDENTITY),
    (REGISTRY, USER, {"identity": A, "registry": D}, DENIED + "a resource-based policy"),
    (REGISTRY, USER, {"repository": to(USER), "registry": D}, DENIED + "a resource-based policy"),
    (REGISTRY, USER, {"repository": OTHER, "registry": to(USER)}, YES),
    # Of several policies that deny one is named.
    (TEXTS, SESSION, {"endpoint": D, "boundary": D, "session": D, "repository": D, "identity": D},
     DENIED + "a VPC endpoint policy"),
    (TEXTS, SESSION, {"boundary": D, "session": D, "repository": D, "identity": D}, DENIED + "a permissions boundary"),
    (TEXTS, SESSION, {"session": D, "repository": D, "identity": D}, DENIED + "a session policy"),
    (TEXTS, SESSION, {"repository": D, "identity": D}, DENIED + "a resource-based policy"),
    (TEXTS, SESSION, {"session": OTHER, "boundary": OTHER, "identity": OTHER}, NO_IDENTITY),
    (TEXTS, SESSION, {"session": OTHER, "boundary": OTHER, "identity": A}, NO_BOUNDARY),
]  # fmt: skip


@pytest.mark.parametrize(("source", "caller", "kinds", "reason"), SAME_ACCOUNT)
def test_within_an_account(source: str, caller: Principal, kinds: dict[str, Any], reason: str) -> None:
    verdict = decide(caller, **kinds)
    assert (verdict.allowed, verdict.reason) == (reason == YES, reason), source
    assert verdict.explicit is reason.startswith(DENIED)
    assert bool(verdict.remedy) is not verdict.allowed


ACROSS_ACCOUNTS: list[tuple[str, Principal, dict[str, Any], str]] = [
    (ACROSS, THEIR_USER, {}, NO_IDENTITY),
    (ACROSS, THEIR_USER, {"boundary": OTHER, "identity": A}, NO_BOUNDARY),
    (ACROSS, THEIR_USER, {"identity": A}, NO_RESOURCE),
    (ACROSS, THEIR_USER, {"repository": to(THEIR_USER)}, NO_IDENTITY),
    (ACROSS, THEIR_USER, {"repository": to(THEIR_USER), "identity": A}, YES),
    (ACROSS, THEIR_USER, {"repository": to(THEIRS), "identity": A}, YES),
    (ACROSS, THEIR_USER, {"repository": to(THEIR_ROOT), "identity": A}, YES),
    (ACROSS, THEIR_USER, {"repository": A, "identity": A}, YES),
    (ACROSS, THEIR_USER, {"repository": A}, NO_IDENTITY),
    (ACROSS, THEIR_USER, {"repository": to(USER), "identity": A}, NO_RESOURCE),
    (ACROSS, THEIR_USER, {"repository": [A, to(THEIRS, D)], "identity": A}, DENIED + "a resource-based policy"),
    (ACROSS, THEIR_USER, {"repository": A, "identity": [A, D]}, DENIED + "an identity-based policy"),
    (ACROSS, THEIR_USER, {"repository": A, "identity": A, "boundary": OTHER}, NO_BOUNDARY),
    (ACROSS, THEIR_USER, {"repository": to(THEIR_USER), "identity": A, "boundary": OTHER}, NO_BOUNDARY),
    (ACROSS, THEIR_SESSION, {"repository": to(THEIR_SESSION)}, NO_IDENTITY),
    (ACROSS, THEIR_SESSION, {"repository": to(THEIR_SESSION), "identity": A}, YES),
    (ACROSS, THEIR_SESSION, {"repository": to(THEIR_SESSION), "identity": A, "session": OTHER}, NO_SESSION),
    (ACROSS, THEIR_SESSION, {"repository": to(THEIR_SESSION.role_arn), "identity": A}, YES),
    (ACROSS, THEIR_SESSION, {"repository": to(THEIR_SESSION.role_arn), "identity": A, "session": A}, YES),
    (ACROSS, THEIR_ROOT, {}, NO_RESOURCE),
    (ACROSS, THEIR_ROOT, {"repository": to(THEIRS)}, YES),
    (ACROSS, THEIR_ROOT, {"repository": to(THEIR_USER)}, NO_RESOURCE),
    (ACROSS, THEIR_USER, {"registry": to(THEIRS), "identity": A}, YES),
    (ACROSS, THEIR_USER, {"registry": to(THEIRS, D), "repository": A, "identity": A},
     DENIED + "a resource-based policy"),
    (ENDPOINTS, THEIR_USER, {"repository": A, "identity": A, "endpoint": OTHER}, NO_ENDPOINT),
]  # fmt: skip


@pytest.mark.parametrize(("source", "caller", "kinds", "reason"), ACROSS_ACCOUNTS)
def test_across_accounts(source: str, caller: Principal, kinds: dict[str, Any], reason: str) -> None:
    verdict = decide(caller, **kinds)
    assert (verdict.allowed, verdict.reason) == (reason == YES, reason), source


SCOPES: list[tuple[str, str, bool]] = [
    ("V1", "ecr:ReplicateImage", True),
    ("V1", "ecr:BatchImportUpstreamImage", True),
    ("V1", "ecr:CreateRepository", True),
    ("V1", "ecr:BatchGetImage", False),
    ("V1", "ecr:PutImage", False),
    ("V2", "ecr:ReplicateImage", True),
    ("V2", "ecr:BatchGetImage", True),
    ("V2", "ecr:GetAuthorizationToken", True),
    ("V2", "kms:Decrypt", False),
]


@pytest.mark.parametrize(("scope", "action", "considered"), SCOPES)
def test_the_scope_of_a_registry_policy(scope: str, action: str, considered: bool) -> None:
    verdict = decide(USER, action=action, scope=scope, identity=allow("*"), registry=deny("*"))
    assert verdict.explicit is considered, REGISTRY


NO_TRUST = "because no role trust policy allows the sts:AssumeRole action"
ASSUME, REFUSE = allow("sts:AssumeRole"), deny("sts:AssumeRole")
ASSUMING: list[tuple[str, Principal, dict[str, Any], str]] = [
    (LOGIC, USER, {"identity": ASSUME, "trust": to(SESSION, ASSUME)}, NO_TRUST),
    (LOGIC, USER, {"trust": to(USER, ASSUME)}, YES),
    (LOGIC, USER, {"trust": to(ROOT, ASSUME)}, "because no identity-based policy allows the sts:AssumeRole action"),
    (LOGIC, USER, {"trust": to(ROOT, ASSUME), "identity": ASSUME}, YES),
    (LOGIC, USER, {"trust": [ASSUME, to(USER, REFUSE)], "identity": ASSUME}, DENIED + "the role trust policy"),
    (LOGIC, USER, {"trust": to(USER, ASSUME), "identity": REFUSE}, DENIED + "an identity-based policy"),
    (LOGIC, SESSION, {"trust": to(SESSION.role_arn, ASSUME)}, YES),
    (LOGIC, SESSION, {"trust": to(SESSION.role_arn, ASSUME), "session": A},
     "because no session policy allows the sts:AssumeRole action"),
    (LOGIC, ROOT, {"trust": to(SESSION, ASSUME)}, NO_TRUST),
    (ACROSS, THEIR_USER, {"trust": to(THEIRS, ASSUME)},
     "because no identity-based policy allows the sts:AssumeRole action"),
    (ACROSS, THEIR_USER, {"trust": to(THEIRS, ASSUME), "identity": ASSUME}, YES),
    (ACROSS, THEIR_USER, {"trust": to(OURS, ASSUME), "identity": ASSUME}, NO_TRUST),
    (PRINCIPAL, SERVICE, {"trust": {**ASSUME, "Principal": {"Service": SERVICE.service}}}, YES),
    (PRINCIPAL, SERVICE, {"trust": {**ASSUME, "Principal": {"Service": "ecs.amazonaws.com"}}}, NO_TRUST),
]  # fmt: skip


@pytest.mark.parametrize(("source", "caller", "kinds", "reason"), ASSUMING)
def test_who_may_assume_a_role(source: str, caller: Principal, kinds: dict[str, Any], reason: str) -> None:
    verdict = decide(caller, action="sts:AssumeRole", resource=ROLE_TO_ASSUME, **kinds)
    assert (verdict.allowed, verdict.reason) == (reason == YES, reason), f"{source}; {TRUST}"


@pytest.mark.parametrize("subject", ["repo:us/app:ref:refs/heads/main", "repo:them/app:ref:refs/heads/main"])
def test_a_workflow_that_assumes_a_role(subject: str) -> None:
    host = "token.actions.githubusercontent.com"
    statement = allow(
        "sts:AssumeRoleWithWebIdentity",
        principal={"Federated": GITHUB},
        condition={"StringEquals": {f"{host}:aud": "sts.amazonaws.com"}, "StringLike": {f"{host}:sub": "repo:us/*"}},
    )
    context = {f"{host}:aud": ["sts.amazonaws.com"], f"{host}:sub": [subject]}
    verdict = decide(
        WORKFLOW,
        action="sts:AssumeRoleWithWebIdentity",
        resource=ROLE_TO_ASSUME,
        context=context,
        trust=statement,
    )
    assert verdict.allowed is subject.startswith("repo:us/"), (
        "IAM User Guide, Create a role for OpenID Connect federation"
    )


def test_an_action_without_a_resource_is_of_the_callers_account() -> None:
    verdict = decide(THEIR_USER, action="ecr:GetAuthorizationToken", resource="*", owner="", identity=allow("ecr:Get*"))
    assert verdict.allowed, "IAM User Guide, IAM JSON policy elements: Resource"


@pytest.mark.parametrize(("kind", "shown"), [("identity", True), ("boundary", True), ("repository", False)])
def test_a_managed_policy_that_denies_is_named_within_the_account(kind: str, shown: bool) -> None:
    name = f"arn:aws:iam::{OURS}:policy/limits"
    denying: dict[str, Any] = {kind: D}
    source = "AWS Security Blog, Enhanced access denied error messages with policy ARNs"
    assert decide(USER, name=name, **denying).reason.endswith(f": {name}") is shown, source
    assert not decide(THEIR_USER, name=name, **denying).reason.endswith(name), source
    assert ":" not in decide(USER, name="inline policy limits of user dev", **denying).reason


def test_a_verdict_names_what_decided() -> None:
    verdict = decide(USER, identity=[OTHER, allow(sid="Pull")])
    assert verdict.decided_by is not None
    assert (verdict.decided_by.statement.sid, verdict.decided_by.statement.index) == ("Pull", 1)
    assert verdict.decided_by.policy_type == "identity-based policy"
    assert [match.statement.sid for match in verdict.matched] == ["Pull"]
    denied = decide(USER, identity=A, repository=deny(sid="No"))
    assert denied.decided_by is not None
    assert denied.decided_by.policy.name == "the repository policy"
    assert len(denied.matched) == 2


def test_a_denial_says_what_would_have_to_change() -> None:
    assert decide(THEIR_USER).remedy == (
        f"allow {PULL} on {APP} to {THEIR_USER.arn} in an identity-based policy of account {THEIRS}, "
        f"and in the repository's policy, of account {OURS}"
    )
    assert decide(USER, identity=[A, deny(sid="Freeze")]).remedy == (
        'take away statement 2 "Freeze", which denies this, from the identity policy, or make it not match'
    )
    assert decide(SESSION, identity=D, boundary=OTHER).remedy == (
        "take away statement 1, which denies this, from the identity policy, or make it not match; then allow "
        f"{PULL} on {APP} to {SESSION.role_arn} in an identity-based policy of account {OURS}, and in the permissions "
        "boundary the boundary policy"
    )
    assert decide(USER, action="ecr:GetAuthorizationToken", resource="*", owner="").remedy == (
        f"allow ecr:GetAuthorizationToken to {USER.arn} in an identity-based policy of account {OURS}"
    )


def test_what_the_remedy_says_helps() -> None:
    assert not decide(THEIR_USER).allowed
    assert decide(THEIR_USER, repository=to(THEIR_USER), identity=A).allowed


def request(principal: Principal, **context: tuple[str, ...]) -> AccessRequest:
    return AccessRequest(principal, PULL, APP, OURS, context)


def test_a_cache_keeps_only_what_read_no_context() -> None:
    asked: list[str] = []

    def policies(*statements: Any) -> Any:
        def load() -> PolicySet:
            asked.append("loaded")
            return PolicySet(identity=[policy(PolicyKind.IDENTITY, *statements)])

        return load

    cache = DecisionCache(most=2)
    for _ in range(3):
        assert cache.decide(1, request(USER), policies(A)).allowed
    assert len(asked) == 1
    assert not cache.decide(2, request(USER), policies(D)).allowed
    assert len(asked) == 2
    conditional = allow(condition={"StringEquals": {"a:b": "c"}})
    for value, allowed in (("c", True), ("d", False)):
        held = AccessRequest(USER, PULL, APP, OURS, {"a:b": (value,)})
        assert cache.decide(3, held, policies(conditional)).allowed is allowed
    for version in range(10, 20):
        cache.decide(version, request(USER), policies(A))
    before = len(asked)
    cache.decide(1, request(USER), policies(A))
    assert len(asked) == before + 1, "the oldest gave way"


def test_context_is_found_only_when_it_is_read() -> None:
    class Lazy(dict[str, tuple[str, ...]]):
        def get(self, key: Any, default: Any = None) -> Any:
            raise AssertionError(f"{key} was read")

    elsewhere = allow(resource=APP + "2", condition={"StringEquals": {"aws:ResourceTag/env": "prod"}})
    policies = PolicySet(identity=[policy(PolicyKind.IDENTITY, elsewhere, A)])
    assert policies.identity[0].policy.reads_resource_tags
    assert policies.identity[0].policy.depends_on == {"aws:resourcetag/env"}
    assert evaluate(AccessRequest(USER, PULL, APP, OURS, Lazy()), policies).allowed
