"""Denials in AWS's words, and what would have to change in ours.

Sources: IAM User Guide, "Troubleshoot access denied error messages" (troubleshoot_access-denied); AWS Security Blog,
"Enhanced access denied error messages with policy ARNs".
"""

from collections.abc import Sequence
from enum import Enum


class Layer(Enum):
    """The kinds of policies that decide together, as denials name them: its type, with its article, what it is not."""

    ENDPOINT = ("VPC endpoint policy", "a VPC endpoint policy", True)
    BOUNDARY = ("permissions boundary", "a permissions boundary", True)
    SESSION = ("session policy", "a session policy", True)
    RESOURCE = ("resource-based policy", "a resource-based policy", False)
    TRUST = ("role trust policy", "the role trust policy", False)
    IDENTITY = ("identity-based policy", "an identity-based policy", True)

    def __init__(self, words: str, one: str, named: bool) -> None:
        self.words = words
        self.one = one
        self.named = named
        """Whether AWS names the policy's ARN in a denial; endpoint policies have none."""


def explicit(layer: Layer, policy: str, *, same_account: bool) -> str:
    """How the sentence ends where a statement denied. Only within an account AWS names a managed policy's ARN."""
    arn = f": {policy}" if same_account and layer.named and policy.startswith("arn:") else ""
    return f"with an explicit deny in {layer.one}{arn}"


def implicit(layer: Layer, action: str) -> str:
    """How the sentence ends where no statement allowed."""
    return f"because no {layer.words} allows the {action} action"


def removal(sid: str, number: int, policy: str) -> str:
    """What to do about a statement that denied."""
    called = f' "{sid}"' if sid else ""
    return f"take away statement {number}{called}, which denies this, from {policy}, or make it not match"


def addition(action: str, resource: str, principal: str, places: Sequence[str]) -> str:
    """What to allow, and everywhere where it must be allowed."""
    to = f" to {principal}" if principal else " to everyone"
    on = f" on {resource}" if resource != "*" else ""
    return f"allow {action}{on}{to} in {', and in '.join(places)}"
