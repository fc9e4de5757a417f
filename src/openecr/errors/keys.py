"""KMS keys."""

from openecr.errors.base import RegistryError


class KmsRefused(RegistryError):
    """A repository's KMS key may not be used; ``kms_error`` is the KMS's own code."""

    code = "KmsException"
    oci = ("DENIED", 400)
    members = {"kmsError": "kms_error"}  # noqa: RUF012 - never changed; ClassVar of the base


class KeyNotFound(RegistryError):
    """No key or alias of this name in the account and region."""

    code = "NotFoundException"


class KeyStateInvalid(RegistryError):
    """The key's state does not allow this."""

    code = "KMSInvalidStateException"


class AliasExists(RegistryError):
    """CreateAlias for a name that is taken."""

    code = "AlreadyExistsException"
    template = "An alias with the name {arn} already exists"


class AliasNameInvalid(RegistryError):
    """CreateAlias for a name that does not begin with ``alias/``, or that only AWS gives."""

    code = "InvalidAliasNameException"


class MarkerInvalid(RegistryError):
    """A marker that this KMS did not give out for this listing."""

    code = "InvalidMarkerException"
    template = "Could not deserialize marker"


class KeyUnsupported(RegistryError):
    """A kind of key, or a property of one, that this KMS does not have."""

    code = "UnsupportedOperationException"
