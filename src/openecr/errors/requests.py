"""Requests that never reach an operation: signature, scope, body, the way that they came."""

from openecr.errors.base import RegistryError


class ProtocolError(RegistryError):
    """The request never reached an operation."""


class MissingAuthenticationToken(ProtocolError):
    """The api plane was called without a signature."""

    code = "MissingAuthenticationTokenException"
    template = "Missing Authentication Token"


class IncompleteSignature(ProtocolError):
    """The Authorization header lacks a part that Signature Version 4 needs."""

    code = "IncompleteSignatureException"


class UnrecognizedClient(ProtocolError):
    """Unknown access key, inactive access key, or a wrong session token: ECR does not say which."""

    code = "UnrecognizedClientException"
    oci = ("DENIED", 403)
    template = "The security token included in the request is invalid."


class InvalidSignature(ProtocolError):
    """The signature, its date or its scope does not hold."""

    code = "InvalidSignatureException"


class ExpiredToken(ProtocolError):
    """Temporary credentials are past their end."""

    code = "ExpiredTokenException"
    template = "The security token included in the request is expired"


class UnknownOperation(ProtocolError):
    """The operation is not in the service model, or openecr has not built it yet."""

    code = "UnknownOperationException"


class SerializationFailed(ProtocolError):
    """The body is not what the protocol or the shape demands."""

    code = "SerializationException"


class RequestTooLarge(ProtocolError):
    """The body is over the limit of the api plane."""

    code = "RequestEntityTooLargeException"
    status = 413
    oci = ("SIZE_INVALID", 413)
    template = "The request body is larger than {limit_bytes} bytes"


class RequestTimedOut(ProtocolError):
    """The client stalled in the middle of its body; SDKs try again."""

    code = "RequestTimeoutException"
    status = 408
    oci = ("UNKNOWN", 408)
    template = "The request body did not arrive in time"


class ServiceNotServed(ProtocolError):
    """A signed request for an AWS service that openecr does not serve."""

    code = "UnknownOperationException"
    template = "openecr does not serve the AWS service '{service}'; it serves {served}"


class NotReachable(RegistryError):
    """No way of the source's VPC leads here, and the deployment explains instead of staying silent."""

    code = "AccessDeniedException"
    status = 403
    oci = ("DENIED", 403)
    template = "On AWS this request would get no answer: {reason}"


class Unanswered(RegistryError):
    """The same where it stays silent: what ends the connection after the time."""

    code = "RequestTimeoutException"
    status = 504
    oci = ("UNAVAILABLE", 504)
    template = "The request got no answer in time"
