"""IAM's users, groups, roles and policies."""

from openecr.errors.base import RegistryError


class NoSuchEntity(RegistryError):
    """No identity, policy, key or provider of this name or ARN in the account."""

    code = "NoSuchEntityException"
    status = 404


class EntityAlreadyExists(RegistryError):
    """A name is taken, in whatever case."""

    code = "EntityAlreadyExistsException"
    status = 409


class DeleteConflict(RegistryError):
    """What would be deleted still holds something, or is held."""

    code = "DeleteConflictException"
    status = 409


class MalformedPolicyDocument(RegistryError):
    """A policy that is no policy of its kind."""

    code = "MalformedPolicyDocumentException"


class InvalidInput(RegistryError):
    """A parameter that fits its shape and means nothing here."""

    code = "InvalidInputException"


class PolicyNotAttachable(RegistryError):
    """A policy that only a service-linked role has."""

    code = "PolicyNotAttachableException"
    template = "Cannot attach a Service Role Policy to a customer role."


class UnmodifiableEntity(RegistryError):
    """A service-linked role, which only its service changes."""

    code = "UnmodifiableEntityException"
    template = "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
