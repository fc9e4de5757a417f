"""Who may not, and who is not whom they say."""

from openecr.errors.base import RegistryError


class AccessDenied(RegistryError):
    """The evaluator said no; the reason names the kind of policy, as AWS words it."""

    code = "AccessDeniedException"
    oci = ("DENIED", 403)
    template = "User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}"


class AssumptionDenied(AccessDenied):
    """A role may not be assumed, or its session not be tagged: AWS says neither why, nor if there is a role."""

    template = "User: {principal} is not authorized to perform: {action} on resource: {resource}"


class WebIdentityDenied(AccessDenied):
    """A role does not trust the bearer of a web identity, or is not there: the same to whoever asks."""

    template = "Not authorized to perform {action}"


class SessionCredentialsRefused(AccessDenied):
    """An operation of STS that takes long-term credentials only, or a caller who may never do this."""

    template = "{message}"


class IdentityTokenInvalid(RegistryError):
    """A web identity token that does not prove what its role's account asks for."""

    code = "InvalidIdentityTokenException"


class IdentityTokenExpired(RegistryError):
    """A web identity token past its end."""

    code = "ExpiredTokenException"
    template = "Token expired: current date/time {now} must be before the expiration date/time {expired}"


class IdentityProviderRejected(RegistryError):
    """A web identity token whose claims cannot be what its provider vouches for."""

    code = "IDPRejectedClaimException"
    status = 403


class IdentityProviderAway(RegistryError):
    """The identity provider's keys could not be fetched; clients try again."""

    code = "IDPCommunicationErrorException"
    template = "The keys of the identity provider {issuer} could not be fetched: {why}"


class PackedPolicyTooLarge(RegistryError):
    """Session policies and tags that take more room than a session has."""

    code = "PackedPolicyTooLargeException"
    template = "Packed size of {what} consumes {percent}% of allotted space."
