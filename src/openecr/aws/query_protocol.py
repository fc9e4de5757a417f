"""The AWS query protocol: form bodies to typed members, answers and errors to XML.

``Action=GetCallerIdentity&Version=2011-06-15``; lists are ``Name.member.1`` (or ``Name.1`` where the model flattens
them), maps ``Name.entry.1.key``. Errors carry the spellings and statuses of the query services, which differ from the
JSON services' (reference §1.3).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, Shape, StructureShape

from openecr.aws.answers import AnswerError, encoded_scalar, iso_instant, require_fitting, require_type
from openecr.aws.model import Service
from openecr.errors import ProtocolError, RegistryError, SerializationFailed

CONTENT_TYPE = b"text/xml"
_MOST_FIELDS = 10_000
_MOST_DEPTH = 32

ERRORS = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InvalidParameterException": ("ValidationError", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "RequestEntityTooLargeException": ("RequestEntityTooLarge", 413),
    "RequestTimeoutException": ("RequestTimeout", 408),
    "SerializationException": ("MalformedInput", 400),
    "ServerException": ("InternalFailure", 500),
    "ThrottlingException": ("Throttling", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ValidationException": ("ValidationError", 400),
}
"""An error's name on the JSON services → its name and status on the query services."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Tree = dict[str, Any]


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of a form, the first of each name.

    Raises:
        SerializationFailed: not a form, or more fields than any operation has.
    """
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, encoding="utf-8", errors="strict"
        )
    except ValueError:
        raise SerializationFailed(message="The request body is not a form in UTF-8") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def decode(fields: Mapping[str, str], shape: Shape | None) -> dict[str, Any]:
    """The members of a request, typed as the input shape has them; unknown fields are left out.

    Raises:
        SerializationFailed: a value is of a wrong type, or a name is nested beyond reason.
    """
    return _structure(shape, tree_of(fields)) if isinstance(shape, StructureShape) else {}


def encode(service: Service, operation: str, answer: Mapping[str, Any], request_id: str) -> bytes:
    """An answer's body: what the output shape has and nothing else; None is left out.

    Raises:
        AnswerError: a key that the shape lacks, or a value of another type.
    """
    shape = service.operations[operation].output_shape
    result = ""
    if isinstance(shape, StructureShape):
        wrapper = shape.serialization.get("resultWrapper", f"{operation}Result")
        result = f"<{wrapper}>{_members(shape, answer, shape.name)}</{wrapper}>"
    elif answer:
        raise AnswerError(f"{operation} has no output shape, the answer has {sorted(answer)}")
    return (
        f'<{operation}Response xmlns="{service.namespace}">{result}<ResponseMetadata>'
        f"<RequestId>{text_of(request_id)}</RequestId></ResponseMetadata></{operation}Response>"
    ).encode()


def encode_error(service: Service | None, error: RegistryError, request_id: str) -> tuple[int, bytes]:
    """(status, body) of an error, as the service's model spells it, else as the query services do."""
    code, status = _spelling(service, error)
    namespace = f' xmlns="{service.namespace}"' if service is not None and service.namespace else ""
    kind = "Receiver" if status >= 500 else "Sender"
    body = (
        f"<ErrorResponse{namespace}><Error><Type>{kind}</Type><Code>{text_of(code)}</Code>"
        f"<Message>{text_of(error.message)}</Message></Error><RequestId>{text_of(request_id)}</RequestId></ErrorResponse>"
    )
    return status, body.encode()


def _spelling(service: Service | None, error: RegistryError) -> tuple[str, int]:
    # A protocol's error may share its name with one that a model declares for something else: a session that expired is
    # ExpiredToken, a web identity token that did is STS's own ExpiredTokenException.
    declares = service is not None and not isinstance(error, ProtocolError)
    shape = service.errors.get(error.code) if declares and service is not None else None
    if shape is not None and "error" in shape.metadata:
        told = shape.metadata["error"]
        return told.get("code", error.code), told.get("httpStatusCode", 400)
    return ERRORS.get(error.code, (error.code, error.status))


def tree_of(fields: Mapping[str, str]) -> Tree:
    """Dotted names as a tree; a name that is both a value and a branch is the branch."""
    root: Tree = {}
    for name, value in fields.items():
        parts = name.split(".")
        if len(parts) > _MOST_DEPTH:
            raise SerializationFailed(message=f"A parameter is nested deeper than {_MOST_DEPTH} levels")
        at = root
        for part in parts[:-1]:
            inner = at.get(part)
            if not isinstance(inner, dict):
                inner = at[part] = {}
            at = inner
        if not isinstance(at.get(parts[-1]), dict):
            at[parts[-1]] = value
    return root


def _structure(shape: StructureShape, tree: Tree) -> dict[str, Any]:
    return {
        name: _decoded(member, tree[_name_of(member, name)], name)
        for name, member in shape.members.items()
        if _name_of(member, name) in tree
    }


def _decoded(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, branch_of(value, path))
    if isinstance(shape, ListShape):
        if value == "":
            return []  # how SDKs spell an empty list
        branch = branch_of(value, path)
        if not shape.serialization.get("flattened"):
            branch = branch_of(branch.get(shape.member.serialization.get("name", "member"), {}), path)
        return [_decoded(shape.member, branch[index], path) for index in sorted(branch, key=index_of)]
    if isinstance(shape, MapShape):
        branch = branch_of(value, path)
        if not shape.serialization.get("flattened"):
            branch = branch_of(branch.get("entry", {}), path)
        entries = [branch_of(branch[index], path) for index in sorted(branch, key=index_of)]
        key, item = _name_of(shape.key, "key"), _name_of(shape.value, "value")
        return {
            str(_decoded(shape.key, entry.get(key, ""), path)): _decoded(shape.value, entry.get(item, ""), path)
            for entry in entries
        }
    if isinstance(value, dict):
        raise SerializationFailed(message=f"Unexpected complex element at '{path}'")
    return scalar(shape.type_name, value, path)


def scalar(type_name: str, text: str, path: str) -> Any:
    """A field's text as the model types it.

    Raises:
        SerializationFailed: it is not of that type.
    """
    try:
        if type_name in ("integer", "long"):
            number = int(text) if re.fullmatch("[+-]?[0-9]{1,19}", text) else None
            bits = 31 if type_name == "integer" else 63
            if number is None or not -(1 << bits) <= number < 1 << bits:
                raise ValueError(text)
            return number
        if type_name in ("float", "double"):
            return float(text)
        if type_name == "boolean":
            return {"true": True, "false": False}[text.lower()]
        if type_name == "blob":
            return base64.b64decode(text, validate=True)
        if type_name == "timestamp":
            return datetime.fromisoformat(text).timestamp()
    except (ValueError, KeyError, binascii.Error):
        raise SerializationFailed(message=f"'{text[:64]}' at '{path}' is not of type {type_name}") from None
    return text


def branch_of(value: Any, path: str) -> Tree:
    """What is nested under a name; a plain value there is refused."""
    if not isinstance(value, dict):
        raise SerializationFailed(message=f"A structure, list or map is expected at '{path}'")
    return value


def index_of(text: str) -> int:
    """The number of a list's member; anything else is refused."""
    if not re.fullmatch("[0-9]{1,6}", text):
        raise SerializationFailed(message=f"'{text[:64]}' is not the number of a list's member")
    return int(text)


def _name_of(shape: Shape, name: str) -> str:
    spelled: str = shape.serialization.get("name", name)
    return spelled


def _members(shape: StructureShape, value: Any, path: str) -> str:
    require_fitting(shape, value, path)
    return "".join(
        _element(shape.members[name], name, item, f"{path}.{name}") for name, item in value.items() if item is not None
    )


def _element(shape: Shape, name: str, value: Any, path: str) -> str:
    tag = _name_of(shape, name)
    if isinstance(shape, StructureShape):
        return f"<{tag}>{_members(shape, value, path)}</{tag}>"
    if isinstance(shape, ListShape):
        require_type(value, list | tuple, path)
        if shape.serialization.get("flattened"):
            return "".join(_element(shape.member, tag, item, path) for item in value)
        return f"<{tag}>{''.join(_element(shape.member, 'member', item, path) for item in value)}</{tag}>"
    if isinstance(shape, MapShape):
        require_type(value, Mapping, path)
        entries = "".join(
            f"<entry>{_element(shape.key, 'key', key, path)}{_element(shape.value, 'value', item, path)}</entry>"
            for key, item in value.items()
        )
        return f"<{tag}>{entries}</{tag}>"
    return f"<{tag}>{scalar_text(shape, value, path)}</{tag}>"


def scalar_text(shape: Shape, value: Any, path: str) -> str:
    """A scalar of an answer as XML text."""
    plain = encoded_scalar(shape, value, path)
    if shape.type_name == "timestamp":
        return iso_instant(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return text_of(str(plain))


def text_of(text: str) -> str:
    """Text that every XML parser takes: characters that XML has no spelling for become U+FFFD."""
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), {"\r": "&#13;"})
