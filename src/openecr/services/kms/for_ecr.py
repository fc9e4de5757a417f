"""What ECR asks of KMS: which key a repository's encryption means."""

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


def key_for_repository(call: Call, name: str | None) -> str:
    """The ARN of the key that a new repository's layers are encrypted under.

    Args:
        name: a key id, an alias, or the ARN of either; None for the key that AWS manages for ECR in the account.
    Raises:
        KmsRefused: the key is not there, in another region or account, disabled, or pending deletion.
    """
    owner = call.registry()
    if name is None or name in (MANAGED_ALIAS, key_names.arn(owner, MANAGED_ALIAS)):
        return managed_key(call.db, call.deployment.keyring, owner, call.now_us).arn
    resource = key_names.named_arn(owner, name)
    try:
        call.authorize("kms:DescribeKey", resource)
        key = key_names.find(call, name, aliases=True)
    except (AccessDenied, KeyNotFound) as refused:
        raise KmsRefused(kms_error=refused.code, message=refused.message) from None
    require_usable(key.arn, key.state)
    return key.arn


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
