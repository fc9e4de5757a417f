"""Every operation of KMS that is built."""

from openecr.call import Operation
from openecr.services.kms import aliases, keys

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        aliases.create_alias,
        aliases.list_aliases,
        keys.cancel_key_deletion,
        keys.create_key,
        keys.describe_key,
        keys.disable_key,
        keys.enable_key,
        keys.list_keys,
        keys.schedule_key_deletion,
    )
}
