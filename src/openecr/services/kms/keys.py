"""Keys: make, describe, list, enable, disable, delete after a while."""

import os
import uuid
from typing import Any

from openecr.blobs.encrypted import KEY_BYTES
from openecr.call import Call, no_resource, operation
from openecr.db import kms
from openecr.db.connection import Connection
from openecr.db.kms import AWS_MANAGED, CUSTOMER_MANAGED, DISABLED, ENABLED, PENDING_DELETION, Key
from openecr.errors import AccessDenied, KeyStateInvalid, KeyUnsupported, ValidationFailed
from openecr.keyring import Keyring
from openecr.names import RegistryName
from openecr.services.kms import key_names, pages

_DAY_US = 86_400 * 1_000_000
_DELETION_DAYS = (7, 30)
"""Bounds of the waiting period (KMS API reference, ScheduleKeyDeletion); the longer one is the default."""
_DEFAULT_KEYS = 100
_ONLY = {
    "key_usage": "ENCRYPT_DECRYPT",
    "key_spec": "SYMMETRIC_DEFAULT",
    "customer_master_key_spec": "SYMMETRIC_DEFAULT",
    "origin": "AWS_KMS",
    "multi_region": False,
}
"""What keys are here; what would make another kind, or would be kept and never used, is refused."""


@operation("CreateKey", writes=True, action="kms:CreateKey", resources=no_resource)
def create_key(
    call: Call,
    *,
    policy: str | None = None,
    description: str | None = None,
    key_usage: str | None = None,
    customer_master_key_spec: str | None = None,
    key_spec: str | None = None,
    origin: str | None = None,
    custom_key_store_id: str | None = None,
    bypass_policy_lockout_safety_check: bool | None = None,  # noqa: ARG001 - there are no policies to be locked out by
    tags: list[dict[str, str]] | None = None,
    multi_region: bool | None = None,
    xks_key_id: str | None = None,
) -> dict[str, Any]:
    """Make a symmetric key of the caller's account."""
    given = {
        "key_usage": key_usage,
        "key_spec": key_spec,
        "customer_master_key_spec": customer_master_key_spec,
        "origin": origin,
        "multi_region": multi_region,
    }
    for name, value in given.items():
        if value is not None and value != _ONLY[name]:
            raise KeyUnsupported(message=f"openecr has symmetric keys of one region only: {name} cannot be {value}")
    for name, unused in (
        ("Policy", policy),
        ("Tags", tags),
        ("CustomKeyStoreId", custom_key_store_id),
        ("XksKeyId", xks_key_id),
    ):
        if unused:
            raise KeyUnsupported(message=f"openecr's keys have no {name}; leave it out")
    made = make(call.db, call.deployment.keyring, call.registry(), CUSTOMER_MANAGED, description or "", call.now_us)
    return {"KeyMetadata": _metadata(call, made)}


def make(db: Connection, keyring: Keyring, owner: RegistryName, manager: str, description: str, now_us: int) -> Key:
    """Store a new key with its material sealed: it opens in no other key's row."""
    arn = key_names.arn(owner, f"key/{uuid.uuid4()}")
    sealed = keyring.seal(os.urandom(KEY_BYTES), arn)
    kms.insert(db, owner, arn=arn, description=description, manager=manager, sealed_material=sealed, now_us=now_us)
    made = kms.find(db, arn)
    assert made is not None  # noqa: S101 - inserted above in this transaction
    return made


@operation(
    "DescribeKey",
    writes=False,
    action="kms:DescribeKey",
    located=lambda call, arguments: [key_names.meant(call, arguments["key_id"])],
)
def describe_key(call: Call, *, key_id: str, grant_tokens: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG001
    """What a key is, by its id, ARN, alias or alias's ARN. There are no grants, so a grant token adds nothing."""
    return {"KeyMetadata": _metadata(call, key_names.find(call, key_id, aliases=True))}


@operation("ListKeys", writes=False, action="kms:ListKeys", resources=no_resource)
def list_keys(
    call: Call,
    *,
    limit: int | None = None,
    marker: str | None = None,
    resource_owners: list[str] | None = None,
) -> dict[str, Any]:
    """The keys of the caller's account in this region, in the order they were made; nobody shares keys here."""
    owner = call.registry()
    own = resource_owners is None or "SELF" in resource_owners
    listed = pages.page(
        call,
        "ListKeys",
        {"owner": str(owner), "own": own},
        marker,
        limit or _DEFAULT_KEYS,
        start=[0],
        load=lambda position, most: kms.list_after(call.db, owner, int(position[0]), most) if own else [],
        position_of=lambda key: [key.key],
    )
    keys = [{"KeyId": key_names.key_id_of(key.arn), "KeyArn": key.arn} for key in listed.items]
    return {"Keys": keys, "NextMarker": listed.next_token, "Truncated": listed.next_token is not None}


@operation("EnableKey", writes=True, action="kms:EnableKey", resources=key_names.key_resource)
def enable_key(call: Call, *, key_id: str) -> dict[str, Any]:
    """Let a key be used again; one that is enabled stays so."""
    key = _own(call, key_id, "kms:EnableKey")
    kms.set_state(call.db, key.key, ENABLED)
    return {}


@operation("DisableKey", writes=True, action="kms:DisableKey", resources=key_names.key_resource)
def disable_key(call: Call, *, key_id: str) -> dict[str, Any]:
    """Let nothing be read or written under a key until it is enabled again."""
    key = _own(call, key_id, "kms:DisableKey")
    kms.set_state(call.db, key.key, DISABLED)
    return {}


@operation("ScheduleKeyDeletion", writes=True, action="kms:ScheduleKeyDeletion", resources=key_names.key_resource)
def schedule_key_deletion(call: Call, *, key_id: str, pending_window_in_days: int | None = None) -> dict[str, Any]:
    """Disable a key now, and destroy its material when the waiting period is over."""
    least, most = _DELETION_DAYS
    days = most if pending_window_in_days is None else pending_window_in_days
    if not least <= days <= most:
        bound = f"greater than or equal to {least}" if days < least else f"less than or equal to {most}"
        raise ValidationFailed(
            message=f"1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy "
            f"constraint: Member must have value {bound}"
        )
    key = _own(call, key_id, "kms:ScheduleKeyDeletion")
    deletion_us = call.now_us + days * _DAY_US
    kms.set_state(call.db, key.key, PENDING_DELETION, deletion_us)
    return {
        "KeyId": key.arn,
        "DeletionDate": deletion_us,
        "KeyState": PENDING_DELETION,
        "PendingWindowInDays": days,
    }


@operation("CancelKeyDeletion", writes=True, action="kms:CancelKeyDeletion", resources=key_names.key_resource)
def cancel_key_deletion(call: Call, *, key_id: str) -> dict[str, Any]:
    """Keep a key whose deletion is pending; it is disabled then."""
    key = key_names.find(call, key_id, aliases=False)
    if key.state != PENDING_DELETION:
        raise KeyStateInvalid(message=f"{key.arn} is not pending deletion.")
    kms.set_state(call.db, key.key, DISABLED)
    return {"KeyId": key.arn}


def _own(call: Call, name: str, action: str) -> Key:
    """A key whose state its account may change: not AWS's own, and not one that is about to go."""
    key = key_names.find(call, name, aliases=False)
    if key.manager == AWS_MANAGED:
        reason = f"because no resource-based policy allows the {action} action"
        raise AccessDenied(principal=call.caller.arn, action=action, resource=key.arn, reason=reason)
    if key.state == PENDING_DELETION:
        raise KeyStateInvalid(message=f"{key.arn} is pending deletion.")
    return key


def _metadata(call: Call, key: Key) -> dict[str, Any]:
    return {
        "AWSAccountId": call.registry().account_id,
        "KeyId": key_names.key_id_of(key.arn),
        "Arn": key.arn,
        "CreationDate": key.created_us // 1000 * 1000,
        "Enabled": key.state == ENABLED,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.state,
        "DeletionDate": key.deletion_us,
        "Origin": "AWS_KMS",
        "KeyManager": key.manager,
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
    }
