"""Every operation of STS that is built."""

from typing import Any

from openecr.call import Call, Operation, no_resource, operation


@operation("GetCallerIdentity", writes=False, action="sts:GetCallerIdentity", resources=no_resource)
def get_caller_identity(call: Call) -> dict[str, Any]:
    """Who signed the request."""
    return {"UserId": call.caller.unique_id, "Account": call.caller.account_id, "Arn": call.caller.arn}


OPERATIONS: dict[str, Operation] = {get_caller_identity.name: get_caller_identity}
