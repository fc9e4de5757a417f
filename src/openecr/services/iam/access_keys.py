"""Long-term access keys of users: make, list, switch off and on, delete; when they were last used."""

from typing import Any

from openecr.access.credentials import new_access_key
from openecr.call import Call
from openecr.db import access_keys, callers, identities
from openecr.db.access_keys import AccessKeyRecord
from openecr.db.identities import USER
from openecr.errors import InvalidInput, NoSuchEntity
from openecr.services.iam import arns, documents, finding, pages, quotas
from openecr.services.iam.declaring import iam_operation

_STATUSES = {"Active": True, "Inactive": False}
_NEVER = "N/A"


@iam_operation("CreateAccessKey", writes=True, located=arns.own_user)
def create_access_key(call: Call, *, user_name: str | None = None) -> dict[str, Any]:
    """Make an access key of a user, or of the caller; its secret is told now and never again."""
    user = finding.require(call, USER, arns.own_name(call, user_name))
    keys = access_keys.of_user(call.db, user.key)
    quotas.require_room(len(keys), quotas.ACCESS_KEYS_PER_USER, "AccessKeysPerUser")
    made = new_access_key()
    sealed = call.deployment.keyring.seal(made.secret_access_key.encode(), context=made.access_key_id)
    identities.insert_access_key(
        call.db, user.key, access_key_id=made.access_key_id, sealed_secret=sealed, now_us=call.now_us
    )
    stored = AccessKeyRecord(made.access_key_id, active=True, created_us=call.now_us)
    return {"AccessKey": {**_told(user.name, stored), "SecretAccessKey": made.secret_access_key}}


@iam_operation("ListAccessKeys", writes=False, located=arns.own_user)
def list_access_keys(
    call: Call, *, user_name: str | None = None, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The keys of a user, or of the caller, the oldest first, without their secrets."""
    user = finding.require(call, USER, arns.own_name(call, user_name))
    keys = access_keys.of_user(call.db, user.key)
    return pages.page(
        call,
        "ListAccessKeys",
        {"user": user.unique_id},
        marker,
        max_items,
        member="AccessKeyMetadata",
        start=[""],
        load=lambda position, most: _after(keys, str(position[0]))[:most],
        position_of=lambda key: [key.access_key_id],
        told=lambda key: _told(user.name, key),
    )


def _after(keys: list[AccessKeyRecord], access_key_id: str) -> list[AccessKeyRecord]:
    places = [place for place, key in enumerate(keys) if key.access_key_id == access_key_id]
    return keys[places[0] + 1 :] if places else keys


@iam_operation("UpdateAccessKey", writes=True, located=arns.own_user)
def update_access_key(call: Call, *, access_key_id: str, status: str, user_name: str | None = None) -> dict[str, Any]:
    """Switch a key off, or on again; one that is off opens nothing, on any plane."""
    if status not in _STATUSES:
        raise InvalidInput(message=f"A key cannot be made {status}.")
    user = finding.require(call, USER, arns.own_name(call, user_name))
    if not access_keys.set_active(call.db, user.key, access_key_id, active=_STATUSES[status]):
        raise _missing(access_key_id)
    callers.forget(call.db)
    return {}


@iam_operation("DeleteAccessKey", writes=True, located=arns.own_user)
def delete_access_key(call: Call, *, access_key_id: str, user_name: str | None = None) -> dict[str, Any]:
    """Delete a key; what was signed with it, and every registry token that it asked for, ends."""
    user = finding.require(call, USER, arns.own_name(call, user_name))
    if not access_keys.delete(call.db, user.key, access_key_id):
        raise _missing(access_key_id)
    callers.forget(call.db)
    return {}


@iam_operation("GetAccessKeyLastUsed", writes=False, located=arns.key_owner)
def get_access_key_last_used(call: Call, *, access_key_id: str) -> dict[str, Any]:
    """When a key was last used, on either plane, for which service and region: at most a minute behind."""
    owner = access_keys.owner_of(call.db, call.registry().account_id, access_key_id)
    if owner is None:
        raise _missing(access_key_id)
    use = access_keys.last_use(call.db, access_key_id)
    if use is None:
        return {"UserName": owner[1], "AccessKeyLastUsed": {"ServiceName": _NEVER, "Region": _NEVER}}
    last = {
        "LastUsedDate": documents.whole_seconds(use.used_us),
        "ServiceName": use.service,
        "Region": use.region,
    }
    return {"UserName": owner[1], "AccessKeyLastUsed": last}


def _missing(access_key_id: str) -> NoSuchEntity:
    return NoSuchEntity(message=f"The Access Key with id {access_key_id} cannot be found.")


def _told(user_name: str, key: AccessKeyRecord) -> dict[str, Any]:
    return {
        "UserName": user_name,
        "AccessKeyId": key.access_key_id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": documents.whole_seconds(key.created_us),
    }
