"""What every error is, and what has nothing to do with what was asked."""

from typing import Any, ClassVar


class RegistryError(Exception):
    """Base of everything that a client is told; anything else becomes a ServerException without a text."""

    code: ClassVar[str] = "ServerException"
    status: ClassVar[int] = 400
    oci: ClassVar[tuple[str, int]] = ("UNKNOWN", 400)
    template: ClassVar[str] = "{message}"
    members: ClassVar[dict[str, str]] = {}
    """Members of the modelled error shape beside ``message``, as {shape member: field name}."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.template.format_map(fields))

    @property
    def message(self) -> str:
        """The sentence that the client sees."""
        return str(self.args[0])


class ServerFault(RegistryError):
    """openecr itself failed; the text is in the log under the request id, not in the answer."""

    code = "ServerException"
    status = 500
    oci = ("UNKNOWN", 500)
    template = "An internal error occurred. The log of the server has it under the request id {request_id}."


class DatabaseAway(RegistryError):
    """The shared database was not there for as long as a client can be kept waiting; clients try again."""

    code = "ServiceUnavailableException"
    status = 503
    oci = ("UNAVAILABLE", 503)
    template = "The registry's database is not available at the moment. Try again."


class Throttled(RegistryError):
    """The server is out of room for bodies for now; clients back off and try again."""

    code = "ThrottlingException"
    oci = ("TOOMANYREQUESTS", 429)
    template = "Rate exceeded"


class LimitExceeded(RegistryError):
    """A quota of the registry or repository is used up."""

    code = "LimitExceededException"
    oci = ("DENIED", 403)


class StorageFull(RegistryError):
    """The disk under the data directory has no room; nothing of the request was kept."""

    code = "LimitExceededException"
    status = 400
    oci = ("DENIED", 507)
    template = "The registry has no room left to store this"


class NotSupported(RegistryError):
    """A route of the distribution specification that ECR does not have."""

    code = "InvalidParameterException"
    oci = ("UNSUPPORTED", 405)
