"""May this caller do this action on this resource? The one place that says so.

For now: the administrator of an account may do everything in its account, nothing elsewhere, nobody else anything.
"""

from dataclasses import dataclass

from openecr.access.identity import Caller


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal, and the kind of policy that made it, in AWS's words."""

    reason: str


def decide(caller: Caller, action: str, resource: str) -> Denied | None:
    """None where the action is allowed, else why not (reference §1.4)."""
    account_id = _account_of(resource)
    if account_id not in ("", "aws", caller.account_id):  # AWS's own managed policies are every account's
        return Denied(f"because no resource-based policy allows the {action} action")
    if not caller.administrator:
        return Denied(f"because no identity-based policy allows the {action} action")
    return None


def _account_of(resource: str) -> str:
    """The account in an ARN; empty for ``*``."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 else ""
