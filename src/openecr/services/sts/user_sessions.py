"""GetSessionToken: a user's own temporary credentials."""

from typing import Any

from openecr.call import Call, Operation, operation, without_permission
from openecr.errors import SessionCredentialsRefused
from openecr.services.sts.issuing import SessionTerms, issue
from openecr.services.sts.roles import require_no_mfa
from openecr.services.sts.session_rules import user_seconds


@operation("GetSessionToken", writes=True, action="sts:GetSessionToken", resources=without_permission)
def get_session_token(
    call: Call,
    *,
    duration_seconds: int | None = None,
    serial_number: str | None = None,
    token_code: str | None = None,
    minimum_session_token_size: int | None = None,
) -> dict[str, Any]:
    """Temporary credentials that may do what the caller may; for long-term keys of users, whatever policies say."""
    owner = call.caller.known
    if owner.session_key is not None:
        raise SessionCredentialsRefused(message="Cannot call GetSessionToken with session credentials")
    require_no_mfa(serial_number, token_code)
    seconds = user_seconds(duration_seconds, is_root=owner.kind == "root")
    terms = SessionTerms(least_token_characters=minimum_session_token_size or 0)
    issued = issue(call, owner.principal_key, seconds, terms)
    return {"Credentials": issued.answer, "SessionTokenSize": len(issued.session_token)}


OPERATIONS: dict[str, Operation] = {get_session_token.name: get_session_token}
