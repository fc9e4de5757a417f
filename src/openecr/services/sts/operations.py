"""Every operation of STS that is built."""

from openecr.call import Operation
from openecr.services.sts import callers, roles, user_sessions, web_identity

OPERATIONS: dict[str, Operation] = {
    **callers.OPERATIONS,
    **roles.OPERATIONS,
    **user_sessions.OPERATIONS,
    **web_identity.OPERATIONS,
}
