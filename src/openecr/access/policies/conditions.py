"""Condition operators: a table, one line an operator.

Sources: IAM User Guide, "IAM JSON policy elements: Condition operators"
(reference_policies_elements_condition_operators), "Conditions with multiple context keys or values"
(reference_policies_condition-logic-multiple-context-keys-or-values) and "Single-valued vs. multivalued context keys"
(reference_policies_condition-single-vs-multi-valued-context-keys).
"""

import base64
import binascii
import operator as compare
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

from openecr.access.policies.context import Reading
from openecr.access.policies.instants import instant
from openecr.access.policies.matching import Patterns, arn_patterns, caseless_patterns

Quantifier = Literal["ForAllValues", "ForAnyValue"]
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?", re.ASCII)


class ValueInvalid(Exception):
    """A policy's value that an operator of this type can compare with nothing."""


@dataclass(frozen=True, slots=True)
class Test:
    """Whether a request's value is what one of the policy's values asks for, and the keys that it reads for that."""

    passes: Callable[[str, Reading], bool]
    reads: frozenset[str] = frozenset()


Compiler = Callable[[Sequence[str], bool], Test]


@dataclass(frozen=True, slots=True)
class Operator:
    """How the policy's values are compiled, and whether the condition holds where none of them is met."""

    compile: Compiler
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator, one key, its values."""

    operator: Operator
    test: Test
    key: str
    quantifier: Quantifier | None = None
    if_exists: bool = False

    @property
    def reads(self) -> frozenset[str]:
        """The keys that it depends on."""
        return self.test.reads | {self.key}

    def holds(self, reading: Reading) -> bool:
        """Whether the request meets it."""
        values = reading.values(self.key)
        if self.operator is NULL:
            return self.test.passes("" if values else "true", reading)
        if not values:
            return self._holds_without_value()
        passes, negated = self.test.passes, self.operator.negated
        if self.quantifier is None and len(values) == 1:
            return passes(values[0], reading) != negated
        if self.quantifier == "ForAllValues":
            return all(passes(value, reading) != negated for value in values if value)
        if self.quantifier == "ForAnyValue":
            return any(passes(value, reading) != negated for value in values)
        return any(passes(value, reading) for value in values) != negated

    def _holds_without_value(self) -> bool:
        if self.quantifier is not None:
            return self.quantifier == "ForAllValues"
        return self.if_exists or self.operator.negated


def condition(name: str, key: str, values: Sequence[str], *, variables: bool) -> Condition | None:
    """The compiled condition; None where there is no operator of this name, in any case (older pages of AWS differ).

    Raises:
        ValueInvalid
    """
    quantifier, _, base = name.lower().rpartition(":")
    if_exists = base.endswith("ifexists")
    chosen = _BY_NAME.get(base.removesuffix("ifexists"))
    if chosen is None or quantifier not in _QUANTIFIERS or (chosen is NULL and (quantifier or if_exists)):
        return None
    return Condition(chosen, chosen.compile(values, variables), key.lower(), _QUANTIFIERS[quantifier], if_exists)


_QUANTIFIERS: Mapping[str, Quantifier | None] = {
    "": None,
    "forallvalues": "ForAllValues",
    "foranyvalue": "ForAnyValue",
}


def _strings(values: Sequence[str], variables: bool) -> Test:
    patterns = Patterns(values, wildcards=False, variables=variables)
    return Test(patterns.match, patterns.reads)


def _strings_ignoring_case(values: Sequence[str], variables: bool) -> Test:
    patterns = caseless_patterns(values, variables=variables)
    return Test(lambda value, reading: patterns.match(value.lower(), reading), patterns.reads)


def _strings_like(values: Sequence[str], variables: bool) -> Test:
    patterns = Patterns(values, wildcards=True, variables=variables)
    return Test(patterns.match, patterns.reads)


def _arns(values: Sequence[str], variables: bool) -> Test:
    patterns = arn_patterns(values, variables=variables)
    return Test(patterns.match, patterns.reads)


def _compared(parse: Callable[[str], Any], holds: Callable[[Any, Any], bool]) -> Compiler:
    """For types that have an order, or an equality other than that of their texts."""

    def compile_values(values: Sequence[str], _variables: bool) -> Test:
        wanted = [parse(value) for value in values]
        if None in wanted:
            raise ValueInvalid(values[wanted.index(None)])

        def passes(value: str, _reading: Reading) -> bool:
            found = parse(value)
            return found is not None and any(holds(found, one) for one in wanted)

        return Test(passes)

    return compile_values


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _truth(values: Sequence[str], variables: bool) -> Test:
    if not variables or not any("${" in value for value in values):
        _truth_values(values)
    return _strings_ignoring_case(values, variables)


def _truth_values(values: Sequence[str]) -> None:
    for value in values:
        if value.lower() not in ("true", "false"):
            raise ValueInvalid(value)


def _absence(values: Sequence[str], _variables: bool) -> Test:
    _truth_values(values)
    wanted = frozenset("true" if value.lower() == "true" else "" for value in values)
    return Test(lambda value, _reading: value in wanted)


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _networks(values: Sequence[str], _variables: bool) -> Test:
    networks: list[IPv4Network | IPv6Network] = []
    for value in values:
        try:
            networks.append(ip_network(value, strict=False))
        except ValueError:
            raise ValueInvalid(value) from None
    ranges = [(found.version, int(found.network_address), int(found.broadcast_address)) for found in networks]

    def passes(value: str, _reading: Reading) -> bool:
        address = _address(value)
        if address is None:
            return False
        version, number = address
        return any(of == version and first <= number <= last for of, first, last in ranges)

    return Test(passes)


@lru_cache(4096)
def _address(text: str) -> tuple[int, int] | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return 4, int(address.ipv4_mapped)
    return address.version, int(address)


NULL = Operator(_absence)

OPERATORS: Mapping[str, Operator] = {
    "StringEquals": Operator(_strings),
    "StringNotEquals": Operator(_strings, negated=True),
    "StringEqualsIgnoreCase": Operator(_strings_ignoring_case),
    "StringNotEqualsIgnoreCase": Operator(_strings_ignoring_case, negated=True),
    "StringLike": Operator(_strings_like),
    "StringNotLike": Operator(_strings_like, negated=True),
    "NumericEquals": Operator(_compared(_number, compare.eq)),
    "NumericNotEquals": Operator(_compared(_number, compare.eq), negated=True),
    "NumericLessThan": Operator(_compared(_number, compare.lt)),
    "NumericLessThanEquals": Operator(_compared(_number, compare.le)),
    "NumericGreaterThan": Operator(_compared(_number, compare.gt)),
    "NumericGreaterThanEquals": Operator(_compared(_number, compare.ge)),
    "DateEquals": Operator(_compared(instant, compare.eq)),
    "DateNotEquals": Operator(_compared(instant, compare.eq), negated=True),
    "DateLessThan": Operator(_compared(instant, compare.lt)),
    "DateLessThanEquals": Operator(_compared(instant, compare.le)),
    "DateGreaterThan": Operator(_compared(instant, compare.gt)),
    "DateGreaterThanEquals": Operator(_compared(instant, compare.ge)),
    "Bool": Operator(_truth),
    "BinaryEquals": Operator(_compared(_bytes, compare.eq)),
    "IpAddress": Operator(_networks),
    "NotIpAddress": Operator(_networks, negated=True),
    "ArnEquals": Operator(_arns),
    "ArnNotEquals": Operator(_arns, negated=True),
    "ArnLike": Operator(_arns),
    "ArnNotLike": Operator(_arns, negated=True),
    "Null": NULL,
}
_BY_NAME = {name.lower(): operator for name, operator in OPERATORS.items()}
