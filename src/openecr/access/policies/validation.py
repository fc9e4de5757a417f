"""Which documents AWS takes: the grammar of policies, and what each kind of policy must and may not say.

Sources: IAM User Guide, "Grammar of the IAM JSON policy language" (reference_policies_grammar) and the page of each
element; ECR User Guide, "Private repository policies" and "Private registry permissions"; sentences as IAM answers them
(``MalformedPolicyDocument``), gathered from what users report.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openecr.access.policies.conditions import Condition, ValueInvalid, condition
from openecr.access.policies.kinds import SYNTAX, PolicyInvalid, PolicyKind
from openecr.access.policies.principals import is_aws_principal
from openecr.access.policies.text import Number, quoted

VERSIONS = ("2008-10-17", "2012-10-17")
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
LEGACY = "The policy failed legacy parsing"

_ELEMENTS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_IAM_SID = re.compile(r"[0-9A-Za-z]*")
_SID = re.compile(r"[\x20-\x7e]*")
_VENDOR = re.compile(r"[A-Za-z0-9.-]+")
_ACTION_NAME = re.compile(r"[A-Za-z0-9*?]+")
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
_PROVIDER = re.compile(r"[^\s*?]{1,2048}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the statements of one kind of policy are held to."""

    principal: bool
    """Whether a statement must name principals; otherwise it may not."""
    resource: bool
    """Whether a statement must name resources; otherwise it may not."""
    of_iam: bool = True
    """Whether IAM keeps it, which wants Sids that are unique and of letters and digits."""
    vendor: str = ""
    """The only service whose actions it may name."""


RULES: Mapping[PolicyKind, Rules] = {
    PolicyKind.IDENTITY: Rules(principal=False, resource=True),
    PolicyKind.BOUNDARY: Rules(principal=False, resource=True),
    PolicyKind.SESSION: Rules(principal=False, resource=True),
    PolicyKind.TRUST: Rules(principal=True, resource=False, vendor="sts"),
    PolicyKind.REPOSITORY: Rules(principal=True, resource=False, of_iam=False, vendor="ecr"),
    PolicyKind.REGISTRY: Rules(principal=True, resource=True, of_iam=False, vendor="ecr"),
    PolicyKind.ENDPOINT: Rules(principal=True, resource=True, of_iam=False),
}


def checked_statements(document: Mapping[str, Any], kind: PolicyKind) -> Sequence[Mapping[str, Any]]:
    """The document's statements, each of which has the elements that its kind must have and no other.

    Raises:
        PolicyInvalid
    """
    for name in document:
        if name not in ("Version", "Id", "Statement"):
            raise PolicyInvalid(SYNTAX, f"a policy has no element {quoted(name)}")
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise PolicyInvalid("Policy document must be version 2012-10-17 or greater.")
    if not _is_text(document.get("Id", "")):
        raise PolicyInvalid(SYNTAX, "Id is not a string")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise PolicyInvalid(SYNTAX, "Statement is not a statement or a list of them")
    for index, statement in enumerate(statements):
        if not isinstance(statement, dict):
            raise PolicyInvalid(SYNTAX, f"{_place(index)} is not an object")
        _check_statement(statement, _place(index), RULES[kind])
    if RULES[kind].of_iam:
        _check_unique([statement["Sid"] for statement in statements if statement.get("Sid")])
    return statements


def _place(index: int) -> str:
    return f"statement {index + 1}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _check_unique(sids: Sequence[str]) -> None:
    if len(set(sids)) < len(sids):
        raise PolicyInvalid("Statement IDs (SID) in a single policy must be unique.")


def _check_statement(statement: Mapping[str, Any], place: str, rules: Rules) -> None:
    for name in statement:
        if name not in _ELEMENTS:
            raise PolicyInvalid(SYNTAX, f"{place} has the unknown element {quoted(name)}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyInvalid(SYNTAX, f"the Effect of {place} is neither Allow nor Deny")
    _check_sid(statement.get("Sid", ""), place, rules)
    _check_principal(statement, place, rules)
    for action in _texts(statement, "Action", place, "Policy statement must contain actions."):
        _check_action(action, place, rules)
    if rules.resource:
        for resource in _texts(statement, "Resource", place, "Policy statement must contain resources."):
            _check_resource(resource, place)
    else:
        for name in ("Resource", "NotResource"):
            if name in statement:
                raise PolicyInvalid(f"Has prohibited field {name}", place)


def _check_sid(sid: Any, place: str, rules: Rules) -> None:
    if not _is_text(sid):
        raise PolicyInvalid(SYNTAX, f"the Sid of {place} is not a string")
    if rules.of_iam and not _IAM_SID.fullmatch(sid):
        raise PolicyInvalid(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*",
            place,
        )
    if not _SID.fullmatch(sid):
        raise PolicyInvalid(SYNTAX, f"the Sid of {place} has characters other than printable ASCII")


def _texts(statement: Mapping[str, Any], name: str, place: str, missing: str) -> Sequence[str]:
    """The values of an element or of its negation, of which there must be exactly one."""
    negation = f"Not{name}"
    if name in statement and negation in statement:
        raise PolicyInvalid(SYNTAX, f"{place} has both {name} and {negation}")
    values = as_list(statement.get(name, statement.get(negation, [])))
    if not values:
        raise PolicyInvalid(missing, place)
    for value in values:
        if not _is_text(value):
            raise PolicyInvalid(SYNTAX, f"the {name} of {place} is not a string or a list of strings")
    return values


def as_list(value: Any) -> list[Any]:
    """What an element that takes one value or a list of them holds."""
    return value if isinstance(value, list) else [value]


def _check_action(action: str, place: str, rules: Rules) -> None:
    if action == "*" and rules.vendor != "sts":
        return
    vendor, colon, name = action.partition(":")
    if not colon and action != "*":
        raise PolicyInvalid(VENDOR, f"the action {quoted(action)} of {place}")
    if rules.vendor == "sts" and vendor.lower() != "sts":
        raise PolicyInvalid("AssumeRole policy may only specify STS AssumeRole actions.", place)
    if not _VENDOR.fullmatch(vendor):
        raise PolicyInvalid(f"Vendor {vendor[:100]} is not valid", place)
    if not _ACTION_NAME.fullmatch(name):
        raise PolicyInvalid(SYNTAX, f"the action {quoted(action)} of {place} has no valid name after the colon")
    if rules.vendor and vendor.lower() != rules.vendor:
        raise PolicyInvalid(SYNTAX, f"the action {quoted(action)} of {place} is none of {rules.vendor}")


def _check_resource(resource: str, place: str) -> None:
    if resource == "*":
        return
    segments = resource.split(":", 5)
    if segments[0] != "arn" or len(segments) < 3 or (len(segments) < 6 and "*" not in resource):
        raise PolicyInvalid(f'Resource {resource[:200]} must be in ARN format or "*".', place)
    if "*" in segments[2] or "?" in segments[2]:
        raise PolicyInvalid("Resource vendor must be fully qualified and cannot contain regexes.", place)


def _check_principal(statement: Mapping[str, Any], place: str, rules: Rules) -> None:
    given = [name for name in ("Principal", "NotPrincipal") if name in statement]
    if not rules.principal:
        if given:
            raise PolicyInvalid("Policy document should not specify a principal.", place)
        return
    if len(given) != 1:
        raise PolicyInvalid("Missing required field Principal" if not given else SYNTAX, place)
    if given == ["NotPrincipal"] and statement["Effect"] == "Allow":
        raise PolicyInvalid("Allow with NotPrincipal is not allowed.", place)
    principal = statement[given[0]]
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal:
        raise PolicyInvalid("Invalid principal in policy", f'the principal of {place} is neither "*" nor an object')
    for name, values in principal.items():
        accepts = _PRINCIPALS.get(name)
        if accepts is None or not as_list(values):
            raise PolicyInvalid("Invalid principal in policy", f"{place} has the principal type {quoted(name)}")
        for value in as_list(values):
            if not _is_text(value) or not accepts(value):
                shown = value[:200] if isinstance(value, str) else ""
                raise PolicyInvalid(f'Invalid principal in policy: "{name.upper()}":"{shown}"', place)


_PRINCIPALS: Mapping[str, Callable[[str], bool]] = {
    "AWS": is_aws_principal,
    "Service": lambda text: bool(_SERVICE.fullmatch(text)),
    "Federated": lambda text: bool(_PROVIDER.fullmatch(text)),
}


def checked_conditions(statement: Mapping[str, Any], index: int, *, variables: bool) -> tuple[Condition, ...]:
    """The statement's conditions, compiled.

    Raises:
        PolicyInvalid
    """
    block, place = statement.get("Condition", {}), _place(index)
    if not isinstance(block, dict):
        raise PolicyInvalid(SYNTAX, f"the Condition of {place} is not an object")
    compiled: list[Condition] = []
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise PolicyInvalid(SYNTAX, f"the operator {quoted(operator)} of {place} does not hold an object")
        for key, values in keys.items():
            compiled.append(_checked_condition(operator, key, values, place, variables=variables))
        if not keys and _condition(operator, "aws:SourceIp", [], place, variables=variables) is None:
            raise PolicyInvalid(SYNTAX, f"{place} has the unknown condition operator {quoted(operator)}")
    return tuple(compiled)


def _checked_condition(operator: str, key: str, values: Any, place: str, *, variables: bool) -> Condition:
    if not all(key.partition(":")):
        raise PolicyInvalid(VENDOR, f"the condition key {quoted(key)} of {place}")
    texts: list[str] = []
    for value in as_list(values):
        if not isinstance(value, str | bool):
            raise PolicyInvalid(SYNTAX, f"a value of the condition key {quoted(key)} of {place} is not a string")
        texts.append(str(value).lower() if isinstance(value, bool) else str(value))
    found = _condition(operator, key, texts, place, variables=variables)
    if found is None:
        raise PolicyInvalid(SYNTAX, f"{place} has the unknown condition operator {quoted(operator)}")
    return found


def _condition(operator: str, key: str, texts: list[str], place: str, *, variables: bool) -> Condition | None:
    try:
        return condition(operator, key, texts, variables=variables)
    except ValueInvalid as invalid:
        raise PolicyInvalid(
            LEGACY, f"{operator} of {place} cannot compare with the value {quoted(str(invalid))}"
        ) from None
