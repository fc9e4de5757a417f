"""Why a principal may or may not do something: the evaluator's verdict for whoever administers, told as a question.

Nothing is proven here, and nobody but the deployment's operator asks.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from openecr.access.authorization import Authorizer, Question
from openecr.access.identity import ANONYMOUS, Caller
from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import NamedPolicy, Verdict
from openecr.db import callers
from openecr.db.callers import KeyOwner
from openecr.db.connection import Connection
from openecr.names import RegistryName, parse_repository_arn

ANYBODY = "anonymous"
_ARN = re.compile(r"arn:aws[a-z-]*:(iam|sts)::([0-9]{12}):(root|user|role|assumed-role)(?:/(.+))?")
_NO_SESSION = "explained"
"""The session's name where a role is asked about and none of its sessions."""


class PrincipalUnknown(Exception):
    """No principal has this ARN; the text is one sentence with the remedy."""


def find_caller(db: Connection, arn: str) -> Caller:
    """The caller that a principal's ARN means: a role's is one of its sessions, without policies of its own.

    Raises:
        PrincipalUnknown
    """
    if arn == ANYBODY:
        return ANONYMOUS
    found = _ARN.fullmatch(arn)
    if found is None:
        raise PrincipalUnknown(
            f"'{arn}' is no principal; give the ARN of a user, a role, a role's session or an account's root, "
            f"or {ANYBODY}"
        )
    account_id, kind, rest = found[2], found[3], found[4] or ""
    if kind == "root":
        return Caller(_root(account_id))
    role_name, _, session_name = rest.partition("/")
    name = role_name if kind == "assumed-role" else rest.rpartition("/")[2]
    owner = callers.find_owner_by_name(db, account_id, "user" if kind == "user" else "role", name)
    if owner is None:
        raise PrincipalUnknown(
            f"there is no {'user' if kind == 'user' else 'role'} {name} in account {account_id} here"
        )
    if kind == "assumed-role":
        session = callers.find_owner_by_session(db, owner.principal_key, session_name)
        if session is not None:
            return Caller(session)
    if owner.kind == "role":
        owner = replace(owner, session_name=session_name or _NO_SESSION)
    return Caller(owner)


def explain(
    db: Connection,
    caller: Caller,
    action: str,
    resource: str,
    *,
    registry: RegistryName,
    now_us: int,
    source_address: str = "",
    user_agent: str = "",
    vpc_endpoint_id: str | None = None,
    more: Mapping[str, tuple[str, ...]] | None = None,
) -> Verdict:
    """What would be decided now.

    Args:
        registry: the registry that is addressed where the resource names none.
        more: condition keys in lower case, with their values.
    """
    named = parse_repository_arn(resource)
    question = Question(
        caller=caller,
        action=action,
        resource=resource,
        registry=registry if named is None else named[0],
        now_us=now_us,
        source_address=source_address,
        secure=True,
        user_agent=user_agent,
        vpc_endpoint_id=vpc_endpoint_id,
        trust=_trust(db, action, resource),
        more=more or {},
    )
    return Authorizer().explain(db, question)


def _trust(db: Connection, action: str, resource: str) -> NamedPolicy | None:
    """The trust policy of the role that is to be assumed."""
    role = _ARN.fullmatch(resource)
    if not action.lower().startswith("sts:assumerole") or role is None or role[3] != "role":
        return None
    owner = callers.find_owner_by_name(db, role[2], "role", (role[4] or "").rpartition("/")[2])
    text = None if owner is None else callers.trust_policy_of(db, owner.principal_key)
    return None if text is None else NamedPolicy(f"the trust policy of {resource}", compiled(text, PolicyKind.TRUST))


def _root(account_id: str) -> KeyOwner:
    return KeyOwner(
        principal_key=0,
        access_key_id="",
        account_id=account_id,
        organization_id=None,
        kind="root",
        name="root",
        path="/",
        unique_id=account_id,
        access_version="",
        issued_us=0,
        session_key=None,
        session_name=None,
        expires_us=None,
        source_identity=None,
        provider=None,
        has_policies=None,
        session_tags=None,
        chained=None,
    )
