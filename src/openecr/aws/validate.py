"""Do the members of a request satisfy the constraints of their shapes? If not, in the words of the service.

ECR has two ways to say no (reference §1.5): its own, ``Invalid parameter at 'x' failed to satisfy constraint: '...'``,
which names the first constraint that is broken; and the form common to AWS, ``1 validation error detected: ...``, which
newer operations and the query services use and which names them all. Unknown members are ignored. botocore's own
validator serves clients: it knows neither patterns nor maxima nor enums, so the walk is here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from openecr.aws import deviations
from openecr.aws.model import Service
from openecr.aws.patterns import compiled
from openecr.errors import InvalidParameter, InvalidParameterValue, MissingParameter, RegistryError, ValidationFailed
from openecr.names import is_reserved

_MOST_TOLD = 20
_MOST_VALUE_CHARACTERS = 1024
_NULL_CHARACTER = "must not contain the null character"


@dataclass(frozen=True, slots=True)
class Violation:
    """One constraint that one member breaks, in both of the service's wordings."""

    path: str
    value: object
    common: str
    own: str


def check(service: Service, operation: str, values: Mapping[str, Any]) -> None:
    """Refuse the members of an operation's input that break their shapes' constraints.

    Args:
        service: the model that the operation belongs to.
        operation: the operation's name in the model.
        values: typed members by their modelled names, as the protocols decode them.

    Raises:
        InvalidParameter: in ECR's own form, for the operations that use it.
        ValidationFailed: in the form common to AWS, for the others.
        MissingParameter, InvalidParameterValue: in EC2's form.
    """
    shape = service.operations[operation].input_shape
    if not isinstance(shape, StructureShape):
        return
    found = _reserved(operation, values) or list(islice(_structure(shape, values, ""), _MOST_TOLD))
    if not found:
        return
    if service.protocol == "ec2":
        raise _in_words_of_ec2(found[0])
    if tells_in_common_form(service, operation):
        raise ValidationFailed(message=_common_text(found, lower=service.protocol != "json"))
    raise InvalidParameter(parameter=found[0].path, constraint=found[0].own)


def tells_in_common_form(service: Service, operation: str) -> bool:
    """Whether an operation refuses members as ValidationException rather than as InvalidParameterException."""
    if service.protocol != "json" or "InvalidParameterException" not in service.errors:
        return True
    return (
        service.declares(operation, "ValidationException") and operation not in deviations.INVALID_PARAMETER_OPERATIONS
    )


def _reserved(operation: str, values: Mapping[str, Any]) -> list[Violation]:
    """A repository name that would address another registry is refused like a malformed one."""
    for owner, member in deviations.RESERVED_NAMES:
        if owner == operation and is_reserved(values.get(member, "")):
            return [Violation(member, values[member], *_pattern_texts(deviations.PATTERNS_TOLD["RepositoryName"]))]
    return []


def _structure(shape: StructureShape, values: Mapping[str, Any], prefix: str) -> Iterator[Violation]:
    required = frozenset(shape.required_members)
    for name, member in shape.members.items():
        path = prefix + name
        value = values.get(name)
        if value is None:
            if name in required:
                yield _missing(path)
        elif (shape.name, name) not in deviations.UNCHECKED_MEMBERS:
            yield from _value(member, value, path)


def _value(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    if isinstance(shape, StructureShape):
        yield from _structure(shape, value, f"{path}.")
        return
    yield from (Violation(path, value, *texts) for texts in _broken(shape, value))
    if isinstance(shape, ListShape) and shape.name not in deviations.UNCHECKED_ELEMENTS:
        for position, element in enumerate(value, start=1):
            if element is None:
                yield _missing(f"{path}.{position}.member")
            elif isinstance(shape.member, StructureShape | ListShape | MapShape):
                yield from _value(shape.member, element, f"{path}.{position}.member")
            elif any(True for _ in _broken(shape.member, element)):
                text = f"Member must satisfy constraint: [{', '.join(_demands(shape.member))}]"
                yield Violation(path, value, text, text)
                return
    elif isinstance(shape, MapShape):
        for key, element in value.items():
            yield from _value(shape.key, key, f"{path}.{key}.key")
            yield from _value(shape.value, element, f"{path}.{key}.member")


def _broken(shape: Shape, value: Any) -> Iterator[tuple[str, str]]:
    """The wordings, common and own, of every constraint that a scalar, or the length of a list or map, breaks."""
    limits = shape.metadata
    if shape.type_name in ("string", "blob", "list", "map"):
        measured, what = len(value), "length"
    elif shape.type_name in ("integer", "long", "float", "double"):
        measured, what = value, "value"
    else:
        return
    scalar = shape.type_name in ("string", "blob")
    # A text without a minimum of its own may be empty.
    if "min" in limits and measured < limits["min"]:
        yield _texts(f"must have {what} greater than or equal to {limits['min']}", scalar=scalar)
    most = deviations.MAXIMA_CHECKED.get(shape.name, limits.get("max"))
    if most is not None and measured > most:
        yield _texts(f"must have {what} less than or equal to {most}", scalar=scalar)
    if shape.type_name != "string":
        return
    if "\0" in value:
        yield _texts(_NULL_CHARACTER, scalar=True)  # PostgreSQL stores none; no shape of AWS's means to allow it
    pattern = _pattern(shape)
    if pattern is not None and compiled(pattern).fullmatch(value) is None:
        yield _pattern_texts(deviations.PATTERNS_TOLD.get(shape.name, limits["pattern"]))
    if "enum" in limits and value not in limits["enum"]:
        yield _texts(f"must satisfy enum value set: [{', '.join(_enum_told(shape))}]", scalar=False)


def _demands(shape: Shape) -> list[str]:
    """Everything that a list's element must satisfy, as the service lists it, kept or not."""
    limits = shape.metadata
    what = "length" if shape.type_name in ("string", "blob") else "value"
    demands = [f"Member must have {what} less than or equal to {limits['max']}"] if "max" in limits else []
    if "min" in limits:
        demands.append(f"Member must have {what} greater than or equal to {limits['min']}")
    if "pattern" in limits:
        told = deviations.PATTERNS_TOLD.get(shape.name, limits["pattern"])
        demands.append(f"Member must satisfy regular expression pattern: {told}")
    if "enum" in limits:
        demands.append(f"Member must satisfy enum value set: [{', '.join(_enum_told(shape))}]")
    return demands or [f"Member {_NULL_CHARACTER}"]


def _texts(demand: str, *, scalar: bool) -> tuple[str, str]:
    """(common, own): ECR's own texts say "Member" of lists, numbers and enums only."""
    return f"Member {demand}", demand if scalar else f"Member {demand}"


def _pattern_texts(pattern: str) -> tuple[str, str]:
    return (
        f"Member must satisfy regular expression pattern: {pattern}",
        f"must satisfy regular expression '{pattern}'",
    )


def _missing(path: str) -> Violation:
    return Violation(path, None, "Member must not be null", "Member must not be null")


def _pattern(shape: Shape) -> str | None:
    checked: str | None = deviations.PATTERNS_CHECKED.get(shape.name, shape.metadata.get("pattern"))
    return checked


def _enum_told(shape: Shape) -> tuple[str, ...]:
    return deviations.ENUMS_TOLD.get(shape.name, tuple(shape.metadata["enum"]))


def _common_text(found: list[Violation], *, lower: bool) -> str:
    told = "; ".join(
        f"Value {_quoted(violation.value)} at '{_lowered(violation.path) if lower else violation.path}' "
        f"failed to satisfy constraint: {violation.common}"
        for violation in found
    )
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {told}"


def _quoted(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        text = f"[{', '.join(str(item) for item in value[:_MOST_VALUE_CHARACTERS])}]"
    else:
        text = str(value)
    return f"'{text if len(text) <= _MOST_VALUE_CHARACTERS else text[:_MOST_VALUE_CHARACTERS] + '...'}'"


def _in_words_of_ec2(broken: Violation) -> RegistryError:
    """EC2 tells the first member that is wrong (EC2 API reference, "Common client errors")."""
    name = broken.path.replace(".member", "")
    if broken.value is None:
        return MissingParameter(parameter=name)
    return InvalidParameterValue(value=str(broken.value)[:128], parameter=name, constraint=broken.common)


def _lowered(path: str) -> str:
    """Query services name members with a small first letter, whatever the model's is."""
    return ".".join(part[:1].lower() + part[1:] for part in path.split("."))
