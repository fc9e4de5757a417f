"""AWS JSON 1.1: bodies to typed members, answers and errors to bodies (reference §1.2, §1.3)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape

from openecr import bounded_json
from openecr.aws.answers import AnswerError, encoded_scalar, require_fitting, require_type
from openecr.bounded_json import JsonRefused
from openecr.errors import RegistryError, SerializationFailed

CONTENT_TYPE = b"application/x-amz-json-1.1"
_INTEGER_BITS = {"integer": 31, "long": 63}
_NAMES = {"string": "a String", "integer": "an Integer", "long": "a Long", "boolean": "a Boolean", "blob": "a Blob"}


def decode(body: bytes, shape: Shape | None) -> dict[str, Any]:
    """The members of a request's body, typed as the input shape has them; unknown members and nulls are left out.

    Raises:
        SerializationFailed: not JSON, not an object, of a wrong type, or nested or split beyond reason.
    """
    document = _parse(body)
    if not isinstance(document, dict):
        raise SerializationFailed(message=_unexpected(document, "a structure"))
    return _structure(shape, document) if isinstance(shape, StructureShape) else {}


def encode(answer: Mapping[str, Any], shape: Shape | None) -> bytes:
    """An answer's body: what the output shape has and nothing else; None is left out.

    Raises:
        AnswerError: a key that the shape lacks, or a value of another type.
    """
    if not isinstance(shape, StructureShape):
        if answer:
            raise AnswerError(f"the operation has no output shape, the answer has {sorted(answer)}")
        return b"{}"
    return orjson.dumps(_encoded(shape, answer, shape.name))


def encode_error(error: RegistryError) -> bytes:
    """An error's body: type, message, and the other members of its shape."""
    document: dict[str, Any] = {"__type": error.code, "message": error.message}
    for member, name in error.members.items():
        if error.fields.get(name) is not None:
            document[member] = error.fields[name]
    return orjson.dumps(document)


def _parse(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return bounded_json.loads(body)
    except JsonRefused as refusal:
        raise SerializationFailed(message=f"The request body {refusal}") from None


def _structure(shape: StructureShape, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _decoded(member, document[name])
        for name, member in shape.members.items()
        if document.get(name) is not None
    }


def _decoded(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            raise SerializationFailed(message=_unexpected(value, "a structure"))
        return _structure(shape, value)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise SerializationFailed(message=_unexpected(value, "a list"))
        return [None if item is None else _decoded(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise SerializationFailed(message=_unexpected(value, "a map"))
        return {key: _decoded(shape.value, item) for key, item in value.items() if item is not None}
    return _scalar(shape.type_name, value)


def _scalar(type_name: str, value: Any) -> Any:
    if type_name == "string" and isinstance(value, str):
        return value
    if type_name == "boolean" and isinstance(value, bool):
        return value
    if type_name in _INTEGER_BITS and isinstance(value, int) and not isinstance(value, bool):
        bits = _INTEGER_BITS[type_name]
        if -(1 << bits) <= value < 1 << bits:
            return value
    if type_name in ("float", "double", "timestamp") and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise SerializationFailed(message="A blob is not valid base64") from None
    raise SerializationFailed(message=_unexpected(value, _NAMES.get(type_name, f"a {type_name.capitalize()}")))


def _unexpected(value: Any, wanted: str) -> str:
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    kinds = {bool: f"{str(value).upper()}_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE", str: "STRING_VALUE"}
    return f"{kinds.get(type(value), 'NULL_VALUE')} can not be converted to {wanted}"


def _encoded(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        require_fitting(shape, value, path)
        return {
            name: _encoded(shape.members[name], item, f"{path}.{name}")
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape):
        require_type(value, list | tuple, path)
        return [_encoded(shape.member, item, path) for item in value]
    if isinstance(shape, MapShape):
        require_type(value, Mapping, path)
        return {key: _encoded(shape.value, item, path) for key, item in value.items()}
    return encoded_scalar(shape, value, path)
