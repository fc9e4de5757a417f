"""What kinds of policies there are, and the refusal of a document that is none of its kind."""

from enum import StrEnum

SYNTAX = "Syntax errors in policy."


class PolicyKind(StrEnum):
    """Where a policy is attached; it decides which elements a statement must and may not have."""

    IDENTITY = "identity"
    BOUNDARY = "boundary"
    SESSION = "session"
    TRUST = "trust"
    REPOSITORY = "repository"
    REGISTRY = "registry"
    ENDPOINT = "endpoint"


class PolicyInvalid(Exception):
    """A policy document that AWS would refuse.

    ``said`` is AWS's own sentence where one is known, else "Syntax errors in policy."; ``why`` is that sentence and the
    place and detail that AWS leaves out. Callers turn it into the service's error: IAM's ``MalformedPolicyDocument``,
    ECR's ``InvalidParameterException``.
    """

    def __init__(self, said: str, detail: str = "") -> None:
        self.said = said
        self.why = f"{said} ({detail})" if detail else said
        super().__init__(self.why)
