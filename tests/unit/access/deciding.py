"""A small world to decide about: two accounts, their principals, and policies written in a line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openecr.access.policies.document import PolicyKind, parse
from openecr.access.policies.evaluation import AccessRequest, NamedPolicy, PolicySet, Verdict, evaluate
from openecr.access.policies.principals import Principal

GUIDE = "IAM User Guide, "
OURS, THEIRS = "111122223333", "444455556666"
APP = f"arn:aws:ecr:eu-central-1:{OURS}:repository/team/app"
ROLE_TO_ASSUME = f"arn:aws:iam::{OURS}:role/deploy"
PULL = "ecr:BatchGetImage"

ROOT = Principal("root", f"arn:aws:iam::{OURS}:root", OURS)
USER = Principal("user", f"arn:aws:iam::{OURS}:user/dev", OURS, unique_id="AIDACKCEVSQ6C2EXAMPLE")
SESSION = Principal(
    "role",
    f"arn:aws:sts::{OURS}:assumed-role/ci/build-7",
    OURS,
    role_arn=f"arn:aws:iam::{OURS}:role/ci",
    unique_id="AROADBQP57FF2AEXAMPLE",
)
FEDERATED = Principal("federated", f"arn:aws:sts::{OURS}:federated-user/kim", OURS)
THEIR_ROOT = Principal("root", f"arn:aws:iam::{THEIRS}:root", THEIRS)
THEIR_USER = Principal("user", f"arn:aws:iam::{THEIRS}:user/guest", THEIRS, unique_id="AIDATHEIRUSER0EXAMPLE")
THEIR_SESSION = Principal(
    "role",
    f"arn:aws:sts::{THEIRS}:assumed-role/pull/node-1",
    THEIRS,
    role_arn=f"arn:aws:iam::{THEIRS}:role/pull",
    unique_id="AROATHEIRROLE0EXAMPLE",
)
SERVICE = Principal("service", service="replication.ecr.amazonaws.com")
GITHUB = f"arn:aws:iam::{OURS}:oidc-provider/token.actions.githubusercontent.com"
WORKFLOW = Principal("federated", provider=GITHUB)
ANONYMOUS = Principal("anonymous")

Statement = dict[str, Any]


def allow(action: Any = PULL, **members: Any) -> Statement:
    """A statement that allows; ``resource="*"`` and the like become its other elements."""
    return _statement("Allow", action, members)


def deny(action: Any = PULL, **members: Any) -> Statement:
    """A statement that denies."""
    return _statement("Deny", action, members)


def _statement(effect: str, action: Any, members: Mapping[str, Any]) -> Statement:
    named = {"".join(word.capitalize() for word in name.split("_")): value for name, value in members.items()}
    return {"Effect": effect, **({} if "NotAction" in named else {"Action": action}), **named}


def document(*statements: Statement, version: str = "2012-10-17") -> str:
    """The policy's text."""
    return json.dumps({"Version": version, "Statement": list(statements)})


_WITHOUT_RESOURCE = (PolicyKind.TRUST, PolicyKind.REPOSITORY)
_WITH_PRINCIPAL = (PolicyKind.TRUST, PolicyKind.REPOSITORY, PolicyKind.REGISTRY, PolicyKind.ENDPOINT)


def policy(
    kind: PolicyKind, *statements: Statement, name: str | None = None, version: str = "2012-10-17"
) -> NamedPolicy:
    """A policy of a kind; what its kind must say and the statements do not, is everything."""
    completed: list[Statement] = []
    for statement in statements:
        added: Statement = {}
        if kind not in _WITHOUT_RESOURCE and "NotResource" not in statement:
            added["Resource"] = "*"
        if kind in _WITH_PRINCIPAL and "NotPrincipal" not in statement:
            added["Principal"] = "*"
        completed.append({**added, **statement})
    return NamedPolicy(name or f"the {kind} policy", parse(document(*completed, version=version), kind))


def decide(
    principal: Principal,
    *,
    action: str = PULL,
    resource: str = APP,
    owner: str = OURS,
    context: Mapping[str, Sequence[str]] | None = None,
    scope: Any = "V2",
    name: str | None = None,
    **kinds: Any,
) -> Verdict:
    """The verdict, with a statement or several of each kind of policy given by its name; none is no such policy."""
    made = {
        kind: policy(PolicyKind(kind), *([given] if isinstance(given, dict) else given), name=name)
        for kind, given in kinds.items()
        if given
    }
    policies = PolicySet(
        identity=[made["identity"]] if "identity" in made else [],
        boundary=made.get("boundary"),
        session=None if "session" not in kinds else [made["session"]] if "session" in made else [],
        resource=made.get("repository") or made.get("trust"),
        registry=made.get("registry"),
        registry_scope=scope,
        endpoint=made.get("endpoint"),
    )
    held = {key.lower(): tuple(values) for key, values in (context or {}).items()}
    return evaluate(AccessRequest(principal, action, resource, owner, held), policies)
