"""Who a simulation is about: a user, group or role that is there, or whoever a request makes up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openecr.access import aws_managed
from openecr.access.policies.document import PolicyKind, compiled
from openecr.access.policies.evaluation import NamedPolicy, Principal
from openecr.call import Call
from openecr.db import accounts, callers
from openecr.db.identities import GROUP, ROLE, USER, Identity
from openecr.errors import InvalidInput, NoSuchEntity
from openecr.services.iam import arns, finding, policy_names

_SOURCE = re.compile(r"arn:aws:iam::([0-9]{12}):(user|group|role)(/(?:[!-~]+/)?)([\w+=,.@-]+)", re.ASCII)
_CALLER = re.compile(r"arn:aws:iam::([0-9]{12}):(?:root|user/[!-~]+)")
_ROOT = re.compile(r"arn:aws:iam::([0-9]{12}):root|([0-9]{12})")
_INLINE = re.compile(r"inline policy (\S+) of (user|group|role) (\S+)")
_MADE_UP = "simulated"


@dataclass(frozen=True, slots=True)
class Source:
    """What a simulation's answer calls a policy."""

    id: str
    type: str
    """Of ``PolicySourceType``."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The policies of one simulation by the names that the evaluator knows them by."""

    known: dict[str, Source] = field(default_factory=dict)

    def add(self, name: str, source: Source) -> None:
        """Say what a policy is called in the answer."""
        self.known[name] = source

    def of(self, name: str) -> Source:
        """What a policy is called in the answer."""
        return self.known[name]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A principal that is there, and all that weighs on it."""

    principal: Principal
    identity: tuple[NamedPolicy, ...]
    boundary: NamedPolicy | None
    context: Mapping[str, tuple[str, ...]]
    sources: Sources


def account_of(text: str) -> str | None:
    """The account that an ARN of its root, or its number, means."""
    found = _ROOT.fullmatch(text)
    return None if found is None else found[1] or found[2]


def named(caller_arn: str | None, account_id: str) -> Principal:
    """The user or account root that a request names as the caller; made up where it names none.

    Raises:
        InvalidInput: it names something else.
    """
    if caller_arn is None:
        return Principal("user", f"arn:aws:iam::{account_id}:user/{_MADE_UP}", account_id)
    found = _CALLER.fullmatch(caller_arn)
    if found is None:
        raise InvalidInput(message=f"CallerArn {caller_arn} is not the ARN of a user or an account's root")
    return Principal("root" if caller_arn.endswith(":root") else "user", caller_arn, found[1])


def stored(call: Call, source_arn: str, exclusions: list[dict[str, Any]]) -> Simulated:
    """The user, group or role of exactly this ARN, for the caller may ask about no other, with its policies but for
    those that are excluded.

    Raises:
        InvalidInput, NoSuchEntity: the text is no such ARN, or names nobody.
    """
    parts = _SOURCE.fullmatch(source_arn)
    if parts is None:
        raise InvalidInput(message=f"PolicySourceArn {source_arn} is not the ARN of a user, group or role")
    identity = finding.require(call, parts[2], parts[4])
    if arns.identity_arn(call.registry().account_id, identity) != source_arn:
        raise NoSuchEntity(message=f"The {parts[2]} with name {parts[4]} cannot be found.")
    excluded = {_excluded(one) for one in exclusions}
    sources = Sources()
    found: dict[str, list[NamedPolicy]] = {"identity": [], "boundary": []}
    for text in callers.policies_of(call.db, identity.key):
        source = _source(text.name)
        kind = "permission-boundary" if text.type == "boundary" else _KINDS.get(source.type, "inline")
        if kind in excluded or text.name in excluded:
            continue
        of_aws = aws_managed.find(text.name)
        document = text.document if of_aws is None else of_aws.document
        assert document is not None  # noqa: S101 - attachments name only policies that there are
        found[text.type].append(NamedPolicy(text.name, compiled(document, PolicyKind(text.type))))
        sources.add(text.name, source)
    boundary = next(iter(found["boundary"]), None)
    principal = _principal(call, identity)
    return Simulated(principal, tuple(found["identity"]), boundary, _known_keys(call, identity, principal), sources)


_KINDS = {"aws-managed": "aws-managed", "user-managed": "user-managed"}


def _source(name: str) -> Source:
    inline = _INLINE.fullmatch(name)
    if inline is not None:
        return Source(f"{inline[2]}_{inline[3]}_{inline[1]}", inline[2])
    of_aws = aws_managed.find(name) is not None
    return Source(policy_names.path_and_name(name)[1], "aws-managed" if of_aws else "user-managed")


def _excluded(one: Mapping[str, Any]) -> str:
    """A kind of policies, or the name that the evaluator knows a policy by: an exclusion is one of them."""
    inline = one.get("InlinePolicyIdentifier")
    if inline is not None:
        return f"inline policy {inline['PolicyName']} of {inline['AttachmentType']} {inline['AttachmentName']}"
    return str(one.get("PolicyArn") or one.get("PolicyType"))


def _principal(call: Call, identity: Identity) -> Principal:
    account_id = call.registry().account_id
    arn = arns.identity_arn(account_id, identity)
    if identity.kind == USER:
        return Principal("user", arn, account_id, unique_id=identity.unique_id)
    if identity.kind == ROLE:
        session = f"arn:aws:sts::{account_id}:assumed-role/{identity.name}/{_MADE_UP}"
        return Principal("role", session, account_id, role_arn=arn, unique_id=identity.unique_id)
    return named(None, account_id)


def _known_keys(call: Call, identity: Identity, principal: Principal) -> Mapping[str, tuple[str, ...]]:
    """The condition keys that every request of the principal would have."""
    account_id = call.registry().account_id
    found = {"aws:principalaccount": (account_id,)}
    account = accounts.find(call.db, account_id)
    if account is not None and account.organization_id is not None:
        found["aws:principalorgid"] = (account.organization_id,)
    if identity.kind == GROUP:
        return found
    found["aws:principalarn"] = (principal.role_arn or principal.arn,)
    if identity.kind == USER:
        found["aws:username"] = (identity.name,)
        found["aws:userid"] = (identity.unique_id,)
    tags = callers.tags_of(call.db, identity.key)
    return found | {f"aws:principaltag/{key.lower()}": (value,) for key, value in tags.items()}
