"""What an operation's answer must be before a protocol may write it: of its output shape, and nothing beside.

Strict on purpose: a key that the shape lacks is lost silently by every client, so it is a bug here and not there.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.model import Shape, StructureShape


class AnswerError(Exception):
    """An operation's answer is not of its output shape: a bug of openecr, told as a ServerException."""


def require_fitting(shape: StructureShape, value: Any, path: str) -> None:
    """Refuse an answer that is no mapping or has a key that its shape lacks."""
    require_type(value, Mapping, path)
    surplus = sorted(set(value) - set(shape.members))
    if surplus:
        raise AnswerError(f"{path} has no member {', '.join(surplus)}")


def encoded_scalar(shape: Shape, value: Any, path: str) -> Any:
    """A scalar of an answer as JSON has it; instants are integer µs UTC and become epoch seconds."""
    if shape.type_name == "string":
        require_type(value, str, path)
    elif shape.type_name == "boolean":
        require_type(value, bool, path)
    elif shape.type_name in ("integer", "long"):
        _require_number(value, int, path)
    elif shape.type_name in ("float", "double"):
        _require_number(value, int | float, path)
    elif shape.type_name == "timestamp":
        _require_number(value, int, path)
        return value / 1_000_000
    elif shape.type_name == "blob":
        require_type(value, bytes, path)
        return base64.b64encode(value).decode()
    return value


def iso_instant(instant_us: int) -> str:
    """An instant as XML answers have it, with milliseconds where there are any."""
    moment = datetime.fromtimestamp(instant_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    milliseconds = instant_us % 1_000_000 // 1000
    return f"{moment}.{milliseconds:03d}Z" if milliseconds else f"{moment}Z"


def _require_number(value: Any, kind: Any, path: str) -> None:
    require_type(value, kind, path)
    if isinstance(value, bool):
        raise AnswerError(f"{path} is a boolean")


def require_type(value: Any, kind: Any, path: str) -> None:
    """Refuse a value of another type."""
    if not isinstance(value, kind):
        raise AnswerError(f"{path} is of type {type(value).__name__}")
