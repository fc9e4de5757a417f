"""EC2's protocol: the query protocol with other names in forms, other lists in answers, and errors of its own.

``Action=CreateVpcEndpoint&Version=2016-11-15&SubnetId.1=subnet-1``: every list is flat, and a name begins with a
capital whatever the model's is (botocore's ``EC2Serializer``). An answer has no wrapper around its members, and the
members of a list are ``<item>``; an error is ``<Response><Errors><Error>`` with ``<RequestID>`` (its
``EC2QueryParser``).
"""

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from openecr.aws.answers import AnswerError, require_fitting, require_type
from openecr.aws.model import Service
from openecr.aws.query_protocol import Tree, branch_of, index_of, scalar, scalar_text, text_of, tree_of
from openecr.errors import AccessDenied, RegistryError, SerializationFailed

ERRORS = {
    "AccessDeniedException": ("UnauthorizedOperation", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InvalidParameterException": ("InvalidParameterValue", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "ExpiredTokenException": ("RequestExpired", 400),
    "RequestEntityTooLargeException": ("RequestEntityTooLarge", 413),
    "RequestTimeoutException": ("RequestTimeout", 408),
    "SerializationException": ("MalformedQueryString", 400),
    "ServerException": ("InternalError", 500),
    "ServiceUnavailableException": ("Unavailable", 503),
    "ThrottlingException": ("RequestLimitExceeded", 503),
    "UnknownOperationException": ("InvalidAction", 400),
    "UnrecognizedClientException": ("AuthFailure", 401),
    "ValidationException": ("InvalidParameterValue", 400),
}
"""An error's name on the JSON services → its name and status on EC2 (EC2 API reference, "Error codes")."""


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
    if isinstance(shape, StructureShape):
        members = _members(shape, answer, shape.name)
    elif answer:
        raise AnswerError(f"{operation} has no output shape, the answer has {sorted(answer)}")
    else:
        members = "<return>true</return>"  # what EC2 answers where the model has nothing
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{operation}Response xmlns="{service.namespace}">'
        f"<requestId>{text_of(request_id)}</requestId>{members}</{operation}Response>"
    ).encode()


def encode_error(service: Service | None, error: RegistryError, request_id: str) -> tuple[int, bytes]:  # noqa: ARG001
    """(status, body) of an error; EC2's model declares none, so the codes are the errors' own."""
    code, status = ERRORS.get(error.code, (error.code, error.status))
    message = error.message
    if isinstance(error, AccessDenied):
        message = f"You are not authorized to perform this operation. {message}"
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{text_of(code)}</Code><Message>{text_of(message)}</Message>"
        f"</Error></Errors><RequestID>{text_of(request_id)}</RequestID></Response>"
    )
    return status, body.encode()


def _structure(shape: StructureShape, tree: Tree) -> dict[str, Any]:
    named = {name: (member, _name_in_forms(member, name)) for name, member in shape.members.items()}
    return {
        name: _decoded(member, tree[spelled], spelled) for name, (member, spelled) in named.items() if spelled in tree
    }


def _decoded(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, branch_of(value, path))
    if isinstance(shape, ListShape):
        if value == "":
            return []
        branch = branch_of(value, path)
        return [_decoded(shape.member, branch[index], path) for index in sorted(branch, key=index_of)]
    if isinstance(value, dict):
        raise SerializationFailed(message=f"Unexpected complex element at '{path}'")
    return scalar(shape.type_name, value, path)


def _name_in_forms(shape: Shape, name: str) -> str:
    """How a request spells a member: its query name, else its location name with a capital, else its own."""
    spelled: str = shape.serialization.get("queryName", "")
    if spelled:
        return spelled
    located: str = shape.serialization.get("name", "")
    return located[:1].upper() + located[1:] if located else name


def _members(shape: StructureShape, value: Any, path: str) -> str:
    require_fitting(shape, value, path)
    return "".join(
        _element(shape.members[name], _name_in_answers(shape.members[name], name), item, f"{path}.{name}")
        for name, item in value.items()
        if item is not None
    )


def _element(shape: Shape, tag: str, value: Any, path: str) -> str:
    if isinstance(shape, StructureShape):
        return f"<{tag}>{_members(shape, value, path)}</{tag}>"
    if isinstance(shape, ListShape):
        require_type(value, list | tuple, path)
        return f"<{tag}>{''.join(_element(shape.member, 'item', item, path) for item in value)}</{tag}>"
    return f"<{tag}>{scalar_text(shape, value, path)}</{tag}>"


def _name_in_answers(shape: Shape, name: str) -> str:
    spelled: str = shape.serialization.get("name", name)
    return spelled
