"""Conditions of a statement: an operator is one line of ``OPERATORS``.

Sources: IAM User Guide, "IAM JSON policy elements: Condition operators", "Single-valued vs. multivalued context keys".

    absent key      a positive operator fails, a negated one holds, ...IfExists holds; ForAllValues holds, ForAnyValue
                    fails
    several values  of the policy: one must match; of a negated operator: none may match
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from openecr.access.policies.globs import Values, exact, pattern

_IF_EXISTS = "IfExists"
_FOR_ALL, _FOR_ANY = "ForAllValues:", "ForAnyValue:"
Context = Mapping[str, tuple[str, ...]]
"""Condition keys in lower case; a key that the request does not have is not there."""
Test = Callable[[str, Values], bool]
"""Whether a value of the request is such."""


class ConditionInvalid(Exception):
    """An operator that there is not, or a value that is not of its kind."""


@dataclass(frozen=True, slots=True)
class Operator:
    """How values are compared."""

    read: Callable[[str, bool], Test]
    """(value in the policy, whether variables are known) → its test; ValueError where it is no such value."""
    negated: bool = False


def _text(any_case: bool = False, wild: bool = False) -> Callable[[str, bool], Test]:
    def read(value: str, variables: bool) -> Test:
        wanted = (pattern if wild else exact)(value, variables=variables)
        return lambda said, values: wanted.matches(said, values, any_case=any_case)

    return read


def _arn(value: str, variables: bool) -> Test:
    """Part by part, so that a wildcard never reaches over a colon but in the last."""
    wanted = [pattern(part, variables=variables) for part in value.split(":", 5)] if value != "*" else []
    if wanted and len(wanted) != 6:
        # A variable may hold a whole ARN.
        whole = pattern(value, variables=variables)
        return lambda said, values: whole.matches(said, values)

    def test(said: str, values: Values) -> bool:
        parts = said.split(":", 5)
        if not wanted:
            return True
        return len(parts) == 6 and all(one.matches(part, values) for one, part in zip(wanted, parts, strict=True))

    return test


def _ordered(parse: Callable[[str], Any], holds: Callable[[Any, Any], bool]) -> Callable[[str, bool], Test]:
    def read(value: str, _variables: bool) -> Test:
        wanted = parse(value)

        def test(said: str, _values: Values) -> bool:
            try:
                return holds(parse(said), wanted)
            except (ValueError, ArithmeticError):
                return False

        return test

    return read


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not found.is_finite() or len(text) > 64:
        raise ValueError(text)
    return found


def _instant(text: str) -> float:
    """An ISO 8601 date or date and time, UTC where it says no zone, or seconds since 1970."""
    if text.lstrip("-").isdigit() and len(text) > 4:
        return float(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _bool(value: str, _variables: bool) -> Test:
    wanted = value.lower()
    if wanted not in ("true", "false"):
        raise ValueError(value)
    return lambda said, _values: said.lower() == wanted


def _binary(value: str, _variables: bool) -> Test:
    try:
        wanted = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError(value) from None

    def test(said: str, _values: Values) -> bool:
        try:
            return base64.b64decode(said, validate=True) == wanted
        except (binascii.Error, ValueError):
            return False

    return test


def _network(value: str, _variables: bool) -> Test:
    wanted = ipaddress.ip_network(value, strict=False)

    def test(said: str, _values: Values) -> bool:
        try:
            address = ipaddress.ip_address(said)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.version == wanted.version and address in wanted

    return test


def _both(name: str, read: Callable[[str, bool], Test]) -> dict[str, Operator]:
    """An operator and its negation, whose names AWS makes with ``Not`` before the last word."""
    kind = next(word for word in ("Equals", "Like", "Address") if word in name)
    head, _, tail = name.partition(kind)
    return {name: Operator(read), f"{head}Not{kind}{tail}": Operator(read, negated=True)}


def _orders(kind: str, parse: Callable[[str], Any]) -> dict[str, Operator]:
    return _both(f"{kind}Equals", _ordered(parse, lambda said, wanted: bool(said == wanted))) | {
        f"{kind}LessThan": Operator(_ordered(parse, lambda said, wanted: bool(said < wanted))),
        f"{kind}LessThanEquals": Operator(_ordered(parse, lambda said, wanted: bool(said <= wanted))),
        f"{kind}GreaterThan": Operator(_ordered(parse, lambda said, wanted: bool(said > wanted))),
        f"{kind}GreaterThanEquals": Operator(_ordered(parse, lambda said, wanted: bool(said >= wanted))),
    }


OPERATORS: Mapping[str, Operator] = {
    **_both("StringEquals", _text()),
    **_both("StringEqualsIgnoreCase", _text(any_case=True)),
    **_both("StringLike", _text(wild=True)),
    **_orders("Numeric", _number),
    **_orders("Date", _instant),
    "Bool": Operator(_bool),
    "BinaryEquals": Operator(_binary),
    "IpAddress": Operator(_network),
    "NotIpAddress": Operator(_network, negated=True),
    **_both("ArnEquals", _arn),
    **_both("ArnLike", _arn),
}
"""Name → operator; ``Null`` apart, which asks whether a key is there."""
_BY_NAME = {name.lower(): operator for name, operator in OPERATORS.items()}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator, one key, its values."""

    operator: str
    key: str
    """In lower case."""
    tests: tuple[Test, ...]
    negated: bool
    if_exists: bool
    quantifier: str
    """``ForAllValues:``, ``ForAnyValue:`` or nothing."""
    wants_absence: bool | None
    """Of ``Null``: whether the key must be absent; None for every other operator."""
    variables: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Whether the request is such."""
        said = context.get(self.key)
        if self.wants_absence is not None:
            return (said is None) is self.wants_absence
        if said is None:
            if self.quantifier:
                return self.quantifier == _FOR_ALL or self.if_exists
            return self.negated or self.if_exists
        hits = [any(test(value, context.get) for test in self.tests) for value in said]
        if self.quantifier == _FOR_ALL:
            return not any(hits) if self.negated else all(hits)
        if self.quantifier == _FOR_ANY:
            return not all(hits) if self.negated else any(hits)
        return not any(hits) if self.negated else any(hits)


def read(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """A condition as a policy has it.

    Raises:
        ConditionInvalid
    """
    quantifier, name = "", operator
    for prefix in (_FOR_ALL, _FOR_ANY):
        if operator.lower().startswith(prefix.lower()):
            quantifier, name = prefix, operator[len(prefix) :]
    if_exists = name.lower().endswith(_IF_EXISTS.lower())
    name = name[: -len(_IF_EXISTS)] if if_exists else name
    if name.lower() == "null" and not if_exists and not quantifier:
        return _null(operator, key, values)
    known = _BY_NAME.get(name.lower())
    if known is None:
        raise ConditionInvalid(f"there is no condition operator {operator}")
    try:
        tests = tuple(known.read(value, variables) for value in values)
    except ValueError:
        raise ConditionInvalid(f"a value of {key} is nothing that {operator} compares") from None
    return Condition(
        operator=operator,
        key=key.lower(),
        tests=tests,
        negated=known.negated,
        if_exists=if_exists,
        quantifier=quantifier,
        wants_absence=None,
        variables=tuple(name for value in values for name in pattern(value, variables=variables).variables),
    )


def _null(operator: str, key: str, values: Sequence[str]) -> Condition:
    wanted = {value.lower() for value in values}
    if len(wanted) != 1 or not wanted <= {"true", "false"}:
        raise ConditionInvalid("Null compares with true or false")
    return Condition(operator, key.lower(), (), False, False, "", wanted == {"true"}, ())
