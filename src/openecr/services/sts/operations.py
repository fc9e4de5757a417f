"""Every operation of STS that is built."""

from typing import Any

from openecr.call import Call, Operation, operation, without_permission


@operation("GetCallerIdentity", writes=False, action="sts:GetCallerIdentity", resources=without_permission)
def get_caller_identity(call: Call) -> dict[str, Any]:
    """Who signed the request; nobody needs a permission for it, and no policy takes it away (STS API reference)."""
    return {"UserId": call.caller.user_id, "Account": call.caller.account_id, "Arn": call.caller.arn}


OPERATIONS: dict[str, Operation] = {get_caller_identity.name: get_caller_identity}
