"""A policy's text: read, refused where IAM would refuse it, and compiled for ``evaluation``.

Source: IAM User Guide, "Grammar of the IAM JSON policy language" and "IAM JSON policy elements reference"; ECR user
guide, "Private repository policies" and "Registry permissions"; AWS PrivateLink guide, "Control access with endpoint
policies".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from openecr.access.policies.conditions import Condition, ConditionInvalid
from openecr.access.policies.conditions import read as read_condition
from openecr.access.policies.globs import Pattern, Values, pattern
from openecr.bounded_json import JsonRefused, loads

CURRENT, OLD = "2012-10-17", "2008-10-17"
_SID = re.compile(r"[A-Za-z0-9]*")
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+|[A-Za-z0-9*?-]+:\*")
_ARN = re.compile(r"arn:[a-z0-9*?-]+:[^:]*:[^:]*:[^:]*:.+", re.DOTALL)
_ACCOUNT = re.compile(r"[0-9]{12}")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}")
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:root|(?:user|role|federated-user)/[^*?]+)"
    r"|sts::[0-9]{12}:(?:assumed-role|federated-user)/[^*?]+)"
)
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?")
_MOST_ACTIONS_KEPT = 1024


class PolicyKind(StrEnum):
    """What a policy is attached to, which decides what it must say."""

    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    TRUST = "trust"
    REPOSITORY = "repository"
    REGISTRY = "registry"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class _Form:
    """Which elements a statement of a kind must (True), must not (False) or may (None) have."""

    principal: bool | None
    resource: bool | None


_FORMS: Mapping[PolicyKind, _Form] = {
    PolicyKind.IDENTITY: _Form(principal=False, resource=True),
    PolicyKind.BOUNDARY: _Form(principal=False, resource=True),
    PolicyKind.SESSION: _Form(principal=False, resource=True),
    PolicyKind.TRUST: _Form(principal=True, resource=False),
    PolicyKind.REPOSITORY: _Form(principal=True, resource=False),
    PolicyKind.REGISTRY: _Form(principal=True, resource=True),
    PolicyKind.ENDPOINT: _Form(principal=None, resource=True),
}


class PolicyInvalid(Exception):
    """The text is no policy of its kind; ``why`` is one sentence."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class Level(StrEnum):
    """How closely a statement names a principal."""

    PRINCIPAL = "principal"
    """The user, or the very session."""
    ROLE = "role"
    """The role of the session."""
    EVERYONE = "everyone"
    """``*``."""
    ACCOUNT = "account"
    """The account, which decides by its identity policies."""


@dataclass(frozen=True, slots=True)
class Named:
    """One entry of a principal element."""

    type: str
    """``AWS``, ``Service``, ``Federated`` or ``CanonicalUser``."""
    value: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement."""

    index: int
    sid: str
    allows: bool
    actions: tuple[Pattern, ...]
    not_actions: bool
    """Whether ``actions`` are those that it does not mean."""
    resources: tuple[Pattern, ...] | None
    """None where the policy belongs to the resource."""
    not_resources: bool
    principals: tuple[Named, ...] | None
    """None where the policy belongs to the principal, or means everyone."""
    not_principals: bool
    conditions: tuple[Condition, ...]
    source: str
    """The statement as canonical JSON, for explanations."""

    def means_action(self, action: str) -> bool:
        """Whether the action, whatever its case, is meant."""
        hit = any(one.matches(action, _no_values, any_case=True) for one in self.actions)
        return hit is not self.not_actions

    def means_resource(self, resource: str, values: Values) -> bool:
        """Whether the resource is meant. Where a variable has no value a deny stays, and an allow does not."""
        if self.resources is None:
            return True
        if self.not_resources and self.allows and any(_is_open(one, values) for one in self.resources):
            return False
        return any(one.matches(resource, values) for one in self.resources) is not self.not_resources


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, compiled."""

    kind: PolicyKind
    statements: tuple[Statement, ...]
    depends_on: frozenset[str]
    """The condition keys that it reads, in lower case."""
    _by_action: dict[str, tuple[Statement, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def reads_resource_tags(self) -> bool:
        """Whether it asks for the tags of the resource."""
        return any(key.partition("/")[0].endswith(":resourcetag") for key in self.depends_on)

    def on(self, action: str) -> tuple[Statement, ...]:
        """The statements that mean an action, remembered: there are few actions."""
        found = self._by_action.get(action)
        if found is None:
            found = tuple(statement for statement in self.statements if statement.means_action(action))
            if len(self._by_action) < _MOST_ACTIONS_KEPT:
                self._by_action[action] = found
        return found


def parse(text: str, kind: PolicyKind) -> Policy:
    """A policy that somebody sets, checked whole.

    Raises:
        PolicyInvalid
    """
    document = _document(text)
    _require_known(document, ("Version", "Id", "Statement"), "the policy")
    version = document.get("Version", OLD)
    if version not in (CURRENT, OLD):
        raise PolicyInvalid(f"Version is {CURRENT} or {OLD}")
    if "Id" in document and not isinstance(document["Id"], str):
        raise PolicyInvalid("Id must be a text")
    listed = document.get("Statement")
    statements = [listed] if isinstance(listed, dict) else listed
    if not isinstance(statements, list) or not statements:
        raise PolicyInvalid("a policy has one Statement at least")
    read = tuple(_statement(item, index, kind, version == CURRENT) for index, item in enumerate(statements))
    sids = [statement.sid for statement in read if statement.sid]
    if kind in (PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION) and len(set(sids)) != len(sids):
        raise PolicyInvalid("the Sids of a policy must be unique")
    return Policy(kind, read, frozenset(_keys(read)))


@lru_cache(maxsize=4096)
def compiled(text: str, kind: PolicyKind) -> Policy:
    """A policy that was accepted before; compiled once while it is in use."""
    return parse(text, kind)


def _document(text: str) -> dict[str, Any]:
    try:
        loads(text.encode())
        document = json.loads(text, object_pairs_hook=_once)
    except (JsonRefused, ValueError, RecursionError):
        raise PolicyInvalid("the text is not JSON, or has a member twice") from None
    if not isinstance(document, dict):
        raise PolicyInvalid("a policy is a JSON object")
    return document


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


_ELEMENTS = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)


def _statement(item: Any, index: int, kind: PolicyKind, variables: bool) -> Statement:
    where = f"statement {index + 1}"
    if not isinstance(item, dict):
        raise PolicyInvalid(f"{where} is no object")
    _require_known(item, _ELEMENTS, where)
    if item.get("Effect") not in ("Allow", "Deny"):
        raise PolicyInvalid(f"the Effect of {where} must be Allow or Deny")
    sid = item.get("Sid", "")
    if not isinstance(sid, str) or (kind is not PolicyKind.REPOSITORY and _SID.fullmatch(sid) is None):
        raise PolicyInvalid(f"the Sid of {where} may have letters and digits only")
    actions, not_actions = _one_of(item, "Action", where)
    if actions is None:
        raise PolicyInvalid(f"{where} must have Action or NotAction")
    for action in actions:
        _require_action(action, kind, where)
    resources, not_resources = _one_of(item, "Resource", where)
    _require_form(_FORMS[kind].resource, resources is not None, "Resource", where, kind)
    for resource in resources or ():
        if resource != "*" and _ARN.fullmatch(resource) is None and "${" not in resource:
            raise PolicyInvalid(f"Resource {resource} of {where} must be an ARN or *")
    principals, not_principals = _principals(item, where)
    _require_form(_FORMS[kind].principal, principals is not None, "Principal", where, kind)
    return Statement(
        index=index,
        sid=sid,
        allows=item["Effect"] == "Allow",
        actions=tuple(pattern(action, variables=False) for action in actions),
        not_actions=not_actions,
        resources=None if resources is None else tuple(pattern(one, variables=variables) for one in resources),
        not_resources=not_resources,
        principals=principals,
        not_principals=not_principals,
        conditions=tuple(_conditions(item.get("Condition", {}), where, variables)),
        source=json.dumps(item, ensure_ascii=False),
    )


def _require_form(wanted: bool | None, has: bool, element: str, where: str, kind: PolicyKind) -> None:
    if wanted is True and not has:
        raise PolicyInvalid(f"{where} must have {element}")
    if wanted is False and has:
        raise PolicyInvalid(f"{where} must not have {element}: a {kind} policy belongs to it")


def _require_action(action: str, kind: PolicyKind, where: str) -> None:
    if _ACTION.fullmatch(action) is None:
        raise PolicyInvalid(f"Action {action} of {where} must be service:Name or *")
    service = action.partition(":")[0].lower()
    if kind in (PolicyKind.REPOSITORY, PolicyKind.REGISTRY) and action != "*" and service != "ecr":
        raise PolicyInvalid(f"Action {action} of {where} is none of ECR's")
    if kind is PolicyKind.TRUST and action != "*" and service != "sts":
        raise PolicyInvalid(f"Action {action} of {where} must be one of STS's")


def _one_of(item: Mapping[str, Any], element: str, where: str) -> tuple[list[str] | None, bool]:
    """(the texts of an element or of its Not form, whether it is the Not form); None where there is neither."""
    if element in item and f"Not{element}" in item:
        raise PolicyInvalid(f"{where} must not have both {element} and Not{element}")
    name = element if element in item else f"Not{element}"
    return (_texts(item[name], name, where), name != element) if name in item else (None, False)


def _texts(value: Any, element: str, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise PolicyInvalid(f"{element} of {where} must be a text or a list of them")
    return texts


def _principals(item: Mapping[str, Any], where: str) -> tuple[tuple[Named, ...] | None, bool]:
    if "Principal" in item and "NotPrincipal" in item:
        raise PolicyInvalid(f"{where} must not have both Principal and NotPrincipal")
    name = "Principal" if "Principal" in item else "NotPrincipal"
    if name not in item:
        return None, False
    if name == "NotPrincipal" and item["Effect"] == "Allow":
        raise PolicyInvalid(f"{where} must not allow by NotPrincipal: it would allow everyone else")
    value = item[name]
    if value == "*":
        return (Named("AWS", "*"),), name != "Principal"
    if not isinstance(value, dict) or not value:
        raise PolicyInvalid(f"{name} of {where} must be * or an object")
    _require_known(value, ("AWS", "Service", "Federated", "CanonicalUser"), f"{name} of {where}")
    named = [Named(type_, text) for type_, texts in value.items() for text in _texts(texts, name, where)]
    for one in named:
        _require_principal(one, where)
    return tuple(named), name != "Principal"


def _require_principal(named: Named, where: str) -> None:
    value = named.value
    good = True
    if named.type == "AWS":
        forms = (_ACCOUNT, _UNIQUE_ID, _PRINCIPAL_ARN)
        good = value == "*" or any(form.fullmatch(value) is not None for form in forms)
    elif named.type == "Service":
        good = _SERVICE.fullmatch(value) is not None
    if not good:
        raise PolicyInvalid(f"Principal {value} of {where} is no principal")


def _conditions(block: Any, where: str, variables: bool) -> Iterable[Condition]:
    if not isinstance(block, dict):
        raise PolicyInvalid(f"Condition of {where} must be an object")
    for operator, keys in block.items():
        if not isinstance(keys, dict) or not keys:
            raise PolicyInvalid(f"{operator} of {where} must be an object")
        for key, value in keys.items():
            listed = value if isinstance(value, list) else [value]
            if not listed or not all(isinstance(one, str | bool | int | float) for one in listed):
                raise PolicyInvalid(f"{key} of {where} must have a value or a list of them")
            try:
                yield read_condition(operator, key, [_said(one) for one in listed], variables=variables)
            except ConditionInvalid as why:
                raise PolicyInvalid(f"{where}: {why}") from None


def _said(value: str | bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require_known(value: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise PolicyInvalid(f"{where} has the unknown element {unknown[0]}")


def _keys(statements: Iterable[Statement]) -> Iterable[str]:
    for statement in statements:
        for condition in statement.conditions:
            yield condition.key
            yield from condition.variables
        for resource in statement.resources or ():
            yield from resource.variables


def _is_open(one: Pattern, values: Values) -> bool:
    """Whether a pattern has a variable without a value."""
    found = (values(key) for key in one.variables)
    return any(value is None or len(value) != 1 for value in found)


def _no_values(_key: str) -> None:
    return None
