"""Registries, repositories, and their policies and settings."""

from openecr.errors.base import LimitExceeded, RegistryError
from openecr.errors.parameters import InvalidParameter


class RepositoryNotFound(RegistryError):
    """No such repository in the addressed registry."""

    code = "RepositoryNotFoundException"
    oci = ("NAME_UNKNOWN", 404)
    template = "The repository with name '{repository}' does not exist in the registry with id '{registry_id}'"


class RepositoryPolicyNotFound(RegistryError):
    """The repository has no policy."""

    code = "RepositoryPolicyNotFoundException"
    template = (
        "Repository policy does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyInvalid(InvalidParameter):
    """The text of a lifecycle policy, refused as ECR's JSON schema refuses it; the cause brings the closing quote."""

    template = (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        "'Lifecycle policy validation failure: {why}"
    )


class LifecyclePolicyNotFound(RegistryError):
    """The repository has no lifecycle policy [moto]."""

    code = "LifecyclePolicyNotFoundException"
    template = (
        "Lifecycle policy does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyPreviewNotFound(RegistryError):
    """No preview of the repository was started; ECR's own text is not documented."""

    code = "LifecyclePolicyPreviewNotFoundException"
    template = (
        "Lifecycle policy preview does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyPreviewInProgress(RegistryError):
    """A preview of the repository is being made; the end of the text is the model's."""

    code = "LifecyclePolicyPreviewInProgressException"
    template = (
        "The previous lifecycle policy preview request for the repository with name '{repository}' "
        "in the registry with id '{registry_id}' has not completed. Wait and try again."
    )


class RegistryPolicyNotFound(RegistryError):
    """The registry has no policy."""

    code = "RegistryPolicyNotFoundException"
    template = "Registry policy does not exist in the registry with id '{registry_id}'"


class RegistryNotServed(RegistryError):
    """The host or path names an account or region that this deployment does not serve."""

    code = "RepositoryNotFoundException"
    oci = ("NAME_UNKNOWN", 404)
    template = "Could not resolve registry id from host {host}"


class RepositoryAlreadyExists(RegistryError):
    """CreateRepository for a name that is taken."""

    code = "RepositoryAlreadyExistsException"
    template = "The repository with name '{repository}' already exists in the registry with id '{registry_id}'"


class RepositoryNotEmpty(RegistryError):
    """DeleteRepository without force while images are left."""

    code = "RepositoryNotEmptyException"
    template = (
        "The repository with name '{repository}' in registry with id '{registry_id}' "
        "cannot be deleted because it still contains images"
    )


class TooManyTags(RegistryError):
    """More than 50 resource tags on one repository."""

    code = "TooManyTagsException"
    template = "A repository can have at most 50 tags"


class InvalidTagParameter(RegistryError):
    """A resource tag's key or value is not allowed."""

    code = "InvalidTagParameterException"


class TooManyRepositories(LimitExceeded):
    """CreateRepository in a registry that holds as many as it may."""

    template = (
        "The repository with name '{repository}' cannot be created because the maximum number of repositories "
        "({limit}) in the registry with id '{registry_id}' has been reached"
    )


class StorageQuotaExceeded(LimitExceeded):
    """What is pushed would take a storage quota, which ECR does not have, past its limit."""

    template = (
        "The push into the repository with name '{repository}' in the registry with id '{registry_id}' exceeds the "
        "storage quota of {quota}: {used_bytes} of {limit_bytes} bytes are used, and {size_bytes} more are needed"
    )


class ExclusionAlreadyExists(RegistryError):
    """The principal is excluded from pull time updates already."""

    code = "ExclusionAlreadyExistsException"
    template = (
        "The pull time update exclusion for principal '{principal}' already exists in the registry with id "
        "'{registry_id}'"
    )


class ExclusionNotFound(RegistryError):
    """The principal is not excluded from pull time updates."""

    code = "ExclusionNotFoundException"
    template = (
        "The pull time update exclusion for principal '{principal}' does not exist in the registry with id "
        "'{registry_id}'"
    )


class TooManyExclusions(LimitExceeded):
    """One pull time update exclusion more than an account may have."""

    template = (
        "The number of pull time update exclusions exceeded the limit of {limit} for the registry with id "
        "'{registry_id}'"
    )
