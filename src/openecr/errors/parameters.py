"""Members of a request that cannot be what they are."""

from openecr.errors.base import RegistryError


class InvalidParameter(RegistryError):
    """A parameter breaks a constraint of its shape or of the operation."""

    code = "InvalidParameterException"
    oci = ("UNSUPPORTED", 405)
    template = "Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"


class ConflictingParameters(InvalidParameter):
    """Parameters that exclude each other were given together, or in a combination that has no meaning."""

    template = "{message}"


class ValidationFailed(RegistryError):
    """The newer operations' way to refuse a parameter."""

    code = "ValidationException"
    oci = ("UNSUPPORTED", 405)


class MissingParameter(RegistryError):
    """EC2's way to refuse a request without a member that it needs."""

    code = "MissingParameter"
    template = "The request must contain the parameter {parameter}"


class InvalidParameterValue(RegistryError):
    """EC2's way to refuse a member's value."""

    code = "InvalidParameterValue"
    template = "Value ({value}) for parameter {parameter} is invalid. {constraint}"


class InvalidTag(RegistryError):
    """The tag of an image reference in a URL is outside the grammar."""

    code = "InvalidParameterException"
    oci = ("TAG_INVALID", 400)
    template = (
        "Invalid parameter at 'imageTag' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]*''"
    )


class InvalidDigest(RegistryError):
    """A digest in a URL is of unknown form or algorithm."""

    code = "InvalidParameterException"
    oci = ("DIGEST_INVALID", 400)
    template = (
        "Invalid parameter at '{parameter}' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"
    )


class InvalidName(RegistryError):
    """The repository name in a URL is outside the grammar."""

    code = "InvalidParameterException"
    oci = ("NAME_INVALID", 400)
    template = (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
        "'(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''"
    )


class TokenExpired(RegistryError):
    """A registry token past its 12 hours."""

    code = "ExpiredTokenException"
    oci = ("DENIED", 403)
    template = "Your authorization token has expired. Reauthenticate and try again."


class TokenInvalid(RegistryError):
    """A registry token that this deployment did not make, or whose access key is gone."""

    code = "UnrecognizedClientException"
    oci = ("DENIED", 403)
    template = "Your Authorization Token is invalid."


class RangeInvalid(RegistryError):
    """A Content-Range or Range header that cannot be read or satisfied."""

    code = "InvalidParameterException"
    oci = ("BLOB_UPLOAD_INVALID", 416)
