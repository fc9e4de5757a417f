"""What ECR asks of KMS in its callers' names: which key a repository's encryption means, and what they may do with it.

Sources: ECR user guide, "Encryption at rest" (required permissions: kms:DescribeKey and kms:CreateGrant for a customer
managed key at creation, kms:RetireGrant for any at deletion; a key that AWS manages asks nothing at creation); KMS
developer guide, "kms:ViaService"; IAM User Guide, "Forward access sessions".
"""

from dataclasses import replace

from openecr.call import Call
from openecr.db import kms
from openecr.db.connection import Connection, Raced
from openecr.encryption import require_usable
from openecr.errors import AccessDenied, KeyNotFound, KmsRefused
from openecr.keyring import Keyring
from openecr.names import RegistryName
from openecr.services.kms import key_names, keys

MANAGED_ALIAS = "alias/aws/ecr"
_MANAGED_ABOUT = "Default key that protects my ECR data when no other key is defined"


def key_for_repository(call: Call, owner: RegistryName, name: str | None) -> str:
    """The ARN of the key that the layers of a new repository of a registry are encrypted under.

    Args:
        name: a key id, an alias, or the ARN of either; None for the key that AWS manages for ECR in the account.
    Raises:
        KmsRefused: the caller may not use the key, or it is not there, in another region or account, disabled, or
            pending deletion.
    """
    if name is None or name in (MANAGED_ALIAS, key_names.arn(owner, MANAGED_ALIAS)):
        return managed_key(call.db, call.deployment.keyring, owner, call.now_us).arn
    try:
        _authorize(call, key_names.meant(call, name), "kms:DescribeKey", "kms:CreateGrant")
        key = key_names.find(call, name, aliases=True)
        if key.arn != key_names.arn(owner, f"key/{key_names.key_id_of(key.arn)}"):
            raise KeyNotFound(message=f"Key '{key.arn}' is not in the account of the registry")
    except (AccessDenied, KeyNotFound) as refused:
        raise KmsRefused(kms_error=refused.code, message=refused.message) from None
    require_usable(key.arn, key.state)
    return key.arn


def require_deletable(call: Call, key_arn: str) -> None:
    """Whoever deletes a repository must be allowed to end what the repository may do with its key.

    Raises:
        KmsRefused: AccessDeniedException
    """
    try:
        _authorize(call, key_arn, "kms:RetireGrant")
    except AccessDenied as refused:
        raise KmsRefused(kms_error=refused.code, message=refused.message) from None


def _authorize(call: Call, key_arn: str, *actions: str) -> None:
    """Authorize what ECR does with a key in the caller's name: from ECR, not through the caller's VPC endpoint."""
    origin = replace(call.origin, vpc_id=None, vpc_endpoint_id=None, endpoint_policy=None, vpc_source_ip=None)
    asked = replace(call, origin=replace(origin, source_address=""))
    via = {"aws:viaawsservice": ("true",), "kms:viaservice": (f"ecr.{call.registry().region}.amazonaws.com",)}
    for action in actions:
        asked.authorize(action, key_arn, more=via)


def managed_key(db: Connection, keyring: Keyring, owner: RegistryName, now_us: int) -> kms.Key:
    """The key that AWS manages for ECR in an account and region, made at its first use.

    Raises:
        Raced: another transaction made it meanwhile.
    """
    found = kms.find_by_alias(db, owner, MANAGED_ALIAS)
    if found is None:
        found = keys.make(db, keyring, owner, kms.AWS_MANAGED, _MANAGED_ABOUT, now_us)
        if not kms.insert_alias(db, owner, MANAGED_ALIAS, found.key, now_us):
            raise Raced
    return found
