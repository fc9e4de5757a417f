"""Who calls, and whose an access key is."""

from typing import Any

from openecr.call import Call, Operation, operation, without_permission
from openecr.db import sessions
from openecr.errors import ValidationFailed


@operation("GetCallerIdentity", writes=False, action="sts:GetCallerIdentity", resources=without_permission)
def get_caller_identity(call: Call) -> dict[str, Any]:
    """Who signed the request."""
    return {"UserId": call.caller.user_id, "Account": call.caller.account_id, "Arn": call.caller.arn}


@operation("GetAccessKeyInfo", writes=False, action="sts:GetAccessKeyInfo")
def get_access_key_info(call: Call, *, access_key_id: str) -> dict[str, Any]:
    """The account that an access key or session is of, active or not."""
    account_id = sessions.account_of_key(call.db, access_key_id)
    if account_id is None:
        raise ValidationFailed(message=f"The access key ID {access_key_id} does not exist")
    return {"Account": account_id}


OPERATIONS: dict[str, Operation] = {item.name: item for item in (get_caller_identity, get_access_key_info)}
